// What all header views have in common: they point into bytes that belong to somebody else.
//
//   bytes   .......[ header | payload ........ ].......
//                  ^ offset                    ^ offset + length
//
// `at` points a view at a place and does the one length check. It returns false, and the view then points at nothing
// (every field reads 0), when the header is not all there. After true no access throws, whatever the bytes are: a
// length inside the packet is clamped before it is used. A view is made once and pointed at packet after packet.

import { ArgumentRangeError, NetError } from '../errors.js';
import { NOTHING } from './bytes.js';

/** A place in bytes; see the concrete views. */
export abstract class HeaderView {
  /** The bytes the header lies in. */
  bytes: Uint8Array = NOTHING;
  /** Where the header starts. */
  offset = 0;
  /** Bytes from the start of the header to the end of what may be read. */
  length = 0;

  /**
   * Points the view at a header.
   *
   * @returns false when the header does not fit into `length` bytes or `length` not into the array
   */
  abstract at(bytes: Uint8Array, offset?: number, length?: number): boolean;

  protected nowhere(): false {
    this.bytes = NOTHING;
    this.offset = 0;
    this.length = 0;
    return false;
  }
}

/** The length check: `need` bytes within `length`, `length` within the array. */
export function fits(bytes: Uint8Array, offset: number, length: number, need: number): boolean {
  return length >= need && offset >= 0 && offset + length <= bytes.length;
}

/** Points a fresh view and throws NetError `ERR_NET_FRAME` where `at` gives false. */
export function pointed<View extends HeaderView>(
  view: View,
  what: string,
  bytes: Uint8Array,
  offset = 0,
  length = bytes.length - offset,
): View {
  if (view.at(bytes, offset, length)) return view;
  throw new NetError(
    'ERR_NET_FRAME',
    `reading ${what} at offset ${offset} of ${bytes.length} bytes: it does not fit into ${length} bytes or is malformed`,
  );
}

/** Throws when something to be written does not fit. */
export function mustHold(what: string, bytes: Uint8Array, offset: number, need: number): void {
  if (offset >= 0 && offset + need <= bytes.length) return;
  throw new ArgumentRangeError(`writing ${what}: ${need} bytes at offset ${offset} do not fit into ${bytes.length}`);
}

// What comparing a document with a VPP rests on: what the document leaves out is not compared.

import { isIpv6, normalizeIp } from '../../net/index.js';

/** A text however it is written: IPv6 in its short form. */
function plain(text: string): string {
  const [address = '', ...rest] = text.split('/');
  return (isIpv6(address) ? [normalizeIp(address), ...rest].join('/') : text).toLowerCase();
}

/** Whether what is held has everything that is wanted. Lists of objects (paths, members) have no order. */
export function covers(held: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(held) || held.length !== wanted.length) return false;
    const left: unknown[] = [...(held as unknown[])];
    return wanted.every((one: unknown) => {
      const ordered = typeof one !== 'object' || one === null;
      const at = ordered ? (covers(left[0], one) ? 0 : -1) : left.findIndex((other) => covers(other, one));
      if (at >= 0) left.splice(at, 1);
      return at >= 0;
    });
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof held !== 'object' || held === null) return Object.keys(wanted).length === 0;
    return Object.entries(wanted).every(([key, value]) => covers((held as Record<string, unknown>)[key], value));
  }
  // What VPP does not tell because it is the default.
  if (held === undefined) return wanted === undefined || wanted === false || wanted === 0 || wanted === '';
  if (typeof held === 'string' && typeof wanted === 'string') return plain(held) === plain(wanted);
  return held === wanted;
}

// Sets of paths, each kept once however many routes share it. A full table has a million routes and some hundred sets.
//
//   what the caller gives (objects)   ──┐ by object identity, then by text
//                                       ├──► number of the set ──► fields to send, paths to show
//   what VPP sends (n × 167 bytes)    ──┘ by the bytes (path-bytes.ts), then by text
//
// The text is `pathKey` of each path, sorted: VPP orders the paths of a route as it likes.

import type { MessageCodec } from '../api/index.js';
import { PathBytes } from './path-bytes.js';
import {
  heldPath,
  pathKey,
  wirePath,
  type HeldPath,
  type ReceivedPath,
  type ResolvedPath,
  type WirePath,
} from './path.js';

interface PathSet {
  readonly wire: readonly WirePath[] | undefined;
  readonly received: readonly ReceivedPath[];
  held: readonly HeldPath[] | undefined;
}

/** See above. */
export class PathSets {
  readonly #sets: PathSet[] = [];
  readonly #byText = new Map<string, number>();
  readonly #byBytes = new PathBytes();
  readonly #byObject = new WeakMap<object, [four: number, six: number]>();

  #lastObject: object | undefined;
  #lastFamily = 0;
  #lastKnown = -1;

  get size(): number {
    return this.#sets.length;
  }

  /** The set that these paths are. `identity`: an object that stands for them, and does not change. */
  ofPaths(paths: readonly ResolvedPath[], family: 4 | 6, object: string, identity?: object): number {
    const slot = family === 4 ? 0 : 1;
    const known = identity === undefined ? undefined : this.#byObject.get(identity);
    if (known !== undefined && known[slot] >= 0) return known[slot];
    const wire = paths.map((path) => wirePath(path, family, object));
    const id = this.#intern(wire, wire);
    if (identity !== undefined) {
      if (known === undefined) this.#byObject.set(identity, slot === 0 ? [id, -1] : [-1, id]);
      else known[slot] = id;
    }
    return id;
  }

  /** The number known for an object that stands for paths; -1 when it is not known. */
  known(identity: object, family: 4 | 6): number {
    // The same as for the route before, more often than not.
    if (identity === this.#lastObject && family === this.#lastFamily) return this.#lastKnown;
    const known = this.#byObject.get(identity)?.[family === 4 ? 0 : 1] ?? -1;
    if (known >= 0) {
      this.#lastObject = identity;
      this.#lastFamily = family;
      this.#lastKnown = known;
    }
    return known;
  }

  /** The set that VPP has sent: `count` paths from `start`, which are decoded when they are seen for the first time. */
  ofBytes(view: DataView, start: number, count: number, decode: () => readonly ReceivedPath[]): number {
    const known = this.#byBytes.find(view, start, count);
    return known >= 0 ? known : this.#byBytes.add(view, start, count, this.ofReceived(decode()));
  }

  ofReceived(paths: readonly ReceivedPath[]): number {
    return this.#intern(paths, undefined);
  }

  /** Paths to show. */
  held(id: number): readonly HeldPath[] {
    const set = this.#sets[id]!;
    return (set.held ??= set.received.map(heldPath));
  }

  /** Paths to send. */
  wire(id: number): readonly WirePath[] {
    const { wire, received } = this.#sets[id]!;
    return wire ?? (received as readonly WirePath[]);
  }

  #intern(received: readonly ReceivedPath[], wire: readonly WirePath[] | undefined): number {
    const alone = received.length === 1;
    const text = received
      .map((path) => pathKey(path, alone))
      .sort()
      .join('|');
    const known = this.#byText.get(text);
    if (known !== undefined) return known;
    const id = this.#sets.length;
    this.#sets.push({ wire, received, held: undefined });
    this.#byText.set(text, id);
    return id;
  }
}

/** Decodes the paths of a row, which is done once for each set. */
export function pathsOf(codec: MessageCodec, bytes: Uint8Array, start: number, end: number): readonly ReceivedPath[] {
  const { route } = codec.decode(bytes, start, end) as { route: { paths: ReceivedPath[] } };
  return route.paths;
}

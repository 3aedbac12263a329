// A set of routes in typed arrays: what a table should hold, or holds. For a million routes an object each would be
// hundreds of megabytes; here a route costs, with the room that a table grows by:
//
//   keys     4 (IPv4) or 16 (IPv6) bytes │ length 1 │ path set 4 │ hash slots 4 × 2 … 4
//
//   slots   hash(network, length) ─► number of the route + 1, 0: free, linear probing
//   routes  [0 … size): key words, length, path set; a deleted one keeps its place, its path set is NONE
//
// Invariant: a network's host bits are clear, so each route has one key.

import { ArgumentRangeError } from '../errors.js';
import { ipv4Text, ipv6Text, scanIpv4, scanIpv6 } from '../net/ip.js';
import { parsePrefix } from '../net/index.js';

const NONE = 0xffffffff;
const bytes = new Uint8Array(16);
const view = new DataView(bytes.buffer);

/** Routes of one family. */
export class FamilyRoutes {
  readonly family: 4 | 6;
  readonly words: 1 | 4;
  #keys: Uint32Array;
  #lengths: Uint8Array;
  #paths: Uint32Array;
  #slots: Uint32Array;
  #count = 0;
  #live = 0;

  constructor(family: 4 | 6, room = 1024) {
    this.family = family;
    this.words = family === 4 ? 1 : 4;
    const capacity = Math.max(16, room);
    this.#keys = new Uint32Array(capacity * this.words);
    this.#lengths = new Uint8Array(capacity);
    this.#paths = new Uint32Array(capacity);
    this.#slots = new Uint32Array(slotsFor(capacity));
  }

  /** Routes that are in the set. */
  get size(): number {
    return this.#live;
  }

  /** Numbers of routes go up to here; those of deleted ones are not used again. */
  get end(): number {
    return this.#count;
  }

  get bytesHeld(): number {
    return this.#keys.byteLength + this.#lengths.byteLength + this.#paths.byteLength + this.#slots.byteLength;
  }

  /** The number of a route by its network's bytes, in order of the wire; -1 when it is not there. */
  find(source: Uint8Array, offset: number, length: number): number {
    const w0 = word(source, offset);
    if (this.words === 1) return this.#lookup(w0, 0, 0, 0, length);
    return this.#lookup(w0, word(source, offset + 4), word(source, offset + 8), word(source, offset + 12), length);
  }

  /** Adds a route, or gives it other paths; its number. */
  set(source: Uint8Array, offset: number, length: number, pathSet: number): number {
    const w0 = word(source, offset);
    const [w1, w2, w3] =
      this.words === 1 ? [0, 0, 0] : [word(source, offset + 4), word(source, offset + 8), word(source, offset + 12)];
    let at = this.#lookup(w0, w1, w2, w3, length);
    if (at < 0) {
      if (this.#count === this.#lengths.length) this.#grow();
      at = this.#count++;
      const key = at * this.words;
      this.#keys[key] = w0;
      if (this.words === 4) {
        this.#keys[key + 1] = w1;
        this.#keys[key + 2] = w2;
        this.#keys[key + 3] = w3;
      }
      this.#lengths[at] = length;
      this.#paths[at] = NONE;
      this.#place(at);
    }
    if (this.#paths[at] === NONE) this.#live += 1;
    this.#paths[at] = pathSet;
    return at;
  }

  /** Forgets all routes, and keeps the room. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = this.#live = 0;
  }

  delete(at: number): boolean {
    if (at < 0 || this.#paths[at] === NONE) return false;
    this.#paths[at] = NONE;
    this.#live -= 1;
    return true;
  }

  /** The path set of a route; -1 when it was deleted. */
  pathSet(at: number): number {
    const id = this.#paths[at]!;
    return id === NONE ? -1 : id;
  }

  /** `10.0.0.0/8` */
  prefix(at: number): string {
    return `${this.network(at)}/${this.#lengths[at]!}`;
  }

  network(at: number): string {
    const key = at * this.words;
    for (let i = 0; i < this.words; i += 1) view.setUint32(i * 4, this.#keys[key + i]!);
    return this.family === 4 ? ipv4Text(bytes, 0) : ipv6Text(bytes, 0);
  }

  #lookup(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash(w0, w1, w2, w3, length) & mask;
    for (let at = slots[slot]!; at !== 0; slot = (slot + 1) & mask, at = slots[slot]!) {
      const route = at - 1;
      const key = route * this.words;
      if (this.#keys[key] !== w0 || this.#lengths[route] !== length) continue;
      if (this.words === 1) return route;
      if (this.#keys[key + 1] === w1 && this.#keys[key + 2] === w2 && this.#keys[key + 3] === w3) return route;
    }
    return -1;
  }

  #place(at: number): void {
    const key = at * this.words;
    const keys = this.#keys;
    const mask = this.#slots.length - 1;
    const [w1, w2, w3] = this.words === 1 ? [0, 0, 0] : [keys[key + 1]!, keys[key + 2]!, keys[key + 3]!];
    let slot = hash(keys[key]!, w1, w2, w3, this.#lengths[at]!) & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = at + 1;
  }

  #grow(): void {
    const capacity = Math.ceil(this.#lengths.length * 1.5);
    this.#keys = copy(new Uint32Array(capacity * this.words), this.#keys);
    this.#lengths = copy(new Uint8Array(capacity), this.#lengths);
    this.#paths = copy(new Uint32Array(capacity), this.#paths);
    const slots = slotsFor(capacity);
    if (slots === this.#slots.length) return;
    this.#slots = new Uint32Array(slots);
    for (let at = 0; at < this.#count; at += 1) this.#place(at);
  }
}

function copy<T extends Uint32Array | Uint8Array>(into: T, from: T): T {
  into.set(from);
  return into;
}

/** A power of two, at least 1.33 times the routes. */
function slotsFor(capacity: number): number {
  let slots = 32;
  while (slots * 3 < capacity * 4) slots *= 2;
  return slots;
}

function word(source: Uint8Array, offset: number): number {
  return (
    ((source[offset]! << 24) | (source[offset + 1]! << 16) | (source[offset + 2]! << 8) | source[offset + 3]!) >>> 0
  );
}

function hash(w0: number, w1: number, w2: number, w3: number, length: number): number {
  let h = Math.imul(w0 ^ Math.imul(w1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(w2 ^ Math.imul(w3, 0xc2b2ae35), 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15) ^ length, 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Clears the host bits of an address in place. */
export function maskBytes(target: Uint8Array, size: number, length: number): void {
  const whole = length >> 3;
  if (whole >= size) return;
  target[whole] = target[whole]! & ~(0xff >> (length & 7));
  target.fill(0, whole + 1, size);
}

function endsInDigits(text: string, from: number): boolean {
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 48 || code > 57) return false;
  }
  return true;
}

/** Reads a prefix into `target`, host bits cleared; its family and length as `family << 8 | length`. */
export function scanPrefixInto(text: string, target: Uint8Array): number {
  const slash = typeof text === 'string' ? text.indexOf('/') : -1;
  const six = slash > 0 && text.lastIndexOf(':', slash) >= 0;
  let length = -1;
  if (slash > 0) {
    const reason = six ? scanIpv6(text, 0, slash, target, 0) : scanIpv4(text, 0, slash, target, 0);
    if (reason === '') {
      const digits = text.length - slash - 1;
      const first = text.charCodeAt(slash + 1) - 48;
      if (digits === 1) length = first;
      else if (digits === 2 && first > 0) length = first * 10 + text.charCodeAt(slash + 2) - 48;
      else if (digits === 3 && first > 0) {
        length = first * 100 + (text.charCodeAt(slash + 2) - 48) * 10 + text.charCodeAt(slash + 3) - 48;
      }
    }
  }
  if (!(length >= 0 && length <= (six ? 128 : 32)) || !endsInDigits(text, slash + 1)) {
    parsePrefix(text); // says what is wrong
    throw new ArgumentRangeError(`${text} is no prefix`);
  }
  maskBytes(target, six ? 16 : 4, length);
  return ((six ? 6 : 4) << 8) | length;
}

// A set of routes in typed arrays: what a table should hold, or holds. For a million routes an object each would be
// hundreds of megabytes; here a route costs 12 (IPv4) or 24 (IPv6) bytes and its share of the hash slots, 8 to 16, and at
// most four times that with the room to grow by.
//
//   slots   hash(network, length) ─► number of the route + 1, 0: free, linear probing
//   routes  network, 1 or 4 words │ length, and the mark << 8 │ path set     one after the other, so that looking one up
//           reads one place of memory beside its slot; a deleted one keeps its place, its path set is NONE
//
// Invariant: a network's host bits are clear, so each route has one key.

import { ArgumentRangeError } from '../errors.js';
import { ipv4Text, ipv6Text, scanIpv6 } from '../net/ip.js';
import { parsePrefix } from '../net/index.js';

const NONE = 0xffffffff;
const LENGTH = 0xff;
const MARK_SHIFT = 8;
const bytes = new Uint8Array(16);
const view = new DataView(bytes.buffer);

/** Routes of one family. */
export class FamilyRoutes {
  readonly family: 4 | 6;
  readonly words: 1 | 4;
  readonly #stride: number;
  #routes: Uint32Array;
  #slots: Uint32Array;
  #count = 0;
  #live = 0;

  constructor(family: 4 | 6, room = 1024) {
    this.family = family;
    this.words = family === 4 ? 1 : 4;
    this.#stride = this.words + 2;
    const capacity = Math.max(16, room);
    this.#routes = new Uint32Array(capacity * this.#stride);
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
    return this.#routes.byteLength + this.#slots.byteLength;
  }

  /** The number of a route by its network's bytes, in order of the wire; -1 when it is not there. */
  find(source: Uint8Array, offset: number, length: number): number {
    const w0 = word(source, offset);
    if (this.words === 1) return this.#find4(w0, length);
    return this.#find6(w0, word(source, offset + 4), word(source, offset + 8), word(source, offset + 12), length);
  }

  /** Adds a route, or gives it other paths; its number. */
  set(source: Uint8Array, offset: number, length: number, pathSet: number): number {
    if ((this.#count + 1) * this.#stride > this.#routes.length) this.#grow();
    if (this.words === 1) return this.#set4(word(source, offset), length, pathSet);
    let at = this.find(source, offset, length);
    if (at < 0) {
      at = this.#count++;
      const { words } = this;
      const routes = this.#routes;
      const record = at * this.#stride;
      for (let i = 0; i < words; i += 1) routes[record + i] = word(source, offset + i * 4);
      routes[record + words] = length;
      routes[record + words + 1] = NONE;
      this.#place(at);
    }
    const paths = at * this.#stride + this.words + 1;
    if (this.#routes[paths] === NONE) this.#live += 1;
    this.#routes[paths] = pathSet;
    return at;
  }

  /** Forgets all routes, and keeps the room. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = this.#live = 0;
  }

  delete(at: number): boolean {
    const paths = at * this.#stride + this.words + 1;
    if (at < 0 || this.#routes[paths] === NONE) return false;
    this.#routes[paths] = NONE;
    this.#live -= 1;
    return true;
  }

  /** The path set of a route; -1 when it was deleted. */
  pathSet(at: number): number {
    const id = this.#routes[at * this.#stride + this.words + 1]!;
    return id === NONE ? -1 : id;
  }

  /** What a route was marked with, 0 at first. */
  mark(at: number): number {
    return this.#routes[at * this.#stride + this.words]! >>> MARK_SHIFT;
  }

  setMark(at: number, mark: number): void {
    const info = at * this.#stride + this.words;
    this.#routes[info] = (this.#routes[info]! & LENGTH) | (mark << MARK_SHIFT);
  }

  /** `10.0.0.0/8` */
  prefix(at: number): string {
    return `${this.network(at)}/${this.#routes[at * this.#stride + this.words]! & LENGTH}`;
  }

  network(at: number): string {
    const record = at * this.#stride;
    for (let i = 0; i < this.words; i += 1) view.setUint32(i * 4, this.#routes[record + i]!);
    return this.family === 4 ? ipv4Text(bytes, 0) : ipv6Text(bytes, 0);
  }

  #find4(w0: number, length: number): number {
    const slots = this.#slots;
    const routes = this.#routes;
    const mask = slots.length - 1;
    let slot = hash(w0, length) & mask;
    for (let at = slots[slot]!; at !== 0; slot = (slot + 1) & mask, at = slots[slot]!) {
      const record = (at - 1) * 3;
      if (routes[record] === w0 && (routes[record + 1]! & LENGTH) === length) return at - 1;
    }
    return -1;
  }

  /** With one walk through the slots. */
  #set4(w0: number, length: number, pathSet: number): number {
    const slots = this.#slots;
    const routes = this.#routes;
    const mask = slots.length - 1;
    let slot = hash(w0, length) & mask;
    for (let at = slots[slot]!; at !== 0; slot = (slot + 1) & mask, at = slots[slot]!) {
      const record = (at - 1) * 3;
      if (routes[record] !== w0 || (routes[record + 1]! & LENGTH) !== length) continue;
      if (routes[record + 2] === NONE) this.#live += 1;
      routes[record + 2] = pathSet;
      return at - 1;
    }
    const at = this.#count++;
    slots[slot] = at + 1;
    const record = at * 3;
    routes[record] = w0;
    routes[record + 1] = length;
    routes[record + 2] = pathSet;
    this.#live += 1;
    return at;
  }

  #find6(w0: number, w1: number, w2: number, w3: number, length: number): number {
    const slots = this.#slots;
    const routes = this.#routes;
    const mask = slots.length - 1;
    let slot = hash(fold(w0, w1, w2, w3), length) & mask;
    for (let at = slots[slot]!; at !== 0; slot = (slot + 1) & mask, at = slots[slot]!) {
      const record = (at - 1) * 6;
      if (routes[record] !== w0 || routes[record + 1] !== w1 || routes[record + 2] !== w2) continue;
      if (routes[record + 3] === w3 && (routes[record + 4]! & LENGTH) === length) return at - 1;
    }
    return -1;
  }

  #place(at: number): void {
    const routes = this.#routes;
    const slots = this.#slots;
    const record = at * this.#stride;
    const mask = slots.length - 1;
    const w0 = routes[record]!;
    const key = this.words === 1 ? w0 : fold(w0, routes[record + 1]!, routes[record + 2]!, routes[record + 3]!);
    let slot = hash(key, routes[record + this.words]! & LENGTH) & mask;
    while (slots[slot] !== 0) slot = (slot + 1) & mask;
    slots[slot] = at + 1;
  }

  /** By four, because every route has to be placed again. */
  #grow(): void {
    const routes = new Uint32Array(this.#routes.length * 4);
    routes.set(this.#routes);
    this.#routes = routes;
    this.#slots = new Uint32Array(slotsFor(routes.length / this.#stride));
    for (let at = 0; at < this.#count; at += 1) this.#place(at);
  }
}

/** A power of two, at least twice the routes: few neighbours to look at. */
function slotsFor(capacity: number): number {
  let slots = 32;
  while (slots < capacity * 2) slots *= 2;
  return slots;
}

function word(source: Uint8Array, offset: number): number {
  return (
    ((source[offset]! << 24) | (source[offset + 1]! << 16) | (source[offset + 2]! << 8) | source[offset + 3]!) >>> 0
  );
}

function fold(w0: number, w1: number, w2: number, w3: number): number {
  return Math.imul(w0 ^ Math.imul(w1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(w2 ^ Math.imul(w3, 0xc2b2ae35), 0x27d4eb2f);
}

function hash(key: number, length: number): number {
  let h = Math.imul(key ^ (key >>> 15) ^ length, 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** Clears the host bits of an address in place. */
export function maskBytes(target: Uint8Array, size: number, length: number): void {
  const whole = length >> 3;
  if (whole >= size) return;
  target[whole] = target[whole]! & ~(0xff >> (length & 7));
  for (let at = whole + 1; at < size; at += 1) target[at] = 0; // by hand: few bytes, and fill is a call out of JavaScript
}

const SLASH = 47;
const DOT = 46;

/** Reads an IPv4 prefix in one go; its length, or -1 when it is not quite one. */
function scanPrefix4(text: string, target: Uint8Array): number {
  const end = text.length;
  let at = 0;
  for (let part = 0; part <= 4; part += 1) {
    const first = at;
    let value = 0;
    let code = 0;
    for (; at < end; at += 1) {
      code = text.charCodeAt(at);
      if (code < 48 || code > 57) break;
      value = value * 10 + code - 48;
    }
    const digits = at - first;
    if (digits === 0 || digits > 3 || (digits > 1 && text.charCodeAt(first) === 48)) return -1;
    if (part === 4) return at === end && value <= 32 ? value : -1;
    if (value > 255 || at === end || code !== (part === 3 ? SLASH : DOT)) return -1;
    target[part] = value;
    at += 1;
  }
  return -1;
}

/** Reads an IPv6 prefix; its length, or -1 when it is none. */
function scanPrefix6(text: string, target: Uint8Array): number {
  const slash = text.indexOf('/');
  if (slash < 0 || scanIpv6(text, 0, slash, target, 0) !== '') return -1;
  const length = text.slice(slash + 1);
  return /^(0|[1-9]\d{0,2})$/.test(length) && Number(length) <= 128 ? Number(length) : -1;
}

/** Reads a prefix into `target`, host bits cleared; its family and length as `family << 8 | length`. */
export function scanPrefixInto(text: string, target: Uint8Array): number {
  if (typeof text === 'string') {
    const four = scanPrefix4(text, target);
    if (four >= 0) {
      maskBytes(target, 4, four);
      return (4 << 8) | four;
    }
    const six = scanPrefix6(text, target);
    if (six >= 0) {
      maskBytes(target, 16, six);
      return (6 << 8) | six;
    }
  }
  parsePrefix(text); // says what is wrong
  throw new ArgumentRangeError(`${text} is no prefix`);
}

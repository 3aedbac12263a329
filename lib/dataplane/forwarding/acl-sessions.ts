// Sessions that `permit+reflect` makes: flat arrays, found by either direction, bounded and aged.
//
//   key      source, destination (4 words each), ports, and protocol | direction | interface
//   hash     session * 2 + 1, or + 2 for the key of the way back: addresses and ports changed over, direction too
//
// Idle times as in VPP: TCP that has seen SYN and ACK both ways is long-lived, other TCP short-lived, the rest as UDP.

import type { AclSessionLimits } from './control.js';

const WORDS = 10;
const DIRECTION = 1 << 16;

/** Address pair, ports, and what else tells a session from another. Filled by the ACL node for each packet. */
export interface SessionKey {
  readonly words: Uint32Array;
  tcpFlags: number;
}

export class AclSessions {
  readonly limits: Required<AclSessionLimits> = { max: 500_000, udpIdleS: 600, tcpIdleS: 86_400, tcpTransientS: 120 };
  added = 0;
  deleted = 0;
  active = 0;
  #keys = new Uint32Array(64 * WORDS);
  #lastMs = new Float64Array(64);
  #flags = new Uint16Array(64);
  #used = new Uint8Array(64);
  #hash = new Uint32Array(256);
  readonly #free: number[] = [];
  #next = 0;
  readonly #other = new Uint32Array(WORDS);

  /** Whether a packet belongs to a session, whose idle time starts anew then. */
  find(key: SessionKey, nowMs: number): boolean {
    if (this.active === 0) return false;
    const mask = this.#hash.length - 1;
    let at = hash(key.words) & mask;
    for (let value = this.#hash[at]!; value !== 0; value = this.#hash[at]!) {
      const session = (value - 1) >>> 1;
      const back = (value - 1) & 1;
      if (this.#same(session, back, key.words)) {
        if (this.#expired(session, nowMs)) {
          this.#remove(session);
          return false;
        }
        this.#lastMs[session] = nowMs;
        this.#flags[session] = this.#flags[session]! | ((key.tcpFlags & 0x3f) << (back * 8));
        return true;
      }
      at = (at + 1) & mask;
    }
    return false;
  }

  /** Adds the session of a packet; false when there is no room. `typeBack` is the ICMP type of answers, -1 for ports. */
  add(key: SessionKey, typeBack: number, nowMs: number): boolean {
    if (this.active >= this.limits.max) {
      this.tick(nowMs);
      if (this.active >= this.limits.max) return false;
    }
    const session = this.#free.pop() ?? this.#next++;
    if (session >= this.#used.length) this.#grow();
    this.#keys.set(key.words, session * WORDS);
    this.#lastMs[session] = nowMs;
    this.#flags[session] = key.tcpFlags & 0x3f;
    // Answers to ICMP carry another type: it is kept beside the flags, of which ICMP has none.
    this.#used[session] = 1;
    if (typeBack >= 0) this.#flags[session] = 0x8000 | typeBack;
    this.active++;
    this.added++;
    if (this.active * 4 > this.#hash.length) this.#rehash(this.#hash.length * 4);
    else this.#link(session);
    return true;
  }

  clear(which?: (swIfIndex: number) => boolean): void {
    for (let session = 0; session < this.#next; session++) {
      if (this.#used[session] === 1 && (which === undefined || which(this.#keys[session * WORDS + 9]! & 0xffff))) {
        this.#remove(session);
      }
    }
  }

  /** Forgets idle ones. */
  tick(nowMs: number): void {
    if (this.active === 0) return;
    for (let session = 0; session < this.#next; session++) {
      if (this.#used[session] === 1 && this.#expired(session, nowMs)) this.#remove(session);
    }
  }

  #expired(session: number, nowMs: number): boolean {
    const { limits } = this;
    let idleS = limits.udpIdleS;
    if (this.#keys[session * WORDS + 9]! >>> 24 === 6) {
      // SYN and ACK, no FIN or RST, both ways.
      idleS = (this.#flags[session]! & 0x1717) === 0x1212 ? limits.tcpIdleS : limits.tcpTransientS;
    }
    return nowMs - this.#lastMs[session]! > idleS * 1000;
  }

  /** The key of the way back. */
  #turn(session: number): Uint32Array {
    const from = session * WORDS;
    const keys = this.#keys;
    const other = this.#other;
    for (let i = 0; i < 4; i++) {
      other[i] = keys[from + 4 + i]!;
      other[4 + i] = keys[from + i]!;
    }
    const ports = keys[from + 8]!;
    const flags = this.#flags[session]!;
    other[8] = (flags & 0x8000) !== 0 ? ((flags & 0xff) << 16) | (ports & 0xffff) : (ports << 16) | (ports >>> 16);
    other[9] = keys[from + 9]! ^ DIRECTION;
    return other;
  }

  #same(session: number, back: number, words: Uint32Array): boolean {
    const keys = back === 1 ? this.#turn(session) : this.#keys;
    const from = back === 1 ? 0 : session * WORDS;
    for (let i = 0; i < WORDS; i++) if (keys[from + i] !== words[i]) return false;
    return true;
  }

  #link(session: number): void {
    this.#put(hash(this.#keys.subarray(session * WORDS, session * WORDS + WORDS)), session * 2 + 1);
    this.#put(hash(this.#turn(session)), session * 2 + 2);
  }

  #put(h: number, value: number): void {
    const mask = this.#hash.length - 1;
    let at = h & mask;
    while (this.#hash[at] !== 0) at = (at + 1) & mask;
    this.#hash[at] = value;
  }

  #homeOf(value: number): number {
    const session = (value - 1) >>> 1;
    const words =
      ((value - 1) & 1) === 1 ? this.#turn(session) : this.#keys.subarray(session * WORDS, session * WORDS + WORDS);
    return hash(words) & (this.#hash.length - 1);
  }

  #remove(session: number): void {
    this.#unlink(session * 2 + 1);
    this.#unlink(session * 2 + 2);
    this.#used[session] = 0;
    this.#free.push(session);
    this.active--;
    this.deleted++;
  }

  #unlink(value: number): void {
    const table = this.#hash;
    const mask = table.length - 1;
    let hole = this.#homeOf(value);
    while (table[hole] !== value) {
      if (table[hole] === 0) return;
      hole = (hole + 1) & mask;
    }
    for (let at = hole; ;) {
      at = (at + 1) & mask;
      if (table[at] === 0) break;
      if (((at - this.#homeOf(table[at]!)) & mask) < ((at - hole) & mask)) continue;
      table[hole] = table[at]!;
      hole = at;
    }
    table[hole] = 0;
  }

  #rehash(size: number): void {
    this.#hash = new Uint32Array(size);
    for (let session = 0; session < this.#next; session++) if (this.#used[session] === 1) this.#link(session);
  }

  #grow(): void {
    const to = this.#used.length * 2;
    const keys = new Uint32Array(to * WORDS);
    keys.set(this.#keys);
    this.#keys = keys;
    const last = new Float64Array(to);
    last.set(this.#lastMs);
    this.#lastMs = last;
    const flags = new Uint16Array(to);
    flags.set(this.#flags);
    this.#flags = flags;
    const used = new Uint8Array(to);
    used.set(this.#used);
    this.#used = used;
  }
}

export const sessionWords = WORDS;

/** The last word of a key. */
export const sessionTail = (protocol: number, isInput: boolean, swIfIndex: number): number =>
  ((protocol << 24) | (isInput ? DIRECTION : 0) | (swIfIndex & 0xffff)) >>> 0;

function hash(words: Uint32Array): number {
  let h = 0x9e3779b9;
  for (let i = 0; i < WORDS; i++) {
    h = Math.imul(h ^ words[i]!, 0x85ebca6b);
    h ^= h >>> 13;
  }
  return (h ^ (h >>> 16)) >>> 0;
}

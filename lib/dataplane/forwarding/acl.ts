// Access lists: rules in flat arrays, the first that fits decides; what fits none of an interface's list is denied.
//
// Matches as VPP's acl plugin does: rules of the other family are passed over; a later fragment fits a rule by addresses
// and protocol alone; ICMP types and codes stand where ports do.

import { ArgumentRangeError } from '../../errors.js';
import { AclSessions, sessionTail, sessionWords } from './acl-sessions.js';
import type { AclRule } from './control.js';
import { maskWords } from './fib.js';
import { Feature } from './interfaces.js';
import { wordsOf } from './paths.js';
import type { Plane } from './plane.js';
import { prefixParts } from './values.js';

/** Words of a rule: two addresses and two masks of four, then ports, protocol, flags, action. */
const WORDS = 24;
const MAX_RULES = 65_536;

interface Acl {
  readonly rules4: Uint32Array;
  readonly rules6: Uint32Array;
  /** Packets and bytes of each rule, in the order they were given. */
  readonly counters: Float64Array;
}

export class Acls {
  readonly sessions = new AclSessions();
  readonly #plane: Plane;
  readonly #acls = new Map<number, Acl>();
  readonly #key = { words: new Uint32Array(sessionWords), tcpFlags: 0 };
  #protocol = 0;
  #sport = 0;
  #dport = 0;
  #laterFragment = false;
  #l4Valid = false;
  readonly #errors: { deny: number; full: number; inDeny: number };

  constructor(plane: Plane) {
    this.#plane = plane;
    const { graph } = plane;
    this.#errors = {
      inDeny: graph.error('acl-plugin-in-ip4-fa', 'acl_drop', 'ACL deny packets'),
      deny: graph.error('acl-plugin-out-ip4-fa', 'acl_drop', 'ACL deny packets'),
      full: graph.error('acl-plugin-in-ip4-fa', 'acl_too_many_sessions', 'Too many sessions to add new'),
    };
  }

  set(index: number, rules: readonly AclRule[]): void {
    if (rules.length > MAX_RULES)
      throw new ArgumentRangeError(`ACL ${index}: ${rules.length} rules; at most ${MAX_RULES}`);
    const four: number[][] = [];
    const six: number[][] = [];
    rules.forEach((rule, number) => {
      const source = prefixParts(rule.source);
      const destination = prefixParts(rule.destination);
      const row: number[] = [];
      for (const { bytes, length } of [source, destination]) {
        const words = wordsOf(bytes);
        const mask = maskWords(new Array<number>(words.length).fill(0xffffffff), length, new Uint32Array(words.length));
        // VPP compares the masked packet with the address as given: host bits in a rule match nothing.
        for (let i = 0; i < 4; i++) row.push(length === 0 ? 0 : (words[i] ?? 0));
        for (let i = 0; i < 4; i++) row.push(mask[i] ?? 0);
      }
      row.push(
        rule.protocol,
        rule.sourceFirst,
        rule.sourceLast,
        rule.destinationFirst,
        rule.destinationLast,
        rule.tcpFlagsMask,
        rule.tcpFlagsValue,
        rule.action | (number << 2),
      );
      (source.bytes.length === 16 ? six : four).push(row);
    });
    this.#acls.set(index, {
      rules4: Uint32Array.from(four.flat()),
      rules6: Uint32Array.from(six.flat()),
      counters: new Float64Array(rules.length * 2),
    });
  }

  remove(index: number): void {
    this.#acls.delete(index);
  }

  counters(index: number): Float64Array {
    const acl = this.#acls.get(index);
    if (acl === undefined) throw new ArgumentRangeError(`ACL: there is no list ${index}`);
    return acl.counters;
  }

  setLists(swIfIndex: number, input: readonly number[], output: readonly number[]): void {
    const { interfaces } = this.#plane;
    const state = interfaces.get(swIfIndex);
    state.aclIn = [...input];
    state.aclOut = [...output];
    interfaces.setFeature(swIfIndex, Feature.aclIn, input.length > 0);
    interfaces.setFeature(swIfIndex, Feature.aclOut, output.length > 0);
    if (input.length + output.length === 0) this.sessions.clear((index) => index === (swIfIndex & 0xffff));
  }

  /** Whether a packet may pass an interface; when not it has been dropped. */
  check(p: number, swIfIndex: number, isInput: boolean, isIp6: boolean): boolean {
    const plane = this.#plane;
    const { vector, graph, interfaces } = plane;
    const at = vector.l3[p]!;
    const bytes = vector.bytes;
    const end = vector.offset[p]! + vector.length[p]!;
    if (!this.#read(bytes, at, end, isIp6)) {
      graph.drop(p, isInput ? this.#errors.inDeny : this.#errors.deny);
      return false;
    }
    const key = this.#key;
    key.words[9] = sessionTail(this.#protocol, isInput, swIfIndex);
    const now = plane.now();
    if (this.sessions.find(key, now)) return true;
    const state = interfaces.get(swIfIndex);
    const action = this.#match(isInput ? state.aclIn : state.aclOut, isIp6, end - at);
    if (action === 2 && !this.#laterFragment) {
      const back = this.#typeBack(isIp6);
      if (back !== undefined && !this.sessions.add(key, back, now)) {
        graph.drop(p, this.#errors.full);
        return false;
      }
    }
    if (action > 0) return true;
    graph.drop(p, isInput ? this.#errors.inDeny : this.#errors.deny);
    return false;
  }

  /** The ICMP type of answers; -1 for protocols with ports; undefined when no session is made. */
  #typeBack(isIp6: boolean): number | undefined {
    if (this.#protocol === 1 && !isIp6) {
      const type = this.#sport;
      return type === 8 ? 0 : type === 13 || type === 15 || type === 17 ? type + 1 : undefined;
    }
    if (this.#protocol === 58 && isIp6) return this.#sport === 128 ? 129 : this.#sport === 139 ? 140 : undefined;
    return -1;
  }

  #read(bytes: Uint8Array, at: number, end: number, isIp6: boolean): boolean {
    const { words } = this.#key;
    let l4: number;
    let protocol: number;
    this.#laterFragment = false;
    if (isIp6) {
      if (at + 40 > end) return false;
      for (let i = 0; i < 8; i++) words[i] = word(bytes, at + 8 + i * 4);
      protocol = bytes[at + 6]!;
      l4 = at + 40;
      for (
        let n = 0;
        n < 8 && (protocol === 0 || protocol === 43 || protocol === 44 || protocol === 60) && l4 + 8 <= end;
        n++
      ) {
        const next = bytes[l4]!;
        if (protocol === 44) {
          if ((((bytes[l4 + 2]! << 8) | bytes[l4 + 3]!) & 0xfff8) !== 0) this.#laterFragment = true;
          l4 += 8;
        } else l4 += (bytes[l4 + 1]! + 1) * 8;
        protocol = next;
      }
    } else {
      if (at + 20 > end) return false;
      words[0] = word(bytes, at + 12);
      words[4] = word(bytes, at + 16);
      words[1] = words[2] = words[3] = words[5] = words[6] = words[7] = 0;
      protocol = bytes[at + 9]!;
      l4 = at + (bytes[at]! & 15) * 4;
      if ((((bytes[at + 6]! << 8) | bytes[at + 7]!) & 0x1fff) !== 0) this.#laterFragment = true;
    }
    this.#protocol = protocol;
    this.#sport = 0;
    this.#dport = 0;
    this.#key.tcpFlags = 0;
    this.#l4Valid = !this.#laterFragment && l4 < end;
    if (this.#l4Valid) {
      if (protocol === 1 || protocol === 58) {
        this.#sport = bytes[l4]!;
        this.#dport = l4 + 1 < end ? bytes[l4 + 1]! : 0;
      } else if ((protocol === 6 || protocol === 17) && l4 + 4 <= end) {
        this.#sport = (bytes[l4]! << 8) | bytes[l4 + 1]!;
        this.#dport = (bytes[l4 + 2]! << 8) | bytes[l4 + 3]!;
        if (protocol === 6 && l4 + 14 <= end) this.#key.tcpFlags = bytes[l4 + 13]!;
      }
    }
    words[8] = ((this.#sport << 16) | this.#dport) >>> 0;
    return true;
  }

  #match(lists: readonly number[], isIp6: boolean, length: number): number {
    const { words, tcpFlags } = this.#key;
    for (const index of lists) {
      const acl = this.#acls.get(index);
      // A list that does not exist, but is applied, blocks.
      if (acl === undefined) return 0;
      const rules = isIp6 ? acl.rules6 : acl.rules4;
      for (let r = 0; r < rules.length; r += WORDS) {
        let fits = true;
        for (let side = 0; side < 2 && fits; side++) {
          const from = r + side * 8;
          for (let i = 0; i < 4; i++) {
            if ((words[side * 4 + i]! & rules[from + 4 + i]!) >>> 0 !== rules[from + i]!) {
              fits = false;
              break;
            }
          }
        }
        if (!fits) continue;
        const protocol = rules[r + 16]!;
        const decision = rules[r + 23]!;
        if (protocol !== 0) {
          if (protocol !== this.#protocol) continue;
          if (!this.#laterFragment) {
            if (!this.#l4Valid) continue;
            if (this.#sport < rules[r + 17]! || this.#sport > rules[r + 18]!) continue;
            if (this.#dport < rules[r + 19]! || this.#dport > rules[r + 20]!) continue;
            if (this.#protocol === 6 && (tcpFlags & rules[r + 21]!) !== rules[r + 22]!) continue;
          }
        }
        const at = (decision >>> 2) * 2;
        acl.counters[at]!++;
        acl.counters[at + 1]! += length;
        return decision & 3;
      }
    }
    return 0;
  }
}

const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

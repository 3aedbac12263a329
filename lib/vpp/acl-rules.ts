// ACL rules in text and back.
//
//   ACTION PROTOCOL SOURCE [port PORTS] -> DESTINATION [port PORTS] [type N] [code N] [flags NAMES]
//
//   permit tcp 10.0.0.0/8 -> any port 80-443          permit icmp any -> any type 8
//   reflect udp 10.0.0.0/8 port 1024- -> 10.9.9.9 port 53
//   deny tcp any -> 2001:db8::/32 flags syn,!ack      deny any any -> any
//
// ACTION     permit, deny, reflect (permit, and let the answers in)
// PROTOCOL   any, tcp, udp, icmp, icmp6, sctp, gre, esp, ah, ospf, igmp, eigrp, or a number
// SOURCE     a prefix, an address, any; any4 and any6 where nothing else tells the family
// PORTS      80, 80-443, 1024-, -1023
//
// A rule of VPP is of one family. `any -> any` is therefore two rules in VPP, and one line here. Invariant: parsing what
// was formatted gives the same rules.

import { isIpv6, normalizeIp, networkPrefix, isPrefix, isIpv4 } from '../net/index.js';
import { VppTextError } from '../errors.js';

/** First and last, both included. */
export type Range = readonly [first: number, last: number];

/** A rule, of one family. */
export interface AclRule {
  readonly action: 'permit' | 'deny' | 'reflect';
  /** Number of the IP protocol; 0: any. */
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  /** Of TCP, UDP and SCTP; left out: any. */
  readonly sourcePorts?: Range;
  readonly destinationPorts?: Range;
  /** Of ICMP; left out: any. */
  readonly icmpType?: Range;
  readonly icmpCode?: Range;
  /** Flags of TCP that are looked at, and the values they must have. */
  readonly tcpFlags?: { readonly mask: number; readonly value: number };
}

const protocols: Readonly<Record<string, number>> = {
  any: 0,
  ip: 0,
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  eigrp: 88,
  ospf: 89,
  sctp: 132,
};
const ICMP = 1;
const ICMP6 = 58;
const TCP = 6;
const withPorts = new Set([TCP, 17, 132]);
const flagNames = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr'] as const;

const ANY4 = '0.0.0.0/0';
const ANY6 = '::/0';

function refuse(text: string, problem: string): never {
  throw new VppTextError(
    'ERR_VPP_RULE',
    `the rule "${text}" cannot be read: ${problem}; write, for example, "permit tcp 10.0.0.0/8 -> any port 80-443"`,
  );
}

/** Takes words one after the other. */
class Words {
  readonly text: string;
  readonly #words: string[];
  #at = 0;

  constructor(text: string) {
    this.text = text;
    this.#words = text.trim().split(/\s+/);
  }

  get done(): boolean {
    return this.#at >= this.#words.length;
  }

  next(what: string): string {
    const word = this.#words[this.#at++];
    if (word === undefined || word === '') refuse(this.text, `${what} is missing`);
    return word;
  }

  /** Takes the word when it is this one. */
  takes(word: string): boolean {
    if (this.#words[this.#at] !== word) return false;
    this.#at += 1;
    return true;
  }
}

function range(words: Words, what: string, max: number): Range {
  const word = words.next(what);
  const [, first, dash, last] = /^(\d*)(-?)(\d*)$/.exec(word) ?? [];
  if (first === undefined || (first === '' && last === '')) refuse(words.text, `"${word}" is no ${what}`);
  const from = first === '' ? 0 : Number(first);
  const to = dash === '' ? from : last === '' ? max : Number(last);
  if (from > to || to > max) refuse(words.text, `the ${what} ${word} is not within 0-${max}, or ends before it starts`);
  return [from, to];
}

interface End {
  readonly family: 4 | 6 | 0;
  readonly prefix: string;
}

function end(words: Words, what: string): End {
  const word = words.next(what);
  if (word === 'any') return { family: 0, prefix: '' };
  if (word === 'any4') return { family: 4, prefix: ANY4 };
  if (word === 'any6') return { family: 6, prefix: ANY6 };
  if (isPrefix(word)) return { family: word.includes(':') ? 6 : 4, prefix: networkPrefix(word) };
  if (isIpv4(word)) return { family: 4, prefix: `${normalizeIp(word)}/32` };
  if (isIpv6(word)) return { family: 6, prefix: `${normalizeIp(word)}/128` };
  return refuse(words.text, `"${word}" is no ${what}: a prefix, an address, or any`);
}

function tcpFlags(words: Words): { mask: number; value: number } {
  let mask = 0;
  let value = 0;
  for (const part of words.next('TCP flags').split(',')) {
    const clear = part.startsWith('!');
    const bit = flagNames.indexOf((clear ? part.slice(1) : part) as 'fin');
    if (bit < 0) refuse(words.text, `"${part}" is no TCP flag (${flagNames.join(', ')}, or ! and one of them)`);
    mask |= 1 << bit;
    if (!clear) value |= 1 << bit;
  }
  return { mask, value };
}

/**
 * Reads a rule; two, one of each family, where the text says nothing of the family.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { parseAclRule } from 'node-vpp/vpp';
 *
 * assert.deepEqual(parseAclRule('permit tcp 10.0.0.0/8 -> any port 80-443'), [
 *   { action: 'permit', protocol: 6, source: '10.0.0.0/8', destination: '0.0.0.0/0', destinationPorts: [80, 443] },
 * ]);
 * assert.equal(parseAclRule('deny any any -> any').length, 2);
 * assert.throws(() => parseAclRule('permit tcp 10.0.0.0/33 -> any'), { code: 'ERR_VPP_RULE' });
 * ```
 *
 * @throws VppTextError `ERR_VPP_RULE`, saying what cannot be read
 */
export function parseAclRule(text: string): AclRule[] {
  const words = new Words(text);
  const action = words.next('the action');
  if (action !== 'permit' && action !== 'deny' && action !== 'reflect') {
    refuse(text, `"${action}" is no action (permit, deny, reflect)`);
  }
  const word = words.next('the protocol');
  const protocol = /^\d+$/.test(word) ? Number(word) : protocols[word];
  if (protocol === undefined || protocol > 255) refuse(text, `"${word}" is no protocol`);
  const source = end(words, 'source');
  const ports = (): Range | undefined => {
    if (!words.takes('port')) return undefined;
    if (!withPorts.has(protocol)) refuse(text, `${word} has no ports`);
    return range(words, 'port', 65_535);
  };
  const sourcePorts = ports();
  if (!words.takes('->')) refuse(text, '"->" is missing between source and destination');
  const destination = end(words, 'destination');
  const destinationPorts = ports();
  let icmpType: Range | undefined;
  let icmpCode: Range | undefined;
  let flags: AclRule['tcpFlags'];
  while (!words.done) {
    const option = words.next('an option');
    const icmp = protocol === ICMP || protocol === ICMP6;
    if (option === 'type' && icmp) icmpType = range(words, 'ICMP type', 255);
    else if (option === 'code' && icmp) icmpCode = range(words, 'ICMP code', 255);
    else if (option === 'flags' && protocol === TCP) flags = tcpFlags(words);
    else refuse(text, `"${option}" is not understood here`);
  }
  const ofProtocol = protocol === ICMP ? 4 : protocol === ICMP6 ? 6 : 0;
  const families = new Set([source.family, destination.family, ofProtocol].filter((family) => family !== 0));
  if (families.size > 1) refuse(text, 'it mixes IPv4 and IPv6');
  const [family] = families;
  return (family === undefined ? ([4, 6] as const) : [family]).map((version) => {
    const any = version === 6 ? ANY6 : ANY4;
    return {
      action,
      protocol,
      source: source.prefix || any,
      destination: destination.prefix || any,
      ...(sourcePorts === undefined ? {} : { sourcePorts }),
      ...(destinationPorts === undefined ? {} : { destinationPorts }),
      ...(icmpType === undefined ? {} : { icmpType }),
      ...(icmpCode === undefined ? {} : { icmpCode }),
      ...(flags === undefined ? {} : { tcpFlags: flags }),
    };
  });
}

/** Reads rules: text, or objects as they are. */
export function parseAclRules(rules: readonly (string | AclRule)[]): AclRule[] {
  return rules.flatMap((rule) => (typeof rule === 'string' ? parseAclRule(rule) : [rule]));
}

const show = ([first, last]: Range): string => (first === last ? `${first}` : `${first}-${last}`);

function endText(prefix: string, other: string, decided: boolean): string {
  if (prefix === ANY4 || prefix === ANY6) {
    if (decided || (other !== ANY4 && other !== ANY6)) return 'any';
    return prefix === ANY4 ? 'any4' : 'any6';
  }
  const host = prefix.includes(':') ? '/128' : '/32';
  return prefix.endsWith(host) ? prefix.slice(0, -host.length) : prefix;
}

/** Writes one rule, the other way round. */
export function formatAclRule(rule: AclRule, bothFamilies = false): string {
  const { action, protocol, source, destination, sourcePorts, destinationPorts, icmpType, icmpCode, tcpFlags } = rule;
  const name = Object.keys(protocols).find((key) => protocols[key] === protocol) ?? String(protocol);
  const decided = bothFamilies || protocol === ICMP || protocol === ICMP6;
  const parts = [action, name, endText(source, destination, decided)];
  if (sourcePorts !== undefined) parts.push('port', show(sourcePorts));
  parts.push('->', endText(destination, source, decided));
  if (destinationPorts !== undefined) parts.push('port', show(destinationPorts));
  if (icmpType !== undefined) parts.push('type', show(icmpType));
  if (icmpCode !== undefined) parts.push('code', show(icmpCode));
  if (tcpFlags !== undefined) {
    const names = flagNames.flatMap((flag, bit) => {
      if (((tcpFlags.mask >> bit) & 1) === 0) return [];
      return ((tcpFlags.value >> bit) & 1) === 1 ? [flag] : [`!${flag}`];
    });
    parts.push('flags', names.join(','));
  }
  return parts.join(' ');
}

/**
 * Writes rules; two that differ only in the family of any → any become one line.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { formatAclRule, formatAclRules, parseAclRules } from 'node-vpp/vpp';
 *
 * const text = ['permit tcp 10.0.0.0/8 -> any port 80-443', 'deny any any -> any'];
 * const rules = parseAclRules(text);
 * assert.equal(rules.length, 3);
 * assert.deepEqual(formatAclRules(rules), text);
 * assert.equal(formatAclRule(rules[0]!), text[0]);
 * ```
 */
export function formatAclRules(rules: readonly AclRule[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < rules.length; at += 1) {
    const rule = rules[at]!;
    const next = rules[at + 1];
    const pair =
      next !== undefined &&
      rule.source === ANY4 &&
      rule.destination === ANY4 &&
      formatAclRule({ ...rule, source: ANY6, destination: ANY6 }) === formatAclRule(next) &&
      rule.protocol !== ICMP &&
      rule.protocol !== ICMP6;
    lines.push(formatAclRule(rule, pair));
    if (pair) at += 1;
  }
  return lines;
}

const actions = ['deny', 'permit', 'reflect'] as const;

/** An acl_rule of VPP. */
export interface WireAclRule {
  is_permit: number;
  src_prefix: string;
  dst_prefix: string;
  proto: number;
  srcport_or_icmptype_first: number;
  srcport_or_icmptype_last: number;
  dstport_or_icmpcode_first: number;
  dstport_or_icmpcode_last: number;
  tcp_flags_mask: number;
  tcp_flags_value: number;
}

const ALL: Range = [0, 65_535];

/** A rule as VPP wants it. */
export function wireAclRule(rule: AclRule): WireAclRule {
  const icmp = rule.protocol === ICMP || rule.protocol === ICMP6;
  const [first, last] = (icmp ? rule.icmpType : rule.sourcePorts) ?? ALL;
  const [from, to] = (icmp ? rule.icmpCode : rule.destinationPorts) ?? ALL;
  return {
    is_permit: actions.indexOf(rule.action),
    src_prefix: rule.source,
    dst_prefix: rule.destination,
    proto: rule.protocol,
    srcport_or_icmptype_first: first,
    srcport_or_icmptype_last: last,
    dstport_or_icmpcode_first: from,
    dstport_or_icmpcode_last: to,
    tcp_flags_mask: rule.tcpFlags?.mask ?? 0,
    tcp_flags_value: rule.tcpFlags?.value ?? 0,
  };
}

/** A rule that VPP has. */
export function heldAclRule(row: WireAclRule): AclRule {
  const protocol = row.proto;
  const icmp = protocol === ICMP || protocol === ICMP6;
  const first: Range = [row.srcport_or_icmptype_first, row.srcport_or_icmptype_last];
  const second: Range = [row.dstport_or_icmpcode_first, row.dstport_or_icmpcode_last];
  const max = icmp ? 255 : 65_535;
  const limited = ([from, to]: Range): boolean => from > 0 || to < max;
  const ports = withPorts.has(protocol);
  return {
    action: actions[row.is_permit] ?? 'deny',
    protocol,
    source: networkPrefix(row.src_prefix),
    destination: networkPrefix(row.dst_prefix),
    ...(ports && limited(first) ? { sourcePorts: first } : {}),
    ...(ports && limited(second) ? { destinationPorts: second } : {}),
    ...(icmp && limited(first) ? { icmpType: first } : {}),
    ...(icmp && limited(second) ? { icmpCode: second } : {}),
    ...(row.tcp_flags_mask === 0 ? {} : { tcpFlags: { mask: row.tcp_flags_mask, value: row.tcp_flags_value } }),
  };
}

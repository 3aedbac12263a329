// What kind of address it is, and the addresses that follow from another one.
//
//   IPv4  0.0.0.0 unspecified · 127/8 loopback · 169.254/16 link local · 10/8 172.16/12 192.168/16 private · 224/4 multicast
//   IPv6  ::      unspecified · ::1   loopback · fe80::/10  link local · fc00::/7 private                  · ff00::/8 multicast
//
// Sources: RFC 1122, 3927, 1918, 5771; RFC 4291 (2.5, 2.7), 4193; derived addresses RFC 1112 6.4, 2464 (4, 7), 4291 2.7.1.

import { refuse } from './text.js';
import { ipv6Text, mustScan, parseIpv6, putIpv6 } from './ip.js';
import { macText, parseMac } from './mac.js';

const scratch = new Uint8Array(16);

/** Whether the address is `0.0.0.0` or `::`. */
export function isUnspecified(text: string): boolean {
  const length = mustScan(text, scratch);
  for (let i = 0; i < length; i += 1) if (scratch[i] !== 0) return false;
  return true;
}

/** Whether the address is in 127.0.0.0/8 or is `::1`. */
export function isLoopback(text: string): boolean {
  if (mustScan(text, scratch) === 4) return scratch[0] === 127;
  for (let i = 0; i < 15; i += 1) if (scratch[i] !== 0) return false;
  return scratch[15] === 1;
}

/** Whether the address names a group: 224.0.0.0/4 or ff00::/8. */
export function isMulticast(text: string): boolean {
  return mustScan(text, scratch) === 4 ? scratch[0]! >> 4 === 14 : scratch[0] === 255;
}

/** Whether the address is only valid on its link: 169.254.0.0/16 or fe80::/10. */
export function isLinkLocal(text: string): boolean {
  if (mustScan(text, scratch) === 4) return scratch[0] === 169 && scratch[1] === 254;
  return scratch[0] === 0xfe && (scratch[1]! & 0xc0) === 0x80;
}

/** Whether the address is for private use: RFC 1918, or fc00::/7. */
export function isPrivate(text: string): boolean {
  if (mustScan(text, scratch) === 16) return (scratch[0]! & 0xfe) === 0xfc;
  const [first, second] = scratch as unknown as [number, number];
  return first === 10 || (first === 172 && second >> 4 === 1) || (first === 192 && second === 168);
}

/** Whether the address is 255.255.255.255. */
export function isBroadcast(text: string): boolean {
  return mustScan(text, scratch) === 4 && (scratch[0]! & scratch[1]! & scratch[2]! & scratch[3]!) === 255;
}

/** Whether the address is `::ffff:a.b.c.d`. */
export function isIpv4Mapped(text: string): boolean {
  if (mustScan(text, scratch) === 4) return false;
  for (let i = 0; i < 10; i += 1) if (scratch[i] !== 0) return false;
  return scratch[10] === 255 && scratch[11] === 255;
}

/**
 * The solicited-node multicast address of an IPv6 address: `ff02::1:ff` and its last three bytes (RFC 4291 2.7.1).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { multicastMac, solicitedNode } from 'node-vpp/net';
 *
 * assert.equal(solicitedNode('2001:db8::0102:0304'), 'ff02::1:ff02:304');
 * assert.equal(multicastMac('ff02::1:ff02:304'), '33:33:ff:02:03:04');
 * ```
 */
export function solicitedNode(text: string): string {
  const bytes = parseIpv6('ff02::1:ff00:0');
  putIpv6(scratch, 0, text);
  bytes.set(scratch.subarray(13, 16), 13);
  return ipv6Text(bytes, 0);
}

/**
 * The MAC address to which packets for a multicast address are sent: `01:00:5e` and 23 bits for IPv4 (RFC 1112),
 * `33:33` and 32 bits for IPv6 (RFC 2464).
 *
 * @throws NetError `ERR_NET_ADDRESS` when the address is not a multicast one.
 */
export function multicastMac(text: string): string {
  if (!isMulticast(text)) {
    refuse('ERR_NET_ADDRESS', 'multicast address', text, 'it is not multicast', 'use 224.0.0.0/4 or ff00::/8');
  }
  const length = mustScan(text, scratch);
  const mac = Uint8Array.of(0x33, 0x33, scratch[12]!, scratch[13]!, scratch[14]!, scratch[15]!);
  if (length === 4) mac.set([1, 0, 0x5e, scratch[1]! & 127, scratch[2]!, scratch[3]!]);
  return macText(mac, 0);
}

/**
 * The link-local address made from a MAC address: fe80::/64 and the modified EUI-64 (RFC 4291 2.5.1, appendix A).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { linkLocalFromMac } from 'node-vpp/net';
 *
 * assert.equal(linkLocalFromMac('02:fe:00:00:00:01'), 'fe80::fe:ff:fe00:1');
 * ```
 */
export function linkLocalFromMac(mac: string): string {
  const m = parseMac(mac);
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  bytes.set([m[0]! ^ 2, m[1]!, m[2]!, 0xff, 0xfe, m[3]!, m[4]!, m[5]!], 8);
  return ipv6Text(bytes, 0);
}

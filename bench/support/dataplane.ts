// What the two halves of the dataplane's benchmark agree on: the hosts, the routes, and the packets in between.

import { writeFileSync } from 'node:fs';
import { udpFrame } from 'node-vpp/net';

/** MAC address of a host on one side. */
export const benchMac = (side: number, host: number): Uint8Array =>
  Uint8Array.of(0x0a, 0, 0, side, host >>> 8, host & 255);

/** A permutation of 32 bits: the same order of addresses everywhere, without a generator's state. */
function scramble(n: number): number {
  let h = Math.imul(n + 1, 0x9e3779b1);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return h >>> 0;
}

const lengths = [24, 24, 24, 24, 24, 24, 22, 23, 21, 20, 19, 18, 16, 24, 24, 24];

/** Address and length of route `n`: mostly /24, some shorter, one in 64 longer; a full table of the Internet has fewer. */
function routeOf(n: number): { address: number; length: number } {
  const length = (n & 63) === 63 ? 28 : lengths[n & 15]!;
  // Within 16.0.0.0/4 to 223.255.255.255; beside the test's own networks.
  const address = (0x10000000 + (scramble(n) % 0xb0000000)) >>> 0;
  return { address: (address & (-1 << (32 - length))) >>> 0, length };
}

/** Adds routes until there are `count` different ones; some come twice. */
export function benchRoutes(
  count: number,
  add: (prefix: { address: Uint8Array; length: number }) => void,
  have: () => number,
): void {
  for (let n = 0; have() < count; n++) {
    const { address, length } = routeOf(n);
    add({ address: Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address), length });
  }
}

/** An address behind route `n`. */
export function routeAddress(n: number): string {
  const { address } = routeOf(n);
  return [address >>> 24, (address >>> 16) & 255, (address >>> 8) & 255, (address & 255) | 1].join('.');
}

/** A capture file of 64-byte frames for testpmd to replay. */
export function writeFrames(path: string, frames: readonly Uint8Array[]): void {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const parts: Buffer[] = [header];
  for (const frame of frames) {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    parts.push(record, Buffer.from(frame));
  }
  writeFileSync(path, Buffer.concat(parts));
}

const text = (mac: Uint8Array): string => Buffer.from(mac).toString('hex').match(/../g)!.join(':');

/** Frames between 1,000 hosts on either side. */
export function bridgeFrames(): Uint8Array[] {
  return Array.from({ length: 4096 }, (_, i) =>
    udpFrame({
      sourceMac: text(benchMac(1, scramble(i) % 1000)),
      destinationMac: text(benchMac(2, scramble(i + 7777) % 1000)),
      source: '10.9.0.1',
      destination: '10.9.0.2',
      sourcePort: 1000,
      destinationPort: 2000,
      payload: new Uint8Array(22),
    }),
  );
}

/** Frames to addresses of 8,192 of the routes, in no order. */
export function routeFrames(routes: number): Uint8Array[] {
  return Array.from({ length: 8192 }, (_, i) =>
    udpFrame({
      sourceMac: text(benchMac(1, 0)),
      destinationMac: '02:fe:00:00:00:00',
      source: '10.0.0.2',
      destination: routeAddress(scramble(i) % routes),
      sourcePort: 1000 + i,
      destinationPort: 2000,
      payload: new Uint8Array(22),
    }),
  );
}

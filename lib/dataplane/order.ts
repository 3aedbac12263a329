// The order in which VPP's hash tables are walked, for dumps to come in the order that a VPP gives them.
//
//   routes    one table per IPv4 prefix length, one for all IPv6 prefixes: bucket = mix(key) mod size, in a bucket the
//             older first; 64 buckets, doubled when three quarters full
//   L2 FIB    bucket = crc32c(key) mod 256 k
//
// The mix is Bob Jenkins' over three 64-bit words, done here in halves of 32 bits. Nothing but order depends on it.

const GOLDEN_HIGH = 0x9e3779b9 | 0;
const GOLDEN_LOW = 0x7f4a7c13;

/** Three 64-bit words, low half first. */
const words = new Int32Array(6);

/** word[a] -= word[b] + word[c] */
function subtract(a: number, b: number, c: number): void {
  const low = (words[b]! >>> 0) + (words[c]! >>> 0);
  const high = words[b + 1]! + words[c + 1]! + (low > 0xffffffff ? 1 : 0);
  const difference = (words[a]! >>> 0) - (low >>> 0);
  words[a] = difference | 0;
  words[a + 1] = words[a + 1]! - high - (difference < 0 ? 1 : 0);
}

/** word[a] ^= word[b] >> bits */
function xorRight(a: number, b: number, bits: number): void {
  const low = words[b]!;
  const high = words[b + 1]!;
  if (bits < 32) {
    words[a] = words[a]! ^ ((low >>> bits) | (high << (32 - bits)));
    words[a + 1] = words[a + 1]! ^ (high >>> bits);
  } else words[a] = words[a]! ^ (high >>> (bits - 32));
}

/** word[a] ^= word[b] << bits, for bits < 32 or above. */
function xorLeft(a: number, b: number, bits: number): void {
  const low = words[b]!;
  const high = words[b + 1]!;
  if (bits < 32) {
    words[a] = words[a]! ^ (low << bits);
    words[a + 1] = words[a + 1]! ^ ((high << bits) | (low >>> (32 - bits)));
  } else words[a + 1] = words[a + 1]! ^ (low << (bits - 32));
}

function step(first: number, second: number, third: number): void {
  subtract(0, 2, 4);
  xorRight(0, 4, first);
  subtract(2, 4, 0);
  xorLeft(2, 0, second);
  subtract(4, 0, 2);
  xorRight(4, 2, third);
}

function mix(): number {
  step(43, 9, 8);
  step(38, 23, 5);
  step(35, 49, 11);
  step(12, 18, 22);
  return words[4]! >>> 0;
}

function add(at: number, low: number, high: number): void {
  const sum = (words[at]! >>> 0) + (low >>> 0);
  words[at] = sum | 0;
  words[at + 1] = words[at + 1]! + high + (sum > 0xffffffff ? 1 : 0);
}

function start(): void {
  words[0] = words[2] = GOLDEN_LOW;
  words[1] = words[3] = GOLDEN_HIGH;
  words[4] = words[5] = 0;
}

/** The low 32 bits of VPP's hash of an IPv4 address, given as its four bytes in network order. */
export function hashIpv4(bytes: Uint8Array): number {
  start();
  add(0, bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24), 0);
  return mix();
}

/** The low 32 bits of VPP's hash of an IPv6 prefix: sixteen bytes and the length. */
export function hashIpv6(bytes: Uint8Array, length: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 16);
  start();
  add(4, 17, 0);
  add(0, view.getInt32(0, true), view.getInt32(4, true));
  add(2, view.getInt32(8, true), view.getInt32(12, true));
  add(4, length, 0);
  return mix();
}

const CRC32C = new Uint32Array(256).map((_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  return value;
});

/** VPP's hash of a MAC address in the bridge domain with an index. */
export function hashMac(mac: Uint8Array, domainIndex: number): number {
  let crc = 0;
  const take = (byte: number) => {
    crc = CRC32C[(crc ^ byte) & 255]! ^ (crc >>> 8);
  };
  take(domainIndex & 255);
  take((domainIndex >> 8) & 255);
  for (let at = 0; at < 6; at++) take(mac[at]!);
  return crc >>> 0;
}

/** Buckets of a table with so many entries. */
function bucketsFor(count: number): number {
  let buckets = 64;
  while (4 * (count + 1) > 3 * buckets) buckets *= 2;
  return buckets;
}

/** Entries in the order of their buckets; those given first come first in a bucket. */
export function inHashOrder<T>(entries: readonly T[], hash: (entry: T) => number, buckets?: number): T[] {
  const mask = (buckets ?? bucketsFor(entries.length)) - 1;
  const places = entries.map((entry, index) => ({ entry, index, bucket: (hash(entry) & mask) >>> 0 }));
  places.sort((a, b) => a.bucket - b.bucket || a.index - b.index);
  return places.map(({ entry }) => entry);
}

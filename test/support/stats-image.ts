// Images of segments: the bytes of one that is written here, and many broken ones made of it.
//
// By hand, for a long time: node build/js/test/support/stats-image.js 1000000 [SEED]: small images, each read in one way

import { argv } from 'node:process';
import { pathToFileURL } from 'node:url';
import { type StatsImage, type StatsValue, metrics, openStatsImage } from 'node-vpp/stats';
import type { StatsSegmentWriter } from 'node-vpp/stats/writer';
import { vppLike } from './stats.js';

/** A copy of the bytes of a segment, as another process would map them. */
export const imageOf = (segment: StatsSegmentWriter): Uint8Array => segment.image();

/** A small generator of chance: the same for the same seed. */
function chance(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The ways of reading that a broken image is read in. */
const ways: readonly ((stats: StatsImage) => unknown)[] = [
  (stats) => stats.dump(),
  (stats) => metrics(stats),
  (stats) => {
    for (const name of names) stats.get(name);
    stats.interfaces();
  },
  (stats) => {
    for (const name of names) stats.counter(name, 1).value();
    stats.interface(1).read();
  },
];

const names = ['/if/rx', '/interfaces/bench1/rx', '/if/names', '/err/ip4-input/bad ip4 checksum', '/sys/heartbeat'];

/** Reads many broken copies of an image, in all ways or in one of them in turn; counts what came of it. */
export function garble(good: Uint8Array, images: number, seed: number, inTurn = false) {
  const random = chance(seed);
  const words = new BigUint64Array(good.buffer, 0, good.length / 8);
  // Where something is: breaking zeros behind the end would show nothing.
  const used: number[] = [];
  words.forEach((word, i) => {
    if (word !== 0n) used.push(i * 8);
  });
  const result = { images: 0, read: 0, corrupt: 0, longestMs: 0, unexpected: [] as string[] };
  const work = new Uint8Array(good);
  const view = new DataView(work.buffer);
  for (let i = 0; i < images; i++) {
    const touched: number[] = [];
    for (let edits = 1 + random(4); edits > 0; edits--) {
      const at = random(4) === 0 ? random(8) * 8 : used[random(used.length)]!;
      touched.push(at);
      switch (random(6)) {
        case 0:
          view.setBigUint64(at, BigInt(random(0xffff_ffff)) * BigInt(random(0xffff_ffff)), true);
          break;
        case 1:
          view.setUint32(at + random(2) * 4, random(0xffff_ffff), true);
          break;
        case 2:
          work[at + random(8)] = random(256);
          break;
        case 3:
          view.setBigUint64(at, view.getBigUint64(used[random(used.length)]!, true), true);
          break;
        case 4:
          // A pointer that lies within, to somewhere else.
          view.setBigUint64(at, 0x1_0000_0000n + BigInt(random(good.length)), true);
          break;
        default:
          view.setUint32(at, random(16), true);
      }
    }
    // In progress for ever is another chapter's: here it would only be waited for.
    view.setBigUint64(24, 0n, true);
    const began = performance.now();
    try {
      const stats = openStatsImage(work.buffer, { busyMs: 0, attempts: 3 });
      const got = (inTurn ? [ways[i % ways.length]!] : ways).map((way) => way(stats));
      const values = got.find(Array.isArray) as StatsValue[] | undefined;
      if (values?.some(({ type }) => type === 'corrupt') === true) result.corrupt++;
      else result.read++;
    } catch (error) {
      const { code } = error as { code?: string };
      if (
        code === 'ERR_STATS_CORRUPT' ||
        code === 'ERR_STATS_VERSION' ||
        code === 'ERR_STATS_LOST' ||
        code === 'ERR_STATS_BUSY'
      ) {
        result.corrupt++;
      } else if (result.unexpected.length < 5)
        result.unexpected.push(`image ${i} of seed ${seed}: ${String((error as Error).stack)}`);
    }
    result.longestMs = Math.max(result.longestMs, performance.now() - began);
    result.images++;
    for (const at of touched) for (let k = 0; k < 12; k++) if (at + k < good.length) work[at + k] = good[at + k]!;
    work.copyWithin(24, 24, 24);
    work.set(good.subarray(24, 32), 24);
  }
  return result;
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  const { segment } = vppLike({ sizeBytes: 64 << 10, interfaces: 2, threads: 1 });
  segment.addHistogram('/histogram');
  segment.addRingBuffer('/ring', { entrySize: 16, ringSize: 8, schema: 'schema' });
  console.log(garble(imageOf(segment), Number(argv[2] ?? 100_000), Number(argv[3] ?? 1), true));
  segment.close();
}

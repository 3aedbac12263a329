// Chapter 50: the stats segment as bytes. First literal ones, then a recorded segment of VPP 26.06, then what the writer
// makes, then properties, changes under the reader, and garbage. Sockets and other programs are the next chapters.

import t from 'tap';
import fc from 'fast-check';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { fileURLToPath } from 'node:url';
import { metrics, openStatsImage } from 'node-vpp/stats';
import { createStatsSegment } from 'node-vpp/stats/writer';
import { sourcesBelow, testDocExamples } from './support/doc-examples.js';
import { garble, imageOf } from './support/stats-image.js';
import { plain, recordedEntries, recordedImage, vppLike } from './support/stats.js';

t.setTimeout(300_000);

/** A segment written down by hand, from VPP's header: 4096 bytes, base 0x7f0000000000. */
function literal(edit: (image: Image) => void = () => undefined): Uint8Array {
  const image = new Image();
  image.u64(0, 2n); // version
  image.u64(8, Image.base); // base
  image.u64(16, 5n); // epoch
  image.u64(24, 0n); // in_progress
  image.pointer(32, 128); // directory
  image.u32(120, 4); // its length
  image.entry(0, 1, 'heartbeat', 42n);
  image.entry(1, 2, '/if/drops', Image.base + 1024n);
  image.entry(2, 3, '/if/rx', Image.base + 1536n);
  image.entry(3, 6, '/interfaces/eth0/rx', 2n | (1n << 32n));
  image.u32(1016, 2); // two threads
  image.pointer(1024, 1152);
  image.pointer(1032, 1216);
  image.u32(1144, 2);
  image.u64(1152, 1n);
  image.u64(1160, 2n);
  image.u32(1208, 2);
  image.u64(1216, 0x1_0000_0000n);
  image.u64(1224, 0xffff_ffff_ffff_ffffn);
  image.u32(1528, 1); // one thread
  image.pointer(1536, 1664);
  image.u32(1656, 2);
  image.u64(1664, 10n);
  image.u64(1672, 640n);
  image.u64(1680, 11n);
  image.u64(1688, 704n);
  edit(image);
  return image.bytes;
}

class Image {
  static readonly base = 0x7f00_0000_0000n;
  readonly bytes = new Uint8Array(4096);
  readonly #view = new DataView(this.bytes.buffer);
  u32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, true);
  }
  u64(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, true);
  }
  pointer(offset: number, to: number): void {
    this.u64(offset, Image.base + BigInt(to));
  }
  entry(index: number, type: number, name: string, value: bigint): void {
    const at = 128 + index * 144;
    this.u32(at, type);
    this.u64(at + 8, value);
    this.bytes.fill(0, at + 16, at + 144).set(Buffer.from(name), at + 16);
  }
}

void t.test('a segment written down by hand is read as it was meant', async (t) => {
  const stats = openStatsImage(literal());
  t.equal(stats.epoch, 5);
  t.equal(stats.releases, '22.06 or later');
  t.strictSame(stats.ls(), [
    { name: 'heartbeat', index: 0, type: 'scalar' },
    { name: '/if/drops', index: 1, type: 'simple' },
    { name: '/if/rx', index: 2, type: 'combined' },
    { name: '/interfaces/eth0/rx', index: 3, type: 'symlink', link: { name: '/if/rx', column: 1 } },
  ]);
  t.strictSame(stats.get('/if/drops'), {
    ...{ type: 'simple', name: '/if/drops', index: 1 },
    value: [
      [1n, 2n],
      [0x1_0000_0000n, 0xffff_ffff_ffff_ffffn],
    ],
  });
  t.strictSame(stats.get('/interfaces/eth0/rx'), {
    ...{ type: 'combinedColumn', name: '/interfaces/eth0/rx', index: 3, link: { name: '/if/rx', column: 1 } },
    ...{ packets: [11n], bytes: [704n] },
  });
  t.equal(stats.get('no such entry'), undefined);
  t.strictSame(stats.counter('/if/drops', 0).value(), 0x1_0000_0001);
  t.strictSame(stats.counter('/if/drops', 1).exact(), 0x1_0000_0000_0000_0001n);
  t.strictSame(stats.counter('/interfaces/eth0/rx').pair(), { packets: 11, bytes: 704 });
});

void t.test('numbers on request: exact up to 2^53, the nearest above', async (t) => {
  for (const value of [
    0n,
    1n,
    0xffff_ffffn,
    0x1_0000_0000n,
    2n ** 53n - 1n,
    2n ** 53n + 1n,
    2n ** 63n,
    0x7ff8_0000_0000_0001n,
    2n ** 64n - 1n,
  ]) {
    const stats = openStatsImage(literal((image) => image.u64(1160, value)));
    const [drops] = stats.dump('/if/drops', { numbers: true });
    t.equal(drops?.type === 'simple' ? drops.value[0]![1] : undefined, Number(value), `${value} copied`);
    // The other thread has 2^64 - 1 there.
    t.equal(stats.counter('/if/drops', 1).exact(), value + 2n ** 64n - 1n, `${value} in place, exact`);
    const single = openStatsImage(literal((image) => image.u64(136, value)));
    t.equal(single.counter('heartbeat').value(), Number(value), `${value} in place`);
  }
});

void t.test('layouts of older releases', async (t) => {
  await t.test('20.09 to 22.02: an error vector behind the header, and other numbers', async (t) => {
    const stats = openStatsImage(
      literal((image) => {
        image.pointer(40, 2048); // error vector
        image.u32(2040, 2);
        image.pointer(2048, 2176);
        image.pointer(2056, 2240);
        image.u32(2168, 3);
        image.u64(2176 + 16, 7n);
        image.u32(2232, 3);
        image.u64(2240 + 16, 8n);
        image.entry(1, 4, '/err/ip4-input/bad length', 2n);
        image.entry(3, 7, '/interfaces/eth0/rx', 2n | (1n << 32n));
      }),
    );
    t.equal(stats.releases, '20.09 to 22.02');
    t.match(stats.get('/err/ip4-input/bad length'), { type: 'simpleColumn', value: [7n, 8n] });
    t.match(stats.get('/interfaces/eth0/rx'), { packets: [11n] });
    t.match(stats.errors(), [{ node: 'ip4-input', reason: 'bad length', count: 15 }]);
    t.equal(stats.counter('/err/ip4-input/bad length').value(), 15);
  });
  await t.test('19.08 to 20.05: offsets, not pointers, and a vector of offsets beside the value', async (t) => {
    const image = new Image();
    image.u64(0, 1n); // version
    image.u64(8, 3n); // epoch
    image.u64(24, 128n); // directory
    image.u64(32, 2048n); // errors
    image.u32(120, 3);
    const entry = (index: number, type: number, name: string, value: bigint, offsets: bigint) => {
      const at = 128 + index * 152;
      image.u32(at, type);
      image.u64(at + 8, value);
      image.u64(at + 16, offsets);
      image.bytes.set(Buffer.from(name), at + 24);
    };
    entry(0, 1, '/sys/heartbeat', 9n, 0n);
    entry(1, 2, '/if/drops', 1024n, 1024n);
    entry(2, 4, '/err/x/y', 1n, 0n);
    image.u32(1016, 1);
    image.u64(1024, 1152n);
    image.u32(1144, 2);
    image.u64(1152, 5n);
    image.u64(1160, 6n);
    image.u32(2040, 1);
    image.u64(2048, 2176n);
    image.u32(2168, 2);
    image.u64(2184, 77n);
    const stats = openStatsImage(image.bytes);
    t.equal(stats.releases, '19.08 to 20.05');
    t.equal(stats.epoch, 3);
    t.match(stats.get('/sys/heartbeat'), { value: 9n });
    t.match(stats.get('/if/drops'), { value: [[5n, 6n]] });
    t.match(stats.get('/err/x/y'), { value: [77n] });
  });
  await t.test('what is none of them is said', async (t) => {
    t.throws(() => openStatsImage(literal((image) => image.u64(0, 3n))), {
      code: 'ERR_STATS_VERSION',
      message: /version 3; 1 and 2 are known/,
    });
    t.throws(() => openStatsImage(new Uint8Array(4096)), {
      code: 'ERR_STATS_VERSION',
      message: /empty, or being set up/,
    });
    t.throws(() => openStatsImage(new Uint8Array(8)), { code: 'ERR_STATS_CORRUPT', message: /8 bytes, too few/ });
  });
  await t.test('types that are not known are listed and not dumped', async (t) => {
    const stats = openStatsImage(literal((image) => image.entry(1, 77, '/new/thing', 1n)));
    t.match(stats.ls('/new'), [{ name: '/new/thing', type: 'unknown' }]);
    t.strictSame(stats.dump('/new'), []);
    t.equal(stats.get('/new/thing'), undefined);
  });
});

void t.test('pointers that lead astray cost their entry, not the others', async (t) => {
  const broken: readonly (readonly [string, (image: Image) => void, RegExp])[] = [
    [
      'before the segment',
      (image) => image.u64(128 + 144 + 8, Image.base - 64n),
      /\/if\/drops would begin at -64 of 4096/,
    ],
    ['behind it', (image) => image.u64(128 + 144 + 8, Image.base + 8192n), /would begin at 8192 of 4096/],
    ['not aligned', (image) => image.u64(128 + 144 + 8, Image.base + 1028n), /would begin at 1028/],
    ['too long', (image) => image.u32(1016, 1000), /would have 1000 elements, more than fit/],
    ['too many threads', (image) => image.u32(1016, 0xffff_ffff), /would have 4294967295 elements/],
    ['a thread too long', (image) => image.u32(1208, 0x8000_0000), /thread 1 would have 2147483648/],
    ['far away', (image) => image.u64(128 + 144 + 8, 2n ** 64n - 1n), /would begin at/],
  ];
  for (const [title, edit, problem] of broken) {
    const stats = openStatsImage(literal(edit));
    t.match(stats.get('/if/drops'), { type: 'corrupt', problem }, title);
    t.match(stats.get('/if/rx'), { packets: [[10n, 11n]] }, `${title}: another entry`);
    t.throws(() => stats.counter('/if/drops', 0).value(), { code: 'ERR_STATS_CORRUPT' }, `${title}: in place`);
  }
  t.match(
    openStatsImage(literal((image) => image.entry(3, 6, '/l', 99n))).get('/l'),
    { type: 'corrupt' },
    'a symlink to nowhere',
  );
  t.match(
    openStatsImage(literal((image) => image.entry(3, 6, '/l', 3n))).get('/l'),
    { type: 'corrupt' },
    'a symlink to itself',
  );
  t.match(
    openStatsImage(literal((image) => image.entry(3, 6, '/l', 2n | (50n << 32n)))).get('/l'),
    { packets: [0n] },
    'a column that a thread does not have yet is 0',
  );
  t.throws(() => openStatsImage(literal((image) => image.u32(120, 1000))).ls(), {
    code: 'ERR_STATS_CORRUPT',
    message: /the directory would have 1000 elements/,
  });
});

void t.test('a dump shares what is 0, and nothing else', (t) => {
  const segment = createStatsSegment({ sizeBytes: 1 << 20, threads: 3, updateIntervalMs: 0 });
  const rx = segment.addCombined('/if/rx', { length: 5 });
  const tx = segment.addCombined('/if/tx', { length: 5 });
  const drops = segment.addSimple('/if/drops', { length: 4 });
  drops.thread(2).add(3, 7);
  for (let i = 0; i < 4; i++) {
    segment.addSymlink(`/l/${i}/rx`, rx, i);
    segment.addSymlink(`/l/${i}/tx`, tx, i);
    segment.addSymlink(`/l/${i}/drops`, drops, i);
  }
  rx.thread(1).set(2, 2n ** 64n - 1n, 0n);
  const stats = openStatsImage(imageOf(segment));
  for (const numbers of [false, true]) {
    const dumped = stats.dump([], { numbers });
    t.equal(dumped.length, stats.ls().length);
    for (const value of dumped) {
      const alone = numbers ? stats.snapshot([]).getNumbers(value.name) : stats.get(value.name);
      t.ok(isDeepStrictEqual(value, alone), `${value.name} is what it is alone`);
    }
    const zero = numbers ? 0 : 0n;
    const of = (name: string) => dumped.find((value) => value.name === name) as unknown as Record<string, unknown[]>;
    t.strictSame(of('/l/1/tx').packets, [zero, zero, zero]);
    t.equal(of('/l/1/tx').bytes, of('/l/3/tx').bytes);
    t.ok(Object.isFrozen(of('/l/1/tx').bytes));
    t.not(of('/l/1/rx').packets, of('/l/3/rx').packets, 'of a vector that counts each column has its own');
    t.equal(of('/l/1/rx').bytes, of('/l/3/rx').bytes, 'though it has counted packets only');
    t.notOk(Object.isFrozen(of('/l/3/drops').value));
    t.doesNotThrow(() => JSON.stringify(stats.dump([], { numbers: true })));
  }
  segment.close();
  t.end();
});

void t.test('a recorded segment of VPP 26.06', async (t) => {
  const stats = openStatsImage(recordedImage());
  const expected = Object.entries(recordedEntries());
  const values = new Map(stats.dump().map((value) => [value.name, value]));
  const wrong = expected.filter(
    ([name, { value }]) => JSON.stringify(plain(values.get(name))) !== JSON.stringify(value),
  );
  t.strictSame(wrong, [], `${expected.length} entries are what the Python client reads`);
  t.equal(expected.length, 3828);
  const other = [...values].filter(([name, value]) => !isDeepStrictEqual(stats.get(name), value));
  t.strictSame(other, [], 'a dump gives what each entry alone gives');
  const types = new Map(stats.ls().map(({ name, type }) => [name, type]));
  t.equal(types.get('/buffer-pools/default-numa-0/cached'), 'gauge');
  t.equal([...types.values()].filter((type) => type === 'symlink').length, 3758);
  t.match(stats.system(), { workers: 0, lastStatsClear: 0, bootTime: 1795453146 });
  t.strictSame(stats.buffers(), [{ name: 'default-numa-0', cached: 288, used: 0, available: 11668 }]);
  t.strictSame(
    stats.memory().map(({ name }) => name),
    ['stat segment', 'main heap'],
  );
  t.ok(stats.memory().every(({ total, used, free }) => total >= used + free * 0.9 && used > 0));
  t.match(stats.errors(), [
    { node: 'arp-reply', reason: 'l3_src_address_is_local', count: 5 },
    { node: 'ip4-udp-lookup', reason: 'no_listener', count: 5000 },
  ]);
  t.equal(stats.errors({ zeros: true }).length > 3000, true);
  const loop0 = stats.interfaces().byName('loop0');
  t.match(loop0, { swIfIndex: 1, rx: { packets: 5000, bytes: 320000 }, tx: { packets: 10, bytes: 420 }, drops: 5455 });
  t.match(stats.interface(1).read(), { drops: 5455, ip4: 5000, rx: { packets: 5000, bytes: 320000 } });
  t.equal(stats.interface(77).read(), undefined);
});

void t.test('patterns', async (t) => {
  const stats = openStatsImage(recordedImage());
  const names = (...patterns: (string | RegExp)[]) => stats.ls(patterns).map(({ name }) => name);
  t.strictSame(names('/if/names'), ['/if/names']);
  t.strictSame(names('/if/rx$', /^\/if\/tx$/g), ['/if/rx', '/if/tx']);
  t.strictSame(names('/interfaces/.*/drops').length, 5);
  t.strictSame(names('rx'), [], 'from the beginning');
  t.strictSame(names('^/if/rx$'), ['/if/rx'], 'an anchor changes nothing');
  t.equal(names().length, 3842);
  t.throws(() => stats.ls('/if/('), { code: 'ERR_STATS_PATTERN', message: /"\/if\/\(" is no regular expression/ });
  t.throws(() => stats.ls([3 as never]), { code: 'ERR_VPP_ARGUMENT_TYPE' });
});

void t.test('what the writer makes is read as it was written', async (t) => {
  const { segment, interfaces } = vppLike();
  t.teardown(() => segment.close());
  const gauge = segment.addGauge('/gauge', 2n ** 63n);
  segment.addHistogram('/histogram', { leastExponent: 2, bins: 4, threads: 1 });
  const ring = segment.addRingBuffer('/ring', {
    entrySize: 4,
    ringSize: 4,
    threads: 2,
    schema: 'u32',
    schemaVersion: 3,
  });
  const read = () => openStatsImage(imageOf(segment));
  t.equal(read().releases, '22.06 or later');
  t.match(read().ls().slice(0, 3), [
    { name: '/sys/heartbeat' },
    { name: '/sys/last_stats_clear' },
    { name: '/sys/boottime' },
  ]);
  t.match(read().get('/gauge'), { type: 'gauge', value: 2n ** 63n });
  gauge.value = 7;
  t.match(read().get('/gauge'), { value: 7n });
  t.match(read().get('/interfaces/bench2/rx'), { packets: [2000n, 2001n], bytes: [128_000n, 128_000n] });
  t.strictSame(
    [...read().interfaces({ tags: new Map([[1, 'uplink']]) })].map(({ name, tag }) => [name, tag]),
    [
      ['local0', undefined],
      ['bench1', 'uplink'],
      ['bench2', undefined],
    ],
  );
  t.equal(
    read()
      .interfaces({ tags: (i, name) => `${name}/${i}` })
      .byTag('bench2/2')?.swIfIndex,
    2,
  );

  await t.test('counters carry over 32 bits', async (t) => {
    const thread = interfaces.combined.rx.thread(0);
    thread.set(1, 0xffff_ffff, 2n ** 53n);
    thread.add(1, 1, 1);
    thread.add(1, 2 ** 40, 3);
    t.match(read().get('/interfaces/bench1/rx'), {
      packets: [0x1_0000_0000n + 2n ** 40n, 1001n],
      bytes: [2n ** 53n + 4n, 64_000n],
    });
    t.strictSame(thread.get(1), { packets: 0x1_0000_0000n + 2n ** 40n, bytes: 2n ** 53n + 4n });
    t.throws(() => thread.add(99, 1, 1), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => thread.add(-1, 1, 1), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  });
  await t.test('vectors grow, and thread objects follow', async (t) => {
    const entry = segment.addSimple('/grows', { length: 1 });
    const thread = entry.thread(1);
    thread.add(0, 5);
    for (let length = 2; length < 3000; length *= 3) {
      entry.ensure(length);
      thread.add(length - 1, length);
    }
    t.equal(thread.get(0), 5n);
    const value = read().get('/grows');
    t.equal(value?.type === 'simple' ? value.value[1]![1457] : undefined, 1458n);
    entry.remove();
    t.equal(read().get('/grows'), undefined);
    t.throws(() => entry.ensure(5000), { code: 'ERR_STATS_MISSING' });
  });
  await t.test('interfaces are removed and made anew, at 0', async (t) => {
    interfaces.remove(1);
    t.strictSame(
      [...read().interfaces()].map(({ name }) => name),
      ['local0', 'bench2'],
    );
    t.equal(read().ls('/interfaces/bench1/').length, 0);
    t.match(read().get('/if/names'), { value: ['local0', 'deleted', 'bench2'] });
    interfaces.add(1, 'tap/1');
    t.match(read().get('/interfaces/tap_1/rx'), { packets: [0n, 0n] });
    t.equal(read().interfaces().byName('tap/1')?.rx.packets, 0);
  });
  await t.test('a histogram', async (t) => {
    const histogram = segment.addHistogram('/h', { leastExponent: 4, bins: 3 });
    for (const value of [0, 1, 16, 31, 32, 63, 64, 1e9]) histogram.thread(0).observe(value);
    t.match(read().get('/h'), {
      leastExponent: 4,
      bins: [
        [4n, 2n, 2n],
        [0n, 0n, 0n],
      ],
    });
  });
  await t.test('a ring buffer keeps its newest records', async (t) => {
    const records = () => {
      const value = read().get('/ring');
      return value?.type === 'ringBuffer' ? value.threads[1]! : undefined;
    };
    t.strictSame(records()?.records, []);
    t.equal(Buffer.from(records()!.schema!).toString(), 'u32');
    t.equal(records()?.schemaVersion, 3);
    for (let i = 1; i <= 3; i++) ring.produce(1, Uint8Array.of(i, 0, 0, 0));
    t.strictSame(
      records()?.records.map((record) => record[0]),
      [1, 2, 3],
    );
    for (let i = 4; i <= 9; i++) ring.produce(1, Uint8Array.of(i));
    t.strictSame([records()?.sequence, records()?.first], [9n, 6n]);
    t.strictSame(
      records()?.records.map((record) => record[0]),
      [7, 8, 9],
      'without the one that may be being written',
    );
    t.throws(() => ring.produce(2, Uint8Array.of(1)), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => ring.produce(0, new Uint8Array(5)), { code: 'ERR_VPP_ARGUMENT_RANGE' });
  });
  await t.test('mistakes are errors and change nothing', async (t) => {
    const before = read().ls().length;
    const { epoch } = segment;
    for (const name of ['', 'x'.repeat(128), 'a\0b', '/gauge'])
      t.throws(() => segment.addSimple(name), { code: 'ERR_STATS_NAME' });
    t.throws(() => segment.addSymlink('/l', interfaces.simple.drops, 99), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => segment.addSimple('/threads', { threads: 0 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => (gauge.value = 1.5), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.throws(() => createStatsSegment({ sizeBytes: 100 }), { code: 'ERR_VPP_ARGUMENT_RANGE' });
    t.equal(read().ls().length, before);
    t.ok(segment.epoch >= epoch);
    t.match(read().ls('x'.repeat(10)), []);
  });
});

void t.test('a full segment says so and stays whole', async (t) => {
  const segment = createStatsSegment({ sizeBytes: 65_536, updateIntervalMs: 0 });
  t.teardown(() => segment.close());
  const counters = segment.addSimple('/counters', { length: 10 });
  counters.thread(0).set(9, 99);
  t.throws(() => counters.ensure(100_000), { code: 'ERR_STATS_SPACE', message: /greater sizeBytes/ });
  t.throws(() => segment.addSimple('/big', { length: 100_000 }), { code: 'ERR_STATS_SPACE' });
  t.throws(() => segment.addRingBuffer('/ring', { entrySize: 1000, ringSize: 1000 }), { code: 'ERR_STATS_SPACE' });
  const { usedBytes } = segment.memory;
  for (let i = 0; i < 100; i++) {
    const entry = segment.addSimple('/again', { length: 500 });
    entry.remove();
  }
  t.equal(segment.memory.usedBytes, usedBytes, 'removing gives everything back');
  const stats = openStatsImage(imageOf(segment));
  t.equal(plain(stats.get('/counters')) instanceof Array, true);
  t.strictSame(stats.ls('/big|/ring|/again'), []);
  t.equal(stats.counter('/counters', 9).value(), 99);
});

void t.test('property: what is written is read, whatever is added, grown, renamed and removed', async (t) => {
  const name = fc.string({ minLength: 1, maxLength: 30 }).filter((text) => !text.includes('\0'));
  const command = fc.oneof(
    fc.record({ do: fc.constant('simple' as const), name, length: fc.nat(40) }),
    fc.record({ do: fc.constant('combined' as const), name, length: fc.nat(40) }),
    fc.record({ do: fc.constant('gauge' as const), name, value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
    fc.record({
      do: fc.constant('names' as const),
      name,
      list: fc.array(fc.option(name, { nil: undefined }), { maxLength: 20 }),
    }),
    fc.record({ do: fc.constant('symlink' as const), name, of: fc.nat(100), column: fc.nat(40) }),
    fc.record({
      do: fc.constant('count' as const),
      of: fc.nat(100),
      thread: fc.nat(1),
      index: fc.nat(60),
      n: fc.nat(),
    }),
    fc.record({ do: fc.constant('remove' as const), of: fc.nat(100) }),
    fc.record({ do: fc.constant('rename' as const), of: fc.nat(100), name }),
  );
  interface Model {
    value: unknown;
    entry: { remove(): void; rename(name: string): void };
    grown?: (index: number) => void;
    count?: (thread: number, index: number, n: number) => void;
  }
  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
      const segment = createStatsSegment({ sizeBytes: 1 << 20, threads: 2, updateIntervalMs: 0 });
      try {
        const model = new Map<string, Model>();
        const pick = (n: number) => [...model][n % Math.max(model.size, 1)];
        const linked = new Set<string>();
        for (const each of commands) {
          if ('name' in each && segment.has(each.name)) continue;
          if (each.do === 'simple' || each.do === 'combined') {
            const width = each.do === 'simple' ? 1 : 2;
            const entry =
              each.do === 'simple' ? segment.addSimple(each.name, each) : segment.addCombined(each.name, each);
            const rows = [0, 1].map(() => Array.from({ length: each.length }, () => [0n, 0n]));
            model.set(each.name, {
              entry,
              value: { width, rows },
              grown: (index) => {
                entry.ensure(index + 1);
                for (const row of rows) while (row.length <= index) row.push([0n, 0n]);
              },
              count: (thread, index, n) => {
                if ('addTo' in entry) return;
                entry.thread(thread).add(index, n, n * 2);
                rows[thread]![index]![0]! += BigInt(n);
                rows[thread]![index]![1]! += BigInt(n * 2);
              },
            });
          } else if (each.do === 'gauge')
            model.set(each.name, { entry: segment.addGauge(each.name, each.value), value: each.value });
          else if (each.do === 'names') {
            const entry = segment.addNames(each.name, each.list);
            const trimmed = each.list.slice(0, each.list.findLastIndex((text) => text !== undefined) + 1);
            model.set(each.name, { entry, value: trimmed });
          } else {
            const picked = 'of' in each ? pick(each.of) : undefined;
            if (picked === undefined) continue;
            const [target, found] = picked;
            if (each.do === 'count' && found.count !== undefined) {
              found.grown!(each.index);
              found.count(each.thread, each.index, each.n);
            } else if (each.do === 'remove' && !linked.has(target)) {
              found.entry.remove();
              model.delete(target);
            } else if (each.do === 'rename' && !linked.has(target)) {
              found.entry.rename(each.name);
              model.delete(target);
              model.set(each.name, found);
            }
          }
        }
        const stats = openStatsImage(imageOf(segment));
        for (const [entryName, { value }] of model) {
          const got = stats.get(entryName);
          if (typeof value === 'bigint') fcEqual(got?.type === 'gauge' ? got.value : got, value);
          else if (Array.isArray(value)) fcEqual(got?.type === 'names' ? got.value : got, value);
          else {
            const { width, rows } = value as { width: number; rows: bigint[][][] };
            const part = (i: number) => rows.map((row) => row.map((pair) => pair[i]!));
            if (width === 1) fcEqual(got?.type === 'simple' ? got.value : got, part(0));
            else fcEqual(got?.type === 'combined' ? [got.packets, got.bytes] : got, [part(0), part(1)]);
          }
        }
        fcEqual(stats.ls().length, model.size + 7);
      } finally {
        segment.close();
      }
    }),
    { numRuns: 150 },
  );
  t.pass('150 sequences of commands');
});

function fcEqual(got: unknown, wanted: unknown): void {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : (inner ?? null)));
  if (text(got) !== text(wanted)) throw new Error(`read ${text(got)}, written ${text(wanted)}`);
}

void t.test('garbage: no image makes the reader do anything but answer or say what is wrong', async (t) => {
  const result = garble(imageOf(vppLike({ sizeBytes: 256 << 10 }).segment), 4000, 1);
  t.equal(result.images, 4000);
  t.strictSame(result.unexpected, []);
  t.ok(result.corrupt > 100 && result.read > 100, `${result.corrupt} were refused, ${result.read} read`);
});

void t.test('the dashboard for Grafana asks for metrics that there are', async (t) => {
  const file = fileURLToPath(new URL('../../../docs/assets/grafana-vpp.json', import.meta.url));
  interface Panel {
    id: number;
    title: string;
    type: string;
    gridPos: { x: number; y: number; w: number; h: number };
    targets: { expr: string }[];
  }
  const dashboard = JSON.parse(readFileSync(file, 'utf8')) as {
    title: string;
    schemaVersion: number;
    panels: Panel[];
    templating: { list: { name: string; type: string }[] };
  };
  t.equal(dashboard.title, 'VPP');
  t.ok(dashboard.schemaVersion >= 36);
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length);
  const variables = new Set(dashboard.templating.list.map(({ name }) => name));
  const { segment } = vppLike();
  t.teardown(() => segment.close());
  const there = metrics(openStatsImage(recordedImage())) + metrics(openStatsImage(segment.image()));
  for (const { title, gridPos, targets } of dashboard.panels) {
    t.ok(gridPos.x + gridPos.w <= 24 && gridPos.h > 0, `${title} fits`);
    for (const { expr } of targets) {
      for (const [name] of expr.matchAll(/vpp_\w+/g))
        t.ok(there.includes(`\n${name}{`) || there.includes(`\n${name} `), `${title}: ${name}`);
      for (const [, name] of expr.matchAll(/\$(\w+)/g))
        t.ok(name === '__rate_interval' || variables.has(name!), `${title}: $${name!}`);
    }
  }
});

void t.test('the examples of the pages and of the public members run', async (t) => {
  await testDocExamples(t, ['docs/stats.md', ...sourcesBelow('lib/stats')]);
});

// Chapter 40: the binary API's schemas and codecs. Messages as bytes, nothing sent yet.
//
// NODE_VPP_RUNS=n   random values per message (default 2)
// NODE_VPP_FUZZ=n   inputs of random bytes for the decoders (default 20000)

import t, { type Test } from 'tap';
import fc from 'fast-check';
import { Command } from 'commander';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync } from 'node:zlib';
import ts from 'typescript';
import {
  bundledReleases,
  createCodec,
  loadBundled,
  mergeSchemas,
  newestRelease,
  retvalName,
  retvals,
  type CodecOptions,
  type DetailsOf,
  type FieldsArgument,
  type FieldsOf,
  type MessageCodec,
  type MessageOf,
  type NewestApi,
  type ReplyOf,
  type RequestName,
  type Schema,
} from 'node-vpp/api';
import {
  computeCrc,
  diffSchemas,
  differenceKinds,
  explainDifference,
  readApiJson,
  readCompact,
  schemaFromJson,
  writeApiJson,
  writeCompact,
} from 'node-vpp/api/schema';
import { flow_type_v2, if_status_flags, if_type } from 'node-vpp/api/26.06';
import type { Api as Api2410 } from 'node-vpp/api/24.10';
import { sourcesBelow, testDocExamples } from './support/doc-examples.js';
import { messageValues } from './support/api-values.js';

type Fields = Record<string, unknown>;

const root = fileURLToPath(new URL('../../..', import.meta.url));
const runs = Number(process.env.NODE_VPP_RUNS ?? 2);
const fuzzInputs = Number(process.env.NODE_VPP_FUZZ ?? 20_000);
const schema = loadBundled('26.06');

// Long runs by hand take longer than a test is given.
t.setTimeout(runs > 2 || fuzzInputs > 20_000 ? 0 : 120_000);
const backends = ['generated', 'closures'] as const;

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function encode(codec: MessageCodec, fields: object): Buffer {
  const bytes = Buffer.alloc(codec.size(fields), 0xaa);
  codec.encode(fields, bytes, 0);
  return bytes;
}

/** The bytes, or the text of the error. */
function attempt(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

/** A schema of one message `m` (and the types it needs), for shapes that no release has. */
function oneMessage(
  fields: unknown[],
  more: Record<string, unknown> = {},
  header: unknown[] = [['u16', '_vl_msg_id']],
): Schema {
  return schemaFromJson(
    JSON.stringify({ messages: [['m', ...header, ...fields, { crc: '0x01020304', options: {} }]], ...more }),
  );
}

void t.test(
  'a request, byte by byte: header left to the connection, numbers big-endian, defaults applied',
  async (t) => {
    const codec = schema.codec('sw_interface_set_flags')!;
    const bytes = encode(codec, { sw_if_index: 1, flags: if_status_flags.IF_STATUS_API_FLAG_ADMIN_UP });
    t.equal(hexOf(bytes), '0000' + '00000000' + '00000000' + '00000001' + '00000001');
    t.strictSame(codec.decode(bytes, 0, bytes.length), { sw_if_index: 1, flags: 1 });
    t.strictSame(
      [codec.crc, codec.fixedSize, codec.clientIndexOffset, codec.contextOffset, codec.retvalOffset],
      ['0xf5aec1b8', 18, 2, 6, -1],
    );
    const reply = schema.codec('sw_interface_set_flags_reply')!;
    t.strictSame([reply.clientIndexOffset, reply.contextOffset, reply.retvalOffset], [-1, 2, 6]);

    // is_add is [default "true"] in VPP's text, a quirk of its parser that reaches the JSON as a string.
    const route = schema.codec('ip_route_add_del_v2')!;
    const added = encode(route, {
      route: { prefix: '10.1.2.0/24', paths: [{ weight: 1, nh: { address: '192.168.1.1' } }] },
    });
    t.equal(added.length, 37 + 1 + 167 + 2);
    t.equal(hexOf(added.subarray(10, 12)), '0100', 'is_add is true, is_multipath false');
    t.equal(hexOf(added.subarray(20, 38)), '00' + '0a010200' + '00'.repeat(12) + '18', 'family, address, length');
    const text = schema.codec('cli_inband')!;
    t.equal(hexOf(encode(text, { cmd: 'é' })), '00'.repeat(10) + '00000002' + 'c3a9');
  },
);

void t.test(
  'offsets are those of the schema: retval is not always first, client_index not always in front',
  async (t) => {
    t.equal(schema.codec('acl_add_replace_reply')!.retvalOffset, 10);
    t.equal(schema.codec('map_add_domain_reply')!.retvalOffset, 10);
    let unsigned = 0;
    let late = 0;
    for (const name of schema.messageNames()) {
      const codec = schema.codec(name)!;
      if (codec.retvalOffset >= 0 && !codec.retvalSigned) unsigned++;
      if (codec.clientIndexOffset >= 0 && codec.clientIndexOffset !== 2) late++;
    }
    t.equal(unsigned, 2);
    t.ok(late > 0, `${late} messages have client_index elsewhere`);
  },
);

void t.test('values are as the documentation says', async (t) => {
  const roundTrip = (name: string, fields: object): Fields => {
    const codec = schema.codec(name)!;
    const bytes = encode(codec, fields);
    return codec.decode(bytes, 0, bytes.length);
  };
  t.match(roundTrip('sw_interface_add_del_address', { sw_if_index: 0, prefix: '2001:db8::1/64' }), {
    prefix: '2001:db8::1/64',
  });
  t.match(roundTrip('sw_interface_set_mac_address', { sw_if_index: 0, mac_address: '02-FE-00-00-00-01' }), {
    mac_address: '02:fe:00:00:00:01',
  });
  t.match(roundTrip('sw_interface_set_mac_address', { mac_address: Uint8Array.of(2, 0xfe, 0, 0, 0, 1) }), {
    mac_address: '02:fe:00:00:00:01',
  });
  t.match(roundTrip('sw_interface_set_flags', { flags: 'IF_STATUS_API_FLAG_LINK_UP' }), { flags: 2 }, 'a name');
  t.match(
    roundTrip('sw_interface_set_flags', { flags: ['IF_STATUS_API_FLAG_ADMIN_UP', 'IF_STATUS_API_FLAG_LINK_UP'] }),
    { flags: 3 },
    'several names',
  );
  t.match(roundTrip('sw_interface_set_flags', { flags: 0x40 }), { flags: 0x40 }, 'a bit nobody knows');
  t.match(roundTrip('sw_interface_set_flags', { flags: 1 | (1 << 31) }), { flags: 0x80000001 }, '| makes it negative');
  t.match(roundTrip('sw_interface_details', { type: 77 }), { type: 77 }, 'an enum value nobody knows');
  t.match(roundTrip('sw_interface_details', { type: 'IF_API_TYPE_SUB' }), { type: if_type.IF_API_TYPE_SUB });
  t.match(roundTrip('get_f64_increment_by_one', {}), { f64_value: 1 }, 'a default of 1.0');
  t.match(roundTrip('acl_plugin_get_conn_table_max_entries_reply', { conn_table_max_entries: 2n ** 63n }), {
    conn_table_max_entries: 2n ** 63n,
  });
  t.match(roundTrip('acl_plugin_get_conn_table_max_entries_reply', { conn_table_max_entries: 7 }), {
    conn_table_max_entries: 7n,
  });
  t.match(roundTrip('sw_interface_details', { tag: 'x'.repeat(64) }), { tag: 'x'.repeat(64) }, '64 bytes and no NUL');
  t.match(roundTrip('sw_interface_details', { mtu: [9000] }), { mtu: [9000, 0, 0, 0] }, 'a short array is filled up');
  t.match(roundTrip('sw_interface_set_flags', { sw_if_index: undefined }), { sw_if_index: 0 }, 'undefined is omitted');
  const key = roundTrip('wireguard_interface_create', { interface: { private_key: '0x0102' } }).interface as Fields;
  t.equal(hexOf(key.private_key as Uint8Array), '0102' + '00'.repeat(30), 'bytes as 0x…');
  t.equal(key.user_instance, 0xffffffff, 'a default inside a struct');
});

void t.test(
  'a tagged union is the arm its discriminator means, in releases that say so and in those that do not',
  async (t) => {
    for (const release of bundledReleases) {
      const of = (name: string, options?: CodecOptions): MessageCodec => loadBundled(release).codec(name, options)!;
      const eid = { type: 'EID_TYPE_API_MAC', address: { mac: '02:00:00:00:00:01' } };
      const bytes = encode(of('one_add_del_remote_mapping'), { deid: eid });
      t.match(of('one_add_del_remote_mapping').decode(bytes, 0, bytes.length), {
        deid: { type: 1, address: { mac: '02:00:00:00:00:01' } },
      });
      t.throws(() => encode(of('one_add_del_remote_mapping'), { deid: { ...eid, type: 'EID_TYPE_API_PREFIX' } }), {
        code: 'ERR_VPP_ENCODE',
        field: 'deid.address',
        message: /the arm mac is given, but the discriminator 0 means prefix/,
      });
      const unknown = encode(of('one_add_del_remote_mapping'), { deid: { type: 9, address: { bytes: '0x0102' } } });
      const { deid } = of('one_add_del_remote_mapping').decode(unknown, 0, unknown.length) as {
        deid: { address: { bytes: Uint8Array } };
      };
      t.equal(hexOf(deid.address.bytes), '0102' + '00'.repeat(16), 'no arm: its bytes');
      const path = { proto: 'FIB_API_PATH_NH_PROTO_IP6', nh: { address: 'fe80::1' } };
      const route = encode(of('ip_route_add_del'), { route: { prefix: '::/0', paths: [path] } });
      t.match(of('ip_route_add_del').decode(route, 0, route.length), {
        route: { paths: [{ proto: 1, nh: { address: 'fe80::1' } }] },
      });
      t.throws(() => encode(of('ip_route_add_del'), { route: { prefix: '::/0', paths: [{ ...path, proto: 0 }] } }), {
        code: 'ERR_VPP_ENCODE',
        field: 'route.paths[0].nh.address',
      });
      const exact = of('ip_route_add_del', { values: 'exact' }).decode(route, 0, route.length) as {
        route: { prefix: unknown };
      };
      t.strictSame(
        exact.route.prefix,
        { address: { af: 1, un: { ip6: new Uint8Array(16) } }, len: 0 },
        'exact: as on the wire',
      );
    }
  },
);

void t.test('an untagged union shows the same bytes each way', async (t) => {
  const codec = schema.codec('npol_ipset_add_del_members')!;
  for (const val of [
    { address: '10.0.0.1' },
    { prefix: '10.0.0.1/24' },
    { address: '10.0.0.1', prefix: '10.0.0.1/24' },
  ]) {
    const bytes = encode(codec, { members: [{ val }] });
    const { members } = codec.decode(bytes, 0, bytes.length) as { members: { val: Fields }[] };
    t.match(members[0]!.val, val);
  }
  t.throws(() => encode(codec, { members: [{ val: { address: '10.0.0.1', prefix: '10.0.0.2/24' } }] }), {
    field: 'members[0].val.prefix',
    message: /something else than address/,
  });
});

void t.test('what does not fit is an error that names the field, and nothing is truncated', async (t) => {
  const refused: [message: string, fields: unknown, field: string, text: RegExp][] = [
    ['sw_interface_set_flags', { sw_if_index: -1 }, 'sw_if_index', /-1 is no u32: an integer from 0 to 4294967295/],
    ['sw_interface_set_flags', { sw_if_index: 2 ** 32 }, 'sw_if_index', /4294967296 is no u32/],
    ['sw_interface_set_flags', { sw_if_index: 1.5 }, 'sw_if_index', /1.5 is no u32/],
    ['sw_interface_set_flags', { sw_if_index: '1' }, 'sw_if_index', /"1" is no u32/],
    ['sw_interface_set_flags', { sw_if_index: 1n }, 'sw_if_index', /1n is no u32/],
    ['sw_interface_set_flags', { sw_if_index: NaN }, 'sw_if_index', /NaN is no u32/],
    ['sw_interface_set_flags', { sw_if_index: null }, 'sw_if_index', /null is no u32/],
    [
      'sw_interface_set_flags',
      { flags: 'UP' },
      'flags',
      /"UP" is no member of if_status_flags; there are IF_STATUS_API_FLAG_ADMIN_UP/,
    ],
    ['sw_interface_set_flags', { flags: ['UP'] }, 'flags', /no member/],
    ['sw_interface_set_flags', { flag: 1 }, 'flag', /no such field; there are sw_if_index, flags/],
    ['sw_interface_set_flags', { context: 1 }, 'context', /the connection fills in this field/],
    ['sw_interface_set_flags', 7, '', /a number is no sw_interface_set_flags: an object/],
    ['sw_interface_set_flags', null, '', /null is no/],
    ['control_ping', { x: 1 }, 'x', /there are no fields/],
    ['ip_route_add_del_v2', { is_add: 2 }, 'is_add', /2 is no bool/],
    ['ip_route_add_del_v2', { route: { paths: [{}, { weight: 256 }] } }, 'route.paths[1].weight', /256 is no u8/],
    [
      'ip_route_add_del_v2',
      { route: { n_paths: 2, paths: [{}] } },
      'route.paths',
      /it has 1 elements, but its count n_paths is given as 2/,
    ],
    ['ip_route_add_del_v2', { route: { n_paths: 1 } }, 'route.paths', /leave the count out/],
    [
      'ip_route_add_del_v2',
      { route: { paths: Array(256).fill({}) } },
      'route.paths',
      /256 elements are more than its count n_paths \(u8\) can say/,
    ],
    ['ip_route_add_del_v2', { route: { paths: {} } }, 'route.paths', /an object is no array/],
    ['ip_route_add_del_v2', { route: { prefix: '10.0.0.0' } }, 'route.prefix', /an address, \/ and the number of bits/],
    ['ip_route_add_del_v2', { route: { prefix: '10.0.0.0/33' } }, 'route.prefix', /from 0 to 32/],
    [
      'ip_route_add_del_v2',
      { route: { prefix: '10.0.0.256/8' } },
      'route.prefix',
      /is no prefix: number 4 is larger than 255/,
    ],
    [
      'ip_route_add_del_v2',
      { route: { paths: [{ label_stack: Array(17).fill({}) }] } },
      'route.paths[0].label_stack',
      /room for 16/,
    ],
    ['sw_interface_details', { tag: 'x'.repeat(65) }, 'tag', /takes 65 bytes, the field has 64/],
    ['sw_interface_details', { tag: 'é'.repeat(33) }, 'tag', /takes 66 bytes/],
    ['sw_interface_details', { tag: 'a\0b' }, 'tag', /NUL inside/],
    ['sw_interface_details', { tag: '\ud800' }, 'tag', /half a surrogate/],
    ['sw_interface_details', { tag: 5 }, 'tag', /a number is no text/],
    ['sw_interface_details', { mtu: [1, 2, 3, 4, 5] }, 'mtu', /has 5 elements, the field has room for 4/],
    ['sw_interface_details', { mtu: [1, -2] }, 'mtu[1]', /-2 is no u32/],
    ['sw_interface_details', { l2_address: '02:fe' }, 'l2_address', /MAC address/],
    ['sw_interface_details', { l2_address: Uint8Array.of(1, 2, 3) }, 'l2_address', /it has 3 bytes, 6 are needed/],
    [
      'wireguard_interface_create',
      { interface: { private_key: new Uint8Array(33) } },
      'interface.private_key',
      /33 bytes, the field has room for 32/,
    ],
    [
      'wireguard_interface_create',
      { interface: { private_key: [256] } },
      'interface.private_key[0]',
      /an integer from 0 to 255 is needed/,
    ],
    [
      'wireguard_interface_create',
      { interface: { private_key: '0x123' } },
      'interface.private_key',
      /a text of 5 characters is no bytes/,
    ],
    [
      'acl_plugin_get_conn_table_max_entries_reply',
      { conn_table_max_entries: -1n },
      'conn_table_max_entries',
      /-1n is no u64/,
    ],
    [
      'acl_plugin_get_conn_table_max_entries_reply',
      { conn_table_max_entries: 2n ** 64n },
      'conn_table_max_entries',
      /is no u64/,
    ],
    ['get_f64_increment_by_one', { f64_value: '1' }, 'f64_value', /"1" is no f64/],
  ];
  for (const backend of backends) {
    for (const [message, fields, field, text] of refused) {
      const codec = schema.codec(message, { backend })!;
      const error = t.throws(() => codec.encode(fields as object, Buffer.alloc(50_000), 0), {
        code: 'ERR_VPP_ENCODE',
        name: 'VppEncodeError',
        messageName: message,
        field,
      }) as unknown as Error;
      t.match(error.message, text, `${message} ${field}`);
      t.match(error.message, `cannot encode ${message}`);
      // The size of nonsense is some number: whoever asks for it gets to encode(), which complains.
      t.type(codec.size(fields as object), 'number');
    }
  }
  const secret = 'c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlYyE=';
  for (const fields of [{ private_key: secret }, { private_key: [secret] }, secret]) {
    const error = t.throws(() =>
      encode(schema.codec('wireguard_interface_create')!, { interface: fields }),
    ) as unknown as Error;
    t.notMatch(error.message, secret, 'a key does not get into the text');
  }
  const codec = schema.codec('control_ping')!;
  t.throws(() => codec.encode({}, new Uint8Array(9), 0), { message: /10 bytes are needed, the target has 9 left/ });
  t.throws(() => codec.encode({}, new Uint8Array(20), 11), { code: 'ERR_VPP_ENCODE' });
});

void t.test('a message that changes while it is encoded is refused, and errors of getters come through', async (t) => {
  let reads = 0;
  const growing = {
    get cmd(): string {
      reads++;
      return 'x'.repeat(reads);
    },
  };
  t.throws(() => schema.codec('cli_inband')!.encode(growing, Buffer.alloc(100), 0), { code: 'ERR_VPP_ENCODE' });
  const failing = {
    get cmd(): string {
      throw new RangeError('mine');
    },
  };
  t.throws(() => schema.codec('cli_inband')!.encode(failing, Buffer.alloc(100), 0), new RangeError('mine'));
});

interface Vector {
  message: string;
  crc: string;
  fields: Fields;
  bytes: string;
}

function goldenVectors(release: string): Vector[] {
  const path = join(root, `test/fixtures/golden/api-${release}.json.gz`);
  return (JSON.parse(gunzipSync(readFileSync(path)).toString()) as { vectors: Vector[] }).vectors;
}

/** Integers beyond 2^53 are decimal text in the vectors. */
function bigints(value: unknown): unknown {
  if (typeof value === 'string') return /^-?\d{16,}$/.test(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(bigints);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, bigints(each)]));
}

/** What decode() gave, in the form of the vectors. */
function asVector(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${hexOf(value)}`;
  if (typeof value === 'bigint') return value >= 2n ** 53n || value <= -(2n ** 53n) ? String(value) : Number(value);
  if (Array.isArray(value)) return value.map(asVector);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, asVector(each)]));
}

for (const [release, count] of [
  ['24.10', 1862],
  ['25.10', 1949],
  ['26.06', 2093],
] as const) {
  void t.test(
    `every message of VPP ${release} is encoded and decoded as VPP's own client does, byte for byte`,
    async (t) => {
      const vectors = goldenVectors(release);
      t.equal(vectors.length, count);
      t.strictSame(vectors.map(({ message }) => message).sort(), [...loadBundled(release).messageNames()].sort());
      const wrong: string[] = [];
      let sameFields = 0;
      for (const { message, crc, fields, bytes } of vectors) {
        for (const backend of backends) {
          const codec = loadBundled(release).codec(message, { values: 'exact', backend })!;
          const { _vl_msg_id: id, client_index: client, context, ...body } = bigints(fields) as Record<string, number>;
          const addHeader = (target: Buffer): string => {
            target.writeUInt16BE(id!, 0);
            if (codec.clientIndexOffset >= 0) target.writeUInt32BE(client!, codec.clientIndexOffset);
            if (codec.contextOffset >= 0) target.writeUInt32BE(context!, codec.contextOffset);
            return target.toString('hex');
          };
          const given = Buffer.from(bytes, 'hex');
          if (codec.crc !== crc) wrong.push(`${message}: checksum ${codec.crc}`);
          if (codec.size(body) !== given.length) wrong.push(`${message}: size ${codec.size(body)}`);
          if (addHeader(encode(codec, body)) !== bytes) wrong.push(`${message}: encoding (${backend})`);
          const decoded = codec.decode(given, 0, given.length);
          if (addHeader(encode(codec, decoded)) !== bytes) wrong.push(`${message}: decoding (${backend})`);
          if (!isDeepStrictEqual(codec.view(given, 0, given.length).toObject(), decoded))
            wrong.push(`${message}: row (${backend})`);
          const { _vl_msg_id: _1, client_index: _2, context: _3, ...plain } = fields;
          if (isDeepStrictEqual(asVector(decoded), plain)) sameFields++;
        }
      }
      t.strictSame(wrong, []);
      // The vectors pack a random arm of a union; the codecs read the one that the discriminator means.
      t.ok(sameFields > 2 * count * 0.85, `${sameFields / 2} of ${count} decode to the very fields of the vector`);
    },
  );
}

void t.test('decode(encode(value)) is the value, for random values of every message of every release', async (t) => {
  for (const release of [...bundledReleases].reverse()) {
    const of = loadBundled(release);
    for (const name of of.messageNames()) {
      // What has not changed up to the newest release has been tested with it, unless there is time.
      if (runs <= 2 && of !== schema && of.crc(name) === schema.crc(name)) continue;
      const [codec, closures] = backends.map((backend) => of.codec(name, { backend })!) as [MessageCodec, MessageCodec];
      const property = fc.property(messageValues(of.message(name)!), (value) => {
        const bytes = encode(codec, value);
        if (!bytes.equals(encode(closures, value))) throw new Error('closures encode otherwise');
        for (const each of [codec, closures]) {
          // In the middle of something longer, as in a receive buffer.
          const buffer = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(5, 0xff)]);
          const decoded = each.decode(buffer, 3, 3 + bytes.length);
          if (!isDeepStrictEqual(decoded, value)) throw new Error(`decoded ${JSON.stringify(asVector(decoded))}`);
          const row = each.view(buffer, 3, 3 + bytes.length);
          for (const field of Object.keys(value)) {
            const seen = JSON.parse(JSON.stringify(asVector(plainOf(row[field])))) as unknown;
            if (!isDeepStrictEqual(seen, JSON.parse(JSON.stringify(asVector(value[field])))))
              throw new Error(`row.${field} differs`);
          }
        }
      });
      const outcome = fc.check(property, { numRuns: runs });
      if (!outcome.failed) continue;
      const value = JSON.stringify(asVector(outcome.counterexample));
      t.fail(`${release} ${name}, seed ${outcome.seed}: ${String(outcome.errorInstance)} for ${value.slice(0, 500)}`);
      break;
    }
    t.pass(`VPP ${release}`);
  }
});

/** Rows, and rows inside, as plain objects. */
function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOf);
  if (typeof value === 'object' && value !== null && 'toObject' in value)
    return (value as { toObject(): unknown }).toObject();
  return value;
}

void t.test('a message cut at any length is a typed error, even when the rest lies behind it', async (t) => {
  let cuts = 0;
  const wrong: string[] = [];
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  for (const { message, bytes } of goldenVectors('26.06')) {
    const given = Buffer.from(bytes, 'hex');
    for (const backend of backends) {
      const codec = schema.codec(message, { backend })!;
      for (let end = 0; end < given.length; end++) {
        cuts++;
        for (const read of [() => codec.decode(given, 0, end), () => codec.view(given, 0, end)]) {
          try {
            read();
            wrong.push(`${message} (${backend}) at ${end} of ${given.length}`);
          } catch (error) {
            if ((error as { code?: string }).code !== 'ERR_VPP_DECODE') wrong.push(`${message}: ${String(error)}`);
          }
        }
      }
    }
  }
  Error.stackTraceLimit = stackTraceLimit;
  t.strictSame(wrong.slice(0, 10), []);
  t.ok(cuts > 150_000, `${cuts} cuts`);
  t.throws(() => schema.codec('ip_route_v2_details')!.decode(Buffer.alloc(200, 1), 0, 60), {
    code: 'ERR_VPP_DECODE',
    messageName: 'ip_route_v2_details',
    field: 'route.paths',
    message: /167 bytes are needed, 26 are left/,
  });
  t.throws(() => schema.codec('control_ping_reply')!.decode(Buffer.alloc(5), 0, 5), {
    field: '',
    message: /18 bytes are needed, 5 are left/,
  });
  t.throws(() => schema.codec('control_ping')!.decode(Buffer.alloc(5), 0, 10), {
    message: /said to be at 0–10 of 5 bytes/,
  });
});

void t.test(
  'random bytes: every decoder returns or throws its error, both backends the same, and no more than came in',
  async (t) => {
    const seed = Number(process.env.NODE_VPP_SEED ?? Date.now() % 2 ** 31);
    let state = seed;
    const random = (): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 32;
    };
    const codecs = bundledReleases.flatMap((release) =>
      [...loadBundled(release).messageNames()].map((name) =>
        backends.map((backend) => loadBundled(release).codec(name, { backend })!),
      ),
    );
    let decoded = 0;
    let refused = 0;
    for (let input = 0; input < fuzzInputs; input++) {
      const [one, other] = codecs[input % codecs.length] as [MessageCodec, MessageCodec];
      const bytes = new Uint8Array(Math.floor(random() * 1.5 * (one.fixedSize + 40)));
      // Small bytes make small counts, which lead deeper.
      const ceiling = random() < 0.5 ? 4 : 256;
      for (let at = 0; at < bytes.length; at++) bytes[at] = random() * ceiling;
      const [a, b] = [one, other].map((codec) =>
        attempt(() => {
          const object = codec.decode(bytes, 0, bytes.length);
          codec.view(bytes, 0, bytes.length).toJSON();
          return object;
        }),
      );
      if (typeof a === 'string') {
        refused++;
        if (!a.startsWith('VppDecodeError')) t.fail(`seed ${seed}, input ${input}, ${one.name}: ${a}`);
      } else {
        decoded++;
      }
      if (!isDeepStrictEqual(a, b)) t.fail(`seed ${seed}, input ${input}, ${one.name}: ${String(a)} | ${String(b)}`);
    }
    t.ok(
      decoded > fuzzInputs / 10 && refused > fuzzInputs / 50,
      `${fuzzInputs} inputs: ${decoded} decoded, ${refused} refused`,
    );
  },
);

void t.test('wrong values: closures and generated code refuse the same with the same words', async (t) => {
  const junk = [
    undefined,
    null,
    -1,
    1.5,
    2 ** 40,
    'x',
    '0x',
    '0x00',
    '::',
    5n,
    true,
    {},
    [],
    [1],
    new Uint8Array(3),
    { bytes: [1] },
    Symbol('s'),
  ];
  const names = [...schema.messageNames()];
  const spoil = (value: unknown, pick: (n: number) => number): unknown => {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || pick(4) === 0)
      return junk[pick(junk.length)];
    const keys = Object.keys(value);
    if (keys.length === 0) return junk[pick(junk.length)];
    const key = keys[pick(keys.length)]!;
    const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...value }) as Fields;
    if (pick(8) === 0 && !Array.isArray(value)) copy.unheard_of = 1;
    else copy[key] = spoil(copy[key], pick);
    return copy;
  };
  fc.assert(
    fc.property(
      fc.constantFrom(...names).chain((name) => fc.tuple(fc.constant(name), messageValues(schema.message(name)!))),
      fc.infiniteStream(fc.nat()),
      ([name, value], numbers) => {
        const spoilt = spoil(value, (n) => numbers.next().value! % n);
        const [a, b] = backends.map((backend) =>
          attempt(() => hexOf(encode(schema.codec(name, { backend })!, spoilt as object))),
        );
        if (a !== b) throw new Error(`${String(a)} | ${String(b)}`);
        if (!/^[0-9a-f]*$/.test(String(a)) && !String(a).startsWith('VppEncodeError')) throw new Error(String(a));
      },
    ),
    { numRuns: 500 * runs },
  );
  t.pass();
});

void t.test('shapes that no release has', async (t) => {
  const both = (of: Schema, fields: object): Fields => {
    const [a, b] = backends.map((backend) => {
      const codec = of.codec('m', { backend })!;
      const bytes = encode(codec, fields);
      const object = codec.decode(bytes, 0, bytes.length);
      const row = codec.view(bytes, 0, bytes.length);
      for (const name of Object.keys(object)) t.strictSame(plainOf(row[name]), object[name], `row.${name}`);
      for (let end = 0; end < bytes.length; end++) {
        t.throws(() => codec.decode(bytes, 0, end), { code: 'ERR_VPP_DECODE' });
        t.throws(() => codec.view(bytes, 0, end), { code: 'ERR_VPP_DECODE' });
      }
      return [hexOf(bytes), object] as const;
    });
    t.strictSame(a, b, 'both backends');
    return { bytes: a![0].slice(4), ...a![1] };
  };
  t.strictSame(
    both(
      oneMessage([
        ['i8', 'a'],
        ['i16', 'b'],
        ['i32', 'c'],
        ['i64', 'd'],
      ]),
      { a: -1, b: -2, c: -3, d: -4n },
    ),
    {
      bytes: 'ff' + 'fffe' + 'fffffffd' + 'fffffffffffffffc',
      a: -1,
      b: -2,
      c: -3,
      d: -4n,
    },
  );
  t.strictSame(
    both(
      oneMessage(
        [
          ['vl_api_w_t', 'w'],
          ['vl_api_n_t', 'n'],
        ],
        {
          enums: [
            ['w', ['W', 40000], { enumtype: 'u16' }],
            ['n', ['N', -1], { enumtype: 'i8' }],
          ],
        },
      ),
      { w: 'W', n: 'N' },
    ),
    { bytes: '9c40ff', w: 40000, n: -1 },
    'enums of every width',
  );
  const twoLists = [
    ['u8', 'n'],
    ['u16', 'k'],
    ['u32', 'a', 0, 'n'],
    ['string', 's', 0],
    ['u8', 'b', 0, 'k'],
    ['u8', 'last'],
  ];
  t.strictSame(
    both(oneMessage(twoLists), { a: [1], s: 'hi', b: [7, 8], last: 9 }),
    {
      bytes: '01' + '0002' + '00000001' + '000000026869' + '0708' + '09',
      n: 1,
      k: 2,
      a: [1],
      s: 'hi',
      b: Uint8Array.of(7, 8),
      last: 9,
    },
    'several variable parts, and a fixed one behind them',
  );
  const nested = {
    types: [
      ['inner', ['u8', 'n'], ['u8', 'b', 0, 'n']],
      ['outer', ['u8', 'x'], ['vl_api_inner_t', 'i']],
    ],
  };
  t.strictSame(
    both(
      oneMessage(
        [
          ['u8', 'c'],
          ['vl_api_outer_t', 'o', 0, 'c'],
        ],
        nested,
      ),
      { o: [{ x: 1, i: { b: [5] } }, { x: 2 }] },
    ),
    {
      bytes: '02' + '010105' + '0200',
      c: 2,
      o: [
        { x: 1, i: { n: 1, b: Uint8Array.of(5) } },
        { x: 2, i: { n: 0, b: new Uint8Array(0) } },
      ],
    },
    'elements of variable size',
  );
  t.strictSame(
    both(
      oneMessage(
        [
          ['vl_api_inner_t', 'two', 2],
          ['u8', 'end', { default: 3 }],
        ],
        nested,
      ),
      { two: [{ b: '0x0a' }] },
    ),
    {
      bytes: '010a' + '00' + '03',
      two: [
        { n: 1, b: Uint8Array.of(10) },
        { n: 0, b: new Uint8Array(0) },
      ],
      end: 3,
    },
    'a fixed array of them',
  );
  const shared = oneMessage([
    ['u8', 'n'],
    ['u8', 'a', 0, 'n'],
    ['u16', 'b', 0, 'n'],
  ]);
  t.strictSame(
    both(shared, { a: [1], b: [2] }),
    { bytes: '01' + '01' + '0002', n: 1, a: Uint8Array.of(1), b: [2] },
    'one count, two arrays',
  );
  t.strictSame(
    both(
      oneMessage([
        ['bool', 'a', { default: 'true' }],
        ['bool', 'b', { default: 'false' }],
        ['u8', 'c', { default: 'true' }],
      ]),
      {},
    ),
    { bytes: '010001', a: true, b: false, c: 1 },
    'the defaults "true" and "false"',
  );
  const names = ['interface', 'function', 'constructor', 'toString', 'hasOwnProperty', 'class'].map((name) => [
    'u8',
    name,
  ]);
  t.equal(
    both(oneMessage(names), { interface: 1, constructor: 3 }).bytes,
    '010003000000',
    'names that JavaScript uses',
  );
});

void t.test('f64 is in the byte order asked for', async (t) => {
  const bytes = (f64?: 'little' | 'big'): string =>
    hexOf(encode(schema.codec('get_f64_endian_value', { f64 })!, { f64_one: 1 })).slice(20);
  t.equal(bytes('little'), '000000000000f03f');
  t.equal(bytes('big'), '3ff0000000000000');
  t.equal(bytes(), hexOf(new Uint8Array(Float64Array.of(1).buffer)), 'this host by default');
});

void t.test('an impossible schema is refused with a reason', async (t) => {
  const refused: [schema: () => unknown, text: RegExp][] = [
    [() => schemaFromJson('{'), /cannot read the api schema running/],
    [() => schemaFromJson('7'), /holds no JSON object/],
    [() => schemaFromJson('{"messages":{}}'), /messages of running is not a list/],
    [() => oneMessage([['vl_api_nothing_t', 'a']]).codec('m'), /the type nothing is not defined/],
    [() => oneMessage([['u8', '__proto__']]).codec('m'), /has the name "__proto__"/],
    [() => oneMessage([['u8', 'a;process.exit()']]).codec('m'), /a name is letters, digits and _/],
    [
      () =>
        oneMessage([
          ['u8', 'a'],
          ['u8', 'a'],
        ]).codec('m'),
      /two fields of one name/,
    ],
    [() => oneMessage([['u8', 'a', -1]]).codec('m'), /has the length -1/],
    [() => oneMessage([['u8', 'a', 0, 'n']]).codec('m'), /is counted by n, which is no earlier unsigned number/],
    [() => oneMessage([['u32', 'a', 1e9]]).codec('m'), /takes 4000000000 bytes/],
    [() => oneMessage([['string', 'a']]).codec('m'), /a string without a length/],
    [
      () => oneMessage([['vl_api_a_t', 'a']], { types: [['a', ['vl_api_a_t', 'a']]] }).codec('m'),
      /the type a contains itself/,
    ],
    [
      () =>
        oneMessage(
          [
            ['u8', 'n'],
            ['vl_api_e_t', 'a', 0, 'n'],
          ],
          { types: [['e']] },
        ).codec('m'),
      /an array of nothing/,
    ],
    [
      () => oneMessage([['vl_api_e_t', 'a']], { enums: [['e', ['A', 0], { enumtype: 'u64' }]] }).codec('m'),
      /no integer type/,
    ],
    [() => schemaFromJson('{"messages":[["m",{"crc":"zero"}]]}').message('m'), /m has no crc/],
    [() => readApiJson('/nowhere/at/all'), /cannot read the api schema \/nowhere/],
    [() => readApiJson(join(root, 'docs')), /holds no .api.json file/],
    [() => mergeSchemas('none'), /none was given/],
    [() => readCompact('something'), /does not begin with/],
  ];
  for (const [make, text] of refused) t.throws(make, { code: 'ERR_VPP_SCHEMA', message: text }, String(text));
  t.throws(() => loadBundled('19.01' as '26.06'), { code: 'ERR_VPP_ARGUMENT_RANGE' });
});

void t.test('loading a release parses nothing that is not used', async (t) => {
  const text = writeCompact(schema);
  const broken = text.replace(/^m show_version .*$/m, 'm show_version 51077d14 > this:is:no:field ;');
  t.not(broken, text);
  const of = readCompact(broken);
  t.equal(of.crc('show_version'), '0x51077d14');
  t.ok(of.codec('control_ping'));
  t.throws(() => of.message('show_version'), { code: 'ERR_VPP_SCHEMA' });
});

void t.test('a schema survives each of its forms', async (t) => {
  for (const release of bundledReleases) {
    const of = loadBundled(release);
    const same = { removed: [], added: [], changed: [] };
    t.strictSame(diffSchemas(of, readCompact(writeCompact(of))), same);
    // get_api_json puts a NUL behind its document.
    const back = schemaFromJson(`${writeApiJson(of)}\0`, release);
    t.strictSame(diffSchemas(of, back), same);
    t.strictSame([...back.messageNames()], [...of.messageNames()]);
    t.strictSame([...back.modules()], [...of.modules()]);
    for (const name of of.messageNames()) {
      if (!isDeepStrictEqual(of.message(name)!.fields, back.message(name)!.fields)) t.fail(name);
      if (!isDeepStrictEqual(of.service(name), back.service(name))) t.fail(`${name}: service`);
    }
  }
  const folder = mkdtempSync(join(tmpdir(), 'node-vpp-schema-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  for (const module of JSON.parse(writeApiJson(schema, ['interface', 'memclnt'])) as { module: string }[]) {
    writeFileSync(join(folder, `${module.module}.api.json`), JSON.stringify(module));
  }
  const read = readApiJson(folder, 'mine');
  t.equal(read.release, 'mine');
  t.strictSame(
    [...read.modules()].map(({ name }) => name),
    ['interface', 'memclnt'],
  );
  t.equal(read.crc('sw_interface_dump'), schema.crc('sw_interface_dump'));
});

void t.test('services: what answers a request', async (t) => {
  t.strictSame(schema.service('show_version'), {
    request: 'show_version',
    reply: 'show_version_reply',
    stream: false,
    events: [],
  });
  t.strictSame(schema.service('sw_interface_dump'), {
    request: 'sw_interface_dump',
    reply: 'sw_interface_details',
    stream: true,
    events: [],
  });
  t.strictSame(schema.service('lldp_dump'), {
    request: 'lldp_dump',
    reply: 'lldp_dump_reply',
    stream: true,
    streamMessage: 'lldp_details',
    events: [],
  });
  t.strictSame(schema.service('want_interface_events')?.events, ['sw_interface_event']);
  t.equal(schema.service('rx_thread_exit')?.reply, null);
  t.equal(schema.service('show_version_reply'), undefined);
  // Described as a request with events; VPP answers it as every other dump.
  t.strictSame(schema.service('gre_tunnel_dump_v2'), {
    request: 'gre_tunnel_dump_v2',
    reply: 'gre_tunnel_details_v2',
    stream: true,
    events: [],
  });
  const all = [...schema.messageNames()].flatMap((name) => schema.service(name) ?? []);
  t.equal(all.filter(({ stream, streamMessage }) => stream && streamMessage === undefined).length, 208);
  t.equal(all.filter(({ streamMessage }) => streamMessage !== undefined).length, 20);
  t.equal(all.filter(({ events }) => events.length > 0).length, 16);
  t.equal(all.filter(({ reply }) => reply === null).length, 4);
});

void t.test('a merged schema takes each message, with its types, from the first that has it', async (t) => {
  const own = schemaFromJson(
    JSON.stringify([
      {
        messages: [['show_version', ['u16', '_vl_msg_id'], ['vl_api_address_t', 'address'], { crc: '0x00000001' }]],
        types: [['address', ['u32', 'number']]],
      },
    ]),
  );
  const merged = mergeSchemas('both', own, schema);
  t.equal(merged.release, 'both');
  t.equal(merged.crc('show_version'), '0x00000001');
  t.equal(merged.crc('control_ping'), '0x51077d14');
  t.equal(hexOf(encode(merged.codec('show_version')!, { address: { number: 5 } })), '000000000005', 'its own address');
  t.equal(
    encode(merged.codec('bfd_udp_del')!, { local_addr: '10.0.0.1', peer_addr: '::' }).length,
    48,
    'the other one',
  );
  t.equal(merged.service('show_version'), undefined, 'and no service of the schema behind it');
  t.ok([...merged.messageNames()].length === 2093);
});

void t.test(
  'checksums can be recomputed, but for messages that reach enums with backwards-compatible members',
  async (t) => {
    for (const [release, exact, count] of [
      ['24.10', 1842, 1862],
      ['25.10', 1924, 1949],
      ['26.06', 2065, 2093],
    ] as const) {
      const of = loadBundled(release);
      const names = [...of.messageNames()];
      const other = names.filter((name) => computeCrc(of.message(name)!) !== of.crc(name));
      t.equal(names.length, count);
      t.equal(names.length - other.length, exact);
      t.ok(
        other.every((name) => /^(af_packet|af_xdp|gre|ipip|ipsec|sr_localsid|tap|sw_interface_tap|virtio)/.test(name)),
        other.join(' '),
      );
    }
  },
);

void t.test('a difference is explained field by field, in 15 kinds', async (t) => {
  t.equal(differenceKinds.length, 15);
  const base = {
    fields: [
      ['u32', 'a'],
      ['u8', 'b'],
      ['vl_api_s_t', 's'],
      ['vl_api_e_t', 'e'],
      ['vl_api_un_t', 'un'],
      ['vl_api_al_t', 'al'],
      ['string', 'name', 64],
    ] as unknown[],
    types: [['s', ['u16', 'x']]] as unknown[],
    enums: [['e', ['E_ONE', 1], ['E_TWO', 2], { enumtype: 'u32' }]] as unknown[],
    unions: [['un', ['u8', 'one'], ['u16', 'two']]] as unknown[],
    aliases: { al: { type: 'u8', length: 4 } } as object,
    options: {} as object,
    crc: '0x00000001',
  };
  const make = (change: Partial<typeof base>): Schema => {
    const { fields, types, enums, unions, aliases, options, crc } = { ...base, ...change };
    return schemaFromJson(
      JSON.stringify({
        messages: [['m', ['u16', '_vl_msg_id'], ...fields, { crc, options }]],
        types,
        enums,
        unions,
        aliases,
      }),
    );
  };
  const swap = (at: number, ...now: unknown[]): unknown[] => [
    ...base.fields.slice(0, at),
    ...now,
    ...base.fields.slice(at + 1),
  ];
  const service = { request: 'm', reply: 'm_reply', stream: false, events: [] };
  const seen = new Set<string>();
  const difference = (change: Partial<typeof base>, after = service): string[] =>
    explainDifference(make({}).message('m')!, make({ crc: '0x00000002', ...change }).message('m')!, [
      service,
      after,
    ]).map(({ kind, path, before, after: now, wire }) => {
      seen.add(kind);
      return `${kind} ${path} ${before}>${now}${wire ? '!' : ''}`;
    });
  t.strictSame(difference({ fields: [...base.fields, ['u8', 'z']] }), ['field-added z >u8 z!']);
  t.strictSame(difference({ fields: swap(6) }), ['field-removed name string name[64]>!']);
  t.strictSame(difference({ fields: swap(0, ['u32', 'aa']) }), ['field-renamed a a>aa']);
  t.strictSame(difference({ fields: [base.fields[1], base.fields[0], ...base.fields.slice(2)] }), [
    'field-moved a place 1>place 2!',
    'field-moved b place 2>place 1!',
  ]);
  t.strictSame(difference({ fields: swap(1, ['u16', 'b']) }), ['type-changed b u8>u16!']);
  t.strictSame(difference({ types: [['s', ['u32', 'x']]] }), ['type-changed s.x u16>u32!'], 'inside a struct');
  t.strictSame(difference({ aliases: { al: { type: 'u8', length: 6 } } }), ['type-changed al al (u8[4])>al (u8[6])!']);
  t.strictSame(difference({ fields: swap(6, ['string', 'name', 32]) }), ['length-changed name [64]>[32]!']);
  t.strictSame(difference({ fields: swap(6, ['string', 'name', 0]) }), ['length-changed name [64]>[]!']);
  t.strictSame(difference({ crc: base.crc, fields: swap(1, ['u8', 'b', { default: 5 }]) }), ['default-changed b >5']);
  t.strictSame(difference({ enums: [['e', ['E_ONE', 1], ['E_TWO', 2], ['E_3', 3], { enumtype: 'u32' }]] }), [
    'enum-member-added e:E_3 >3',
  ]);
  t.strictSame(difference({ enums: [['e', ['E_ONE', 1], { enumtype: 'u32' }]] }), ['enum-member-removed e:E_TWO 2>']);
  t.strictSame(difference({ enums: [['e', ['E_ONE', 1], ['E_TWO', 4], { enumtype: 'u32' }]] }), [
    'enum-value-changed e:E_TWO 2>4!',
  ]);
  t.strictSame(difference({ crc: base.crc, enums: [['e', ['E_ONE', 1], ['E_TWO', 2], { enumtype: 'u8' }]] }), [
    'enum-width-changed e u32>u8!',
  ]);
  t.strictSame(difference({ unions: [['un', ['u8', 'one'], ['u32', 'two']]] }), [
    'union-changed un u8 one, u16 two>u8 one, u32 two!',
  ]);
  t.strictSame(difference({ crc: base.crc, options: { deprecated: null } }), ['options-changed deprecated >set']);
  t.strictSame(difference({ crc: base.crc }, { ...service, stream: true }), [
    'service-changed  m_reply>a stream of m_reply',
  ]);
  t.strictSame(difference({}), ['crc  0x00000001>0x00000002!']);
  t.strictSame(difference({ crc: base.crc }), []);
  t.strictSame([...seen].sort(), [...differenceKinds].sort(), 'each kind has been seen');

  const { added, removed, changed } = diffSchemas(loadBundled('25.10'), schema);
  t.equal(added.length, 148);
  t.ok(removed.includes('avf_create'));
  // A changed checksum without a reason would mean that something is missing in the schema.
  t.strictSame(
    changed.filter(({ differences }) => differences.some(({ kind }) => kind === 'crc')),
    [],
  );
});

void t.test('types: a request is checked, completed and answered in its own types', async (t) => {
  function request<N extends RequestName<NewestApi>>(
    name: N,
    ...[fields]: FieldsArgument<NewestApi, N>
  ): ReplyOf<NewestApi, N> {
    const [codec, reply] = [schema.codec(name)!, schema.codec(schema.service(name)!.reply!)!];
    encode(codec, fields ?? {});
    return reply.decode(new Uint8Array(reply.fixedSize), 0, reply.fixedSize) as ReplyOf<NewestApi, N>;
  }
  const { retval }: { retval: number } = request('sw_interface_set_flags', {
    sw_if_index: 1,
    flags: 'IF_STATUS_API_FLAG_ADMIN_UP',
  });
  t.equal(retval, 0);
  const version: string = request('show_version').version;
  t.equal(version, '');
  request('ip_route_add_del_v2', {
    route: { prefix: '10.0.0.0/8', paths: [{ proto: 'FIB_API_PATH_NH_PROTO_IP4', nh: { address: '10.0.0.1' } }] },
  });
  const refused: (() => unknown)[] = [
    // @ts-expect-error -- a field that there is not
    () => request('sw_interface_set_flags', { sw_if_index: 1, flags: 1, up: true }),
    // @ts-expect-error -- a member that there is not
    () => request('sw_interface_set_flags', { sw_if_index: 1, flags: 'UP' }),
    // @ts-expect-error -- text for a number
    () => request('sw_interface_set_flags', { sw_if_index: '1', flags: 1 }),
    // @ts-expect-error -- no such request
    () => request('sw_interface_set_flag', {}),
    // @ts-expect-error -- a dump is no request
    () => schema.service(request('sw_interface_dump', {})).reply!,
  ];
  for (const call of refused) t.throws(call);
  // @ts-expect-error -- fields that have no default are needed
  request('sw_interface_set_flags', {});
  const details: DetailsOf<NewestApi, 'sw_interface_dump'>['interface_name'] = 'local0';
  t.type(details, 'string');
  // A tagged union is narrowed by its discriminator, also where the value is none that this release knows.
  const armOf = (rule: MessageOf<NewestApi, 'flow_add_v2'>['flow']): unknown => {
    switch (rule.type) {
      case flow_type_v2.FLOW_TYPE_IP4_V2:
        return rule.flow.ip4.protocol.prot;
      case flow_type_v2.FLOW_TYPE_GENERIC_V2:
        return rule.flow.generic.pattern.spec.length;
      case flow_type_v2.FLOW_TYPE_ETHERNET_V2:
        // @ts-expect-error -- the arm of another discriminator
        return rule.flow.ip6 as unknown;
      default:
        return 'bytes' in rule.flow ? rule.flow.bytes.length : 'another arm';
    }
  };
  const flows = schema.codec('flow_add_v2')!;
  for (const [fields, arm] of [
    [{ type: 'FLOW_TYPE_IP4_V2', flow: { ip4: { protocol: { prot: 6 } } } }, 6],
    [{ type: 77, flow: { bytes: [1] } }, 2052],
  ] as const) {
    const bytes = encode(flows, { flow: fields });
    const { flow } = flows.decode(bytes, 0, bytes.length) as MessageOf<NewestApi, 'flow_add_v2'>;
    t.equal(armOf(flow), arm);
  }
  // Another release is another type parameter: this request is not in 26.06.
  const old: FieldsOf<Api2410, 'avf_create'> = { pci_addr: 1, enable_elog: 0, rxq_num: 0, rxq_size: 0, txq_size: 0 };
  t.ok(encode(loadBundled('24.10').codec('avf_create')!, old));
});

interface SchemaCommand {
  register: (program: Command) => void;
}

/** What `node-vpp schema …` prints. */
async function cli(t: Test, ...args: string[]): Promise<string> {
  const { register } = (await import(new URL('../../../dist/cli/schema.js', import.meta.url).href)) as SchemaCommand;
  const program = new Command('node-vpp').exitOverride();
  register(program);
  const printed: string[] = [];
  const captured = t.capture(process.stdout, 'write', (text: string) => (printed.push(text), true));
  try {
    await program.parseAsync(['schema', ...args], { from: 'user' });
  } finally {
    captured.restore();
  }
  return printed.join('');
}

void t.test('node-vpp schema lists, shows, compares, exports and writes types', async (t) => {
  const list = await cli(t, 'ls', 'want_interface');
  t.equal(list, '0x476f5a08  request    want_interface_events\n0xe8d4e804  answer     want_interface_events_reply\n');
  t.match(JSON.parse(await cli(t, 'ls', 'sw_interface_event', '--json')), [
    { name: 'sw_interface_event', kind: 'event', module: 'interface' },
  ]);
  t.equal((JSON.parse(await cli(t, 'ls', '--json', '-s', '24.10')) as unknown[]).length, 1862);

  const shown = await cli(t, 'show', 'ip_route_add_del_v2');
  for (const part of [
    '0x521ef330, module ip',
    'bool is_add = true',
    'fib_path paths[n_paths]',
    'enum fib_path_type: u32',
    '= 10',
  ])
    t.match(shown, part);
  t.match(await cli(t, 'show', 'lldp_dump'), 'answered by lldp_details …, then lldp_dump_reply with a cursor');
  t.match(JSON.parse(await cli(t, 'show', 'show_version', '--json')), {
    crc: '0x51077d14',
    service: { reply: 'show_version_reply' },
  });
  await t.rejects(cli(t, 'show', 'avf_create'), {
    code: 'ERR_VPP_SCHEMA',
    message: /no message avf_create in 26.06; it is in 24.10 and 25.10/,
  });
  await t.rejects(cli(t, 'show', 'set_flags'), { message: /similar are .*sw_interface_set_flags/ });

  const diff = await cli(t, 'diff', '25.10', '26.06');
  for (const part of [
    '- avf_create\n',
    '+ ip6_dad_dump\n',
    'field-added profile.ike_ts.prf_alg: now u8 prf_alg',
    '(same bytes)',
  ])
    t.match(diff, part);
  t.notMatch(await cli(t, 'diff', '25.10', '26.06', '--wire'), '(same bytes)');
  t.equal(await cli(t, 'diff', '25.10', '26.06', '-m', 'show_version'), 'no difference\n');
  t.match(JSON.parse(await cli(t, 'diff', '25.10', '26.06', '--json')), {
    added: Array,
    removed: Array,
    changed: Array,
  });

  const folder = mkdtempSync(join(tmpdir(), 'node-vpp-cli-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const json = join(folder, 'all.api.json');
  await cli(t, 'export', '-o', json);
  t.equal(await cli(t, 'diff', json, '26.06'), 'no difference\n');
  t.strictSame(
    (JSON.parse(await cli(t, 'export', '-m', 'vpe')) as { module: string }[]).map(({ module }) => module),
    ['vpe'],
  );

  // A plugin of one's own: its types are written, and checked by the compiler.
  const plugin = join(folder, 'mine.api.json');
  writeFileSync(
    plugin,
    JSON.stringify({
      messages: [
        [
          'mine_do',
          ['u16', '_vl_msg_id'],
          ['u32', 'client_index'],
          ['u32', 'context'],
          ['vl_api_mode_t', 'mode'],
          ['u64', 'big', { default: 5 }],
          { crc: '0x0a0b0c0d', options: {} },
        ],
        [
          'mine_do_reply',
          ['u16', '_vl_msg_id'],
          ['u32', 'context'],
          ['i32', 'retval'],
          { crc: '0x0a0b0c0e', options: {} },
        ],
      ],
      enums: [['mode', ['MODE_A', 0], ['MODE_B', 1], { enumtype: 'u8' }]],
      services: { mine_do: { reply: 'mine_do_reply' } },
    }),
  );
  // Inside the checkout, so that node-vpp/api is found.
  mkdirSync(join(root, 'build'), { recursive: true });
  const own = mkdtempSync(join(root, 'build/own-types-'));
  t.teardown(() => rmSync(own, { recursive: true }));
  for (const file of ['mine.d.ts', 'mine.ts']) {
    const types = join(own, file);
    writeFileSync(
      join(own, `use-${file.replace('.d.ts', '-d.ts')}`),
      [
        `import type { FieldsOf, ReplyOf } from 'node-vpp/api';`,
        `import ${file === 'mine.ts' ? '' : 'type '}{ ${file === 'mine.ts' ? 'mode, type ' : ''}Api } from './mine.js';`,
        `export const fields: FieldsOf<Api, 'mine_do'> = { mode: 'MODE_B', big: 7n };`,
        `export const number: FieldsOf<Api, 'mine_do'> = { mode: ${file === 'mine.ts' ? 'mode.MODE_A' : '0'} };`,
        `// @ts-expect-error -- a member that there is not`,
        `export const wrong: FieldsOf<Api, 'mine_do'> = { mode: 'MODE_C' };`,
        `export const code = (reply: ReplyOf<Api, 'mine_do'>): number => reply.retval;`,
      ].join('\n'),
    );
    await cli(t, 'types', '-s', plugin, '-o', types);
  }
  const names = ['use-mine-d.ts', 'use-mine.ts'].map((name) => join(own, name));
  for (const [index, file] of ['mine.d.ts', 'mine.ts'].entries()) {
    const hidden = join(own, file === 'mine.ts' ? 'mine.d.ts' : 'mine.ts');
    const program = ts.createProgram(
      [names[index]!],
      {
        strict: true,
        noEmit: true,
        skipLibCheck: true,
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.NodeNext,
        moduleResolution: ts.ModuleResolutionKind.NodeNext,
        types: [],
      },
      hiding(hidden),
    );
    t.strictSame(
      ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
      [],
      file,
    );
  }
});

/** A compiler host that does not see one file. */
function hiding(path: string): ts.CompilerHost {
  const host = ts.createCompilerHost({ module: ts.ModuleKind.NodeNext });
  const seen = (name: string): boolean => name !== path && ts.sys.fileExists(name);
  host.fileExists = seen;
  return host;
}

void t.test('where code generation is not allowed, closures do the work', async (t) => {
  const program = `
    import { codeGenerationAllowed, loadBundled } from 'node-vpp/api';
    const codec = loadBundled('26.06').codec('sw_interface_set_flags');
    const bytes = new Uint8Array(codec.fixedSize);
    codec.encode({ sw_if_index: 5, flags: 1 }, bytes, 0);
    console.log(codeGenerationAllowed(), codec.decode(bytes, 0, bytes.length).sw_if_index, codec.view(bytes, 0, bytes.length).sw_if_index);`;
  const result = spawnSync(
    process.execPath,
    ['--disallow-code-generation-from-strings', '--input-type=module', '-e', program],
    {
      cwd: root,
      encoding: 'utf8',
    },
  );
  t.equal(result.stdout + result.stderr, 'false 5 5\n');
});

void t.test('a row decodes what is read, from the bytes at hand', async (t) => {
  const codec = schema.codec('ip_route_v2_details')!;
  const bytes = encode(codec, { route: { table_id: 7, prefix: '10.0.0.0/8', paths: [{ sw_if_index: 3 }] } });
  for (const backend of backends) {
    const row = schema.codec('ip_route_v2_details', { backend })!.view(bytes, 0, bytes.length);
    const route = row.route as Fields;
    t.equal(route.prefix, '10.0.0.0/8');
    bytes[bytes.indexOf(10)] = 11;
    t.equal(route.prefix, '11.0.0.0/8', 'it shows the bytes, which have changed');
    bytes[bytes.indexOf(11)] = 10;
    t.match(row.toObject(), { route: { table_id: 7, paths: [{ sw_if_index: 3 }] } });
    t.match(JSON.parse(JSON.stringify(row)), { route: { table_id: 7 } });
    t.strictSame(Object.keys(row), [], 'nothing of its own is enumerable');
  }
  const codecOfIts = createCodec(schema.message('ip_route_v2_details')!);
  const row = codecOfIts.view(bytes, 0, bytes.length);
  t.equal(hexOf(encode(codecOfIts, row)), hexOf(bytes), 'a row is as good as its object for encoding');
});

void t.test('retval: 143 names, the same in the documentation', async (t) => {
  t.equal(retvals().size, 143);
  t.strictSame(retvalName(-6), { retval: -6, name: 'NO_SUCH_ENTRY', text: 'no such entry' });
  t.equal(retvalName(0), undefined);
  t.equal(retvalName(-9999), undefined);
  const page = readFileSync(join(root, 'docs/api-errors.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (-\d+) \| `(\w+)` \| (.*) \|$/gm)].map(([, retval, name, text]) => ({
    retval: Number(retval),
    name,
    text,
  }));
  t.strictSame(rows, [...retvals().values()]);
});

void t.test('the documentation: its examples run, and it says what is so', async (t) => {
  await testDocExamples(t, [...sourcesBelow('lib/api/schema'), ...sourcesBelow('lib/api/codec'), 'docs/api-schema.md']);
  const page = readFileSync(join(root, 'docs/api-schema.md'), 'utf8');
  for (const kind of differenceKinds) t.match(page, `\`${kind}\``);
  for (const release of bundledReleases) t.match(page, release);
  t.equal(newestRelease, bundledReleases.at(-1));
});

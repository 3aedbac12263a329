// Routes of a VPP table as they come, without an object each: the rows of ip_route_v2_dump are read where they lie.
//
//   ip_route_v2_details   id 2 │ context 4 │ table_id 4 │ stats_index 4 │ af 1 │ address 16 │ len 1 │ n_paths 1 │ src 1 │ paths
//                         0      2           6            10              14     15           31      32          33      34
//
// The layout is that of one checksum, which is the same in all bundled releases; a VPP with another one is read through
// its codec, slower.

import type { DumpStream } from '../api/index.js';
import { VppProtocolError } from '../errors.js';
import type { Row } from '../api/codec/row.js';
import { bytesOf, endOf, startOf } from '../api/codec/row.js';
import { failure, type Core, type RowOf } from './core.js';
import { PATH_BYTES } from './path-bytes.js';
import { pathsOf, type PathSets } from './path-sets.js';
import type { ReceivedPath } from './path.js';
import { scanPrefixInto } from './route-set.js';

const LAYOUT_CRC = 'b09aa6c0';
const STATS_INDEX = 10;
const FAMILY = 14;
const ADDRESS = 15;
const LENGTH = 31;
const PATH_COUNT = 32;
const SOURCE = 33;
const PATHS = 34;

/** Takes one route: the network's bytes at `offset` of `bytes`, which may be used only during the call. */
export type RouteVisitor = (
  bytes: Uint8Array,
  offset: number,
  length: number,
  pathSet: number,
  source: number,
  statsIndex: number,
) => void;

/** Which routes. */
export interface RouteQuery {
  readonly table: number;
  readonly family: 4 | 6;
  /** VPP's number of the source whose routes are wanted; 0: of all sources. */
  readonly source: number;
  readonly signal?: AbortSignal | undefined;
  /** Always through the codec. */
  readonly plain?: boolean | undefined;
}

/** Reads a batch of rows. */
export type RowReader = (visit: RouteVisitor) => void;

/** The routes of a table in batches, each of which is read by calling it. The request is sent at once, before the first. */
export function routeBatches(core: Core, query: RouteQuery, sets: PathSets): AsyncGenerator<RowReader> {
  const fields = { src: query.source, table: { table_id: query.table, is_ip6: query.family === 6, name: '' } };
  core.newest('ip_route_v2_dump');
  const crc = core.connection.messages().get('ip_route_v2_details') ?? '';
  const raw = query.plain !== true && crc.replace(/^0x/, '') === LAYOUT_CRC;
  const options = {
    as: 'view' as const,
    // Rows that wait while the caller is busy are no more than the table has.
    maxBufferedBytes: Infinity,
    timeoutMs: 0,
    ...(query.signal === undefined ? {} : { signal: query.signal }),
  };
  const stream = core.stream('ip_route_v2_dump', fields, options);
  return readBatches(core, query, sets, raw, stream);
}

async function* readBatches(
  core: Core,
  query: RouteQuery,
  sets: PathSets,
  raw: boolean,
  stream: DumpStream<RowOf<'ip_route_v2_dump'>>,
): AsyncGenerator<RowReader> {
  try {
    for await (const rows of stream.batches(16_384)) {
      yield (visit) => {
        if (raw) visitRaw(core, rows, sets, visit);
        else visitPlain(rows, sets, visit);
      };
    }
  } catch (error) {
    throw failure(error, `ip${query.family} table ${query.table}`, 'list its routes');
  }
}

function visitRaw(core: Core, rows: readonly RowOf<'ip_route_v2_dump'>[], sets: PathSets, visit: RouteVisitor): void {
  let bytes: Uint8Array = new Uint8Array(0);
  let view = new DataView(bytes.buffer);
  let row: Row;
  const decode = (): readonly ReceivedPath[] => {
    const codec = core.connection.schema.codec('ip_route_v2_details');
    // The row has been made by a codec of this schema; should it be of another one, it can say it all itself.
    return codec === undefined
      ? (row.toObject()['route'] as { paths: ReceivedPath[] }).paths
      : pathsOf(codec, bytes, row[startOf], row[endOf]);
  };
  for (const value of rows) {
    row = value as unknown as Row;
    const start = row[startOf];
    if (row[bytesOf] !== bytes) {
      bytes = row[bytesOf];
      view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const count = bytes[start + PATH_COUNT]!;
    const length = bytes[start + LENGTH]!;
    if (start + PATHS + count * PATH_BYTES > row[endOf] || length > (bytes[start + FAMILY] === 1 ? 128 : 32)) {
      throw new VppProtocolError('ERR_VPP_REPLY_MALFORMED', 'ip_route_v2_details: VPP sent a route that is none');
    }
    const pathSet = sets.ofBytes(view, start + PATHS, count, decode);
    visit(bytes, start + ADDRESS, length, pathSet, bytes[start + SOURCE]!, view.getUint32(start + STATS_INDEX));
  }
}

const scratch = new Uint8Array(16);

function visitPlain(rows: readonly RowOf<'ip_route_v2_dump'>[], sets: PathSets, visit: RouteVisitor): void {
  for (const row of rows) {
    const { route } = (row as unknown as Row).toObject() as unknown as RowOf<'ip_route_v2_dump'>;
    const pathSet = sets.ofReceived(route.paths);
    const length = scanPrefixInto(route.prefix, scratch) & 0xff;
    visit(scratch, 0, length, pathSet, route.src, route.stats_index);
  }
}

// The same requests to two servers of VPP's API, one of them a real VPP, and where they answer differently. What is
// compared is everything: fields, rows, their order, retvals; but for what cannot be equal (times, counters' places).

import { isDeepStrictEqual } from 'node:util';
import { VppApiError } from 'node-vpp';
import type { Connection } from 'node-vpp/api';

/** A request or a dump, and fields that may differ. */
export type Ask = readonly [name: string, fields?: Record<string, unknown>, ignore?: readonly string[]];

const ALWAYS = ['stats_index', 'age', 'context', 'vpe_pid'];

function without(value: unknown, ignored: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((item) => without(item, ignored));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !ignored.includes(key))
      .map(([key, inner]) => [key, without(inner, ignored)]),
  );
}

async function answers(vpp: Connection, asks: readonly Ask[]): Promise<unknown[]> {
  const trace = vpp.trace({ capacity: 1, secrets: true });
  const all: unknown[] = [];
  for (const [name, fields = {}, ignore = []] of asks) {
    let found: unknown;
    if (name.endsWith('_dump')) found = await vpp.dump(name as never, fields as never).toArray();
    else {
      try {
        found = await vpp.request(name as never, fields as never);
      } catch (error) {
        if (!(error instanceof VppApiError)) throw error;
        found = trace.decoded().at(-1)!.received[0]!.fields;
      }
    }
    all.push(without(found, [...ALWAYS, ...ignore]));
  }
  trace.stop();
  return all;
}

/** Where `ours` answers otherwise than `theirs`. */
export async function differences(
  ours: Connection,
  theirs: Connection,
  asks: readonly Ask[],
): Promise<{ ask: Ask; ours: unknown; theirs: unknown }[]> {
  const [a, b] = [await answers(ours, asks), await answers(theirs, asks)];
  return asks.flatMap((ask, at) => (isDeepStrictEqual(a[at], b[at]) ? [] : [{ ask, ours: a[at], theirs: b[at] }]));
}

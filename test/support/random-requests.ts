// Requests of random fields for everything a server answers: mostly zeros and small numbers, so that many of them make
// sense, some at the ends of their ranges.

import type { Connection, Schema } from 'node-vpp/api';
import type { ApiServer } from 'node-vpp/dataplane';

/** What is left out: it belongs to connections, or makes things in the kernel. */
const LEFT_OUT = /sockclnt|memclnt|rpc|get_first|api_json|f64_endian|api_versions|want_|tap_create|af_packet_create/;

/** Numbers from 0 to below `n`, the same for a seed. */
export function randomNumbers(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

function randomFields(
  schema: Schema,
  name: string,
  random: (n: number) => number,
): Record<string, unknown> | undefined {
  const codec = schema.codec(name)!;
  const bytes = new Uint8Array(codec.fixedSize);
  for (let at = 0; at < bytes.length; at++) {
    const kind = random(10);
    bytes[at] = kind < 6 ? 0 : kind < 8 ? random(8) : kind < 9 ? 255 : random(256);
  }
  let fields: Record<string, unknown>;
  try {
    fields = codec.decode(bytes, 0, bytes.length);
  } catch {
    return undefined;
  }
  for (const field of ['sw_if_index', 'rx_sw_if_index', 'tx_sw_if_index', 'unnumbered_sw_if_index']) {
    if (field in fields && random(2) === 0) fields[field] = random(8);
  }
  if ('bd_id' in fields && random(2) === 0) fields.bd_id = 1 + random(3);
  if ('route' in fields && random(2) === 0) {
    const nh = { address: `10.${random(4)}.0.${random(256)}` };
    const sw_if_index = random(3) === 0 ? 0xffffffff : random(8);
    const path = {
      sw_if_index,
      table_id: 0,
      rpf_id: 0,
      weight: random(4),
      preference: random(2),
      flags: 0,
      proto: 0,
      nh,
    };
    const prefix = `10.${random(4)}.${random(256)}.0/${random(33)}`;
    Object.assign(fields, {
      route: { table_id: 0, prefix, paths: [{ ...path, type: random(7) }] },
      is_multipath: random(2) === 0,
      is_add: random(2) === 0,
    });
  }
  if ('prefix' in fields && 'del_all' in fields && random(2) === 0) {
    const four = `10.${random(6)}.${random(3)}.${random(256)}/${random(33)}`;
    const prefix = random(2) === 0 ? four : `2001:db8:${random(4)}::${random(9)}/${random(129)}`;
    Object.assign(fields, { prefix, del_all: false, is_add: random(3) !== 0 });
  }
  return fields;
}

/** Asks so many of them; rejects when one is not answered. Resolves with how many were carried out and refused. */
export async function askAtRandom(
  vpp: Connection,
  server: ApiServer,
  count: number,
  seed: number,
): Promise<{ done: number; refused: number }> {
  const { schema } = server;
  const random = randomNumbers(seed);
  const names = [...schema.messageNames()].filter((name) => server.handler(name) !== undefined && !LEFT_OUT.test(name));
  const result = { done: 0, refused: 0 };
  const ask = async (name: string, fields: Record<string, unknown>) => {
    try {
      if (schema.service(name)!.stream) await vpp.dump(name as never, fields as never).toArray();
      else await vpp.request(name as never, fields as never);
      result.done += 1;
    } catch (error) {
      const { code } = error as { code?: string };
      if (code !== 'ERR_VPP_API' && code !== 'ERR_VPP_ENCODE') throw error;
      result.refused += 1;
    }
  };
  for (let asked = 0; asked < count;) {
    const batch: Promise<void>[] = [];
    for (let n = 0; n < 64; n++) {
      const name = names[random(names.length)]!;
      const fields = randomFields(schema, name, random);
      if (fields !== undefined) batch.push(ask(name, fields));
    }
    await Promise.all(batch);
    asked += batch.length;
  }
  return result;
}

// Exchanges recorded from a VPP 26.06, replayed against whatever answers on an API socket: every reply, every row, every
// field that the recording does not say may differ.
//
// The recording has the form of VPP's Python client: addresses in requests are structs, both arms of a union of
// addresses are given in replies, `$name` stands for a value saved from an earlier reply, and sockets are below /run/vpp.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { VppApiError } from 'node-vpp';
import type { Connection } from 'node-vpp/api';
import { formatIp, networkPrefix } from 'node-vpp/net';

/** What was asked, and what VPP answered. */
export interface Step {
  request: string;
  fields: Record<string, unknown>;
  reply?: Record<string, unknown>;
  details?: Record<string, unknown>[];
  ignore?: string[];
  save?: Record<string, string>;
}
export interface Scenario {
  scenario: string;
  steps: Step[];
}

const RECORDED_RUN_DIR = '/run/vpp/';

/** The recording. */
export function recordedScenarios(): Scenario[] {
  const path = fileURLToPath(new URL('../../../../test/fixtures/conformance/vpp-26.06.json.gz', import.meta.url));
  return (JSON.parse(gunzipSync(readFileSync(path)).toString()) as { scenarios: Scenario[] }).scenarios;
}

type Json = unknown;
const isObject = (value: Json): value is Record<string, Json> => typeof value === 'object' && value !== null;

function addressText({ af, un }: { af: number; un: Record<string, string> }): string {
  return formatIp(Buffer.from(un[af === 0 ? 'ip4' : 'ip6']!.slice(2), 'hex'));
}

/** A request's field in the form that our client takes. */
export function given(value: Json, saved: ReadonlyMap<string, Json>, runDir: string): Json {
  if (typeof value === 'string') {
    if (value.startsWith('$')) return saved.get(value.slice(1));
    return value.startsWith(RECORDED_RUN_DIR) ? join(runDir, value.slice(RECORDED_RUN_DIR.length)) : value;
  }
  if (Array.isArray(value)) return value.map((item) => given(item, saved, runDir));
  if (!isObject(value)) return value;
  if ('af' in value && 'un' in value) return addressText(value as never);
  if ('address' in value && 'len' in value) {
    return `${addressText(value.address as never)}/${String(value.len)}`;
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, given(inner, saved, runDir)]));
}

/** A recorded answer in the form that our client gives. */
export function expected(value: Json, runDir: string): Json {
  if (typeof value === 'string' && value.startsWith(RECORDED_RUN_DIR)) {
    return join(runDir, value.slice(RECORDED_RUN_DIR.length));
  }
  if (Array.isArray(value)) return value.map((item) => expected(item, runDir));
  if (!isObject(value)) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, expected(inner, runDir)] as const);
  const object = Object.fromEntries(entries);
  if (isObject(object.nh) && isObject(object.nh.address)) {
    object.nh.address = object.nh.address[object.proto === 1 ? 'ip6' : 'ip4'];
  }
  return object;
}

/** Our client's answer as the Python client shows it: prefixes of routes and rules without host bits. */
function shownAs(value: Json, name = ''): Json {
  if (typeof value === 'string') return /^(route|src_prefix|dst_prefix)$/.test(name) ? networkPrefix(value) : value;
  if (Array.isArray(value)) return value.map((item) => shownAs(item, name));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      shownAs(inner, name === 'route' && key === 'prefix' ? name : key),
    ]),
  );
}

/** Takes fields that may differ out, at any depth. */
function without(value: Json, ignored: readonly string[]): Json {
  if (Array.isArray(value)) return value.map((item) => without(item, ignored));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !ignored.includes(key))
      .map(([key, inner]) => [key, without(inner, ignored)]),
  );
}

/** One step that was answered otherwise than recorded. */
export interface Difference {
  step: number;
  scenario: string;
  request: string;
  wanted: Json;
  found: Json;
}

/** Replays the recording; what was answered otherwise, and how many steps there were. */
export async function replayScenarios(
  vpp: Connection,
  runDir: string,
  scenarios = recordedScenarios(),
): Promise<{ steps: number; errors: number; differences: Difference[] }> {
  const saved = new Map<string, Json>();
  const differences: Difference[] = [];
  let steps = 0;
  let errors = 0;
  // A refused request rejects; what else was in its reply is in the trace.
  const trace = vpp.trace({ capacity: 1, secrets: true });
  for (const { scenario, steps: list } of scenarios) {
    for (const step of list) {
      steps += 1;
      const fields = given(step.fields, saved, runDir) as never;
      let found: Json;
      if (step.details !== undefined) found = await vpp.dump(step.request as never, fields).toArray();
      else {
        try {
          found = await vpp.request(step.request as never, fields);
        } catch (error) {
          if (!(error instanceof VppApiError)) throw error;
          found = trace.decoded().at(-1)!.received[0]!.fields;
        }
        if (((found as { retval?: number }).retval ?? 0) < 0) errors += 1;
      }
      for (const [name, field] of Object.entries(step.save ?? {})) {
        saved.set(name, (found as Record<string, Json>)[field]);
      }
      const ignored = step.ignore ?? [];
      const wanted = without(expected(step.details ?? step.reply, runDir), ignored);
      const seen = without(shownAs(found), [...ignored, 'context']);
      if (!isDeepStrictEqual(wanted, seen)) {
        differences.push({ step: steps, scenario, request: step.request, wanted, found: seen });
      }
    }
  }
  trace.stop();
  return { steps, errors, differences };
}

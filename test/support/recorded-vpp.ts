// An API server that answers as a VPP 26.06 was recorded to: no state and no logic of its own.
//
//   go('l2: bridge domains', 9)   the recording as far as step 9 of that scenario
//   dump of it                    the rows of the last such dump so far, of the whole or of the one asked for
//   request of it                 the next recorded answer to the same name with the same fields; `unexpected` says what had none

import { join } from 'node:path';
import { loadBundled } from 'node-vpp/api';
import { ApiServer } from 'node-vpp/dataplane';
import { folder, type TestEnd } from './api.js';
import { expected, given, recordedScenarios, type Scenario, type Step } from './conformance.js';

type Fields = Record<string, unknown>;
const RUN = '/run/vpp';
const ALL = 0xffffffff;
/** Numbers of route sources that the recording takes for granted. */
const API = 8;

const isObject = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Whether what was sent says the same as what was recorded, in the fields that both have. */
function agrees(sent: unknown, recorded: unknown): boolean {
  if (Array.isArray(recorded)) {
    return Array.isArray(sent) && sent.length === recorded.length && recorded.every((one, at) => agrees(sent[at], one));
  }
  if (isObject(recorded)) {
    // The next hop of a path: bytes in the recording.
    if (typeof sent === 'string')
      return recorded.ip4 === `0x${Buffer.from(sent.split('.').map(Number)).toString('hex')}`;
    if (!isObject(sent)) return false;
    // No label, as the recorded client says it and as we do.
    const same = (key: string): boolean => key === 'via_label' || !(key in sent) || agrees(sent[key], recorded[key]);
    return Object.keys(recorded).every(same);
  }
  return plain(sent) === plain(recorded);
}

/** The recording writes MAC addresses as bytes. */
function plain(value: unknown): unknown {
  if (typeof value !== 'string' || !/^0x[\da-f]{12}$/.test(value)) return value;
  return value.slice(2).replace(/(..)(?=.)/g, '$1:');
}

/** See above. */
export class RecordedVpp {
  readonly server: ApiServer;
  readonly unexpected: string[] = [];
  readonly #scenarios: readonly Scenario[] = recordedScenarios();
  readonly #saved = new Map<string, unknown>();
  #steps: readonly Step[] = [];
  #at = 0;

  constructor(path: string) {
    this.server = new ApiServer({ path, schema: loadBundled('26.06') });
    const all = this.#scenarios.flatMap(({ steps }) => steps);
    for (const { request, details } of all) {
      if (details === undefined) this.server.handle(request, (fields) => this.#reply(request, fields));
      else this.server.handle(request, (fields) => this.#rows(request, fields));
    }
    this.server.handle('fib_source_dump', () => [{ src: { priority: 0, id: API, name: 'API' } }]);
    for (const { reply, save = {} } of all) {
      for (const [name, field] of Object.entries(save)) this.#saved.set(name, reply![field]);
    }
  }

  /** Goes to a place of the recording: so many of its steps have happened. Its values by name. */
  go(name: string, steps: number): Readonly<Record<string, number>> {
    const scenario = this.#scenarios.find((one) => one.scenario === name)!;
    this.#steps = scenario.steps;
    this.#at = steps;
    return Object.fromEntries(this.#saved) as Record<string, number>;
  }

  /** The recorded fields and answer of the step that comes next. */
  get next(): Step {
    return this.#steps[this.#at]!;
  }

  #fields(step: Step): Fields {
    return given(step.fields, this.#saved, RUN) as Fields;
  }

  #rows(name: string, asked: Fields): Fields[] {
    const past = this.#steps.slice(0, this.#at).filter(({ request }) => request === name);
    const exact = past.findLast((step) => agrees({ ...asked, src: 0 }, { ...this.#fields(step), src: 0 }));
    const rowsOf = (step: Step): Fields[] => expected(step.details, RUN) as Fields[];
    if (exact !== undefined) {
      const { src } = asked;
      return rowsOf(exact).filter(({ route }) => !isObject(route) || src === 0 || route.src === src);
    }
    // All of them: each as it was last seen.
    const rows = new Map<unknown, Fields>();
    const index = asked.sw_if_index;
    for (const row of past.flatMap(rowsOf)) rows.set(row.sw_if_index, row);
    return [...rows.values()].filter((row) => index === ALL || index === undefined || row.sw_if_index === index);
  }

  #reply(name: string, asked: Fields): Fields {
    for (let at = this.#at; at < this.#steps.length; at += 1) {
      const step = this.#steps[at]!;
      if (step.request !== name || !agrees(asked, this.#fields(step))) continue;
      this.#at = at + 1;
      return expected(step.reply, RUN) as Fields;
    }
    this.unexpected.push(`${name} ${JSON.stringify(asked)}`);
    return { retval: -1 };
  }
}

/** One that listens. */
export async function recordedVpp(t: TestEnd): Promise<RecordedVpp> {
  const vpp = new RecordedVpp(join(folder(t), 'api.sock'));
  await vpp.server.listen();
  t.teardown(() => vpp.server.close());
  return vpp;
}

// VPP's packet tracer: what each node did with a packet.
//
//   vppctl: trace add virtio-input 50; show trace      const trace = await vpp.trace({ node: 'virtio-input', count: 50 });
//                                                      … packets …                      await trace.packets()
//
//   00:00:12:345678: virtio-input        ─► { time: 12.345678, node: 'virtio-input', detail: 'virtio: hw_if_index 1 …' }
//     virtio: hw_if_index 1 …
//   00:00:12:345690: ethernet-input      ─► the next step of the same packet
//
// The tracer is one for all: whoever starts it anew takes what others have not read yet.

import { VppObjectError } from '../errors.js';
import type { Core } from './core.js';

/** What to trace. */
export interface TraceRequest {
  /** The input node at which tracing begins: `virtio-input`, `memif-input`, `dpdk-input`, `pg-input`, … */
  node: string;
  /** Packets, default 50. */
  count?: number;
  /** Whole packet headers where nodes print them. */
  verbose?: boolean;
  /** Keep what was traced before; default false. */
  keep?: boolean;
}

/** What one node did with a packet. */
export interface TraceStep {
  /** Seconds of VPP's clock. */
  readonly time: number;
  readonly node: string;
  /** What the node says, lines joined, indentation of the first taken away. */
  readonly detail: string;
}

/** A packet and its way through the graph. */
export interface TracedPacket {
  readonly thread: number;
  /** Its place among those of its thread. */
  readonly position: number;
  readonly steps: readonly TraceStep[];
  /** As VPP prints it. */
  readonly text: string;
}

const HEAD = /^(\d+):(\d\d):(\d\d):(\d+): (\S+)\s*$/;

/**
 * Reads one packet of `show trace`; lines before the first node are left out.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { parseTrace } from 'node-vpp/vpp';
 *
 * const [step] = parseTrace('00:00:12:345678: pg-input\n  stream 0, 64 bytes\n');
 * assert.deepEqual(step, { time: 12.345678, node: 'pg-input', detail: 'stream 0, 64 bytes' });
 * ```
 */
export function parseTrace(text: string): TraceStep[] {
  const steps: { time: number; node: string; lines: string[] }[] = [];
  for (const line of text.split('\n')) {
    const head = HEAD.exec(line);
    if (head !== null) {
      const [, hours, minutes, seconds, micros, node] = head;
      const time = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) + Number(micros) / 1e6;
      steps.push({ time, node: node!, lines: [] });
    } else if (line.trim() !== '' && steps.length > 0) steps.at(-1)!.lines.push(line.replace(/^ {1,2}/, '').trimEnd());
  }
  return steps.map(({ time, node, lines }) => ({ time, node, detail: lines.join('\n') }));
}

/**
 * A trace that was started, by `vpp.trace`.
 *
 * @throws VppObjectError from every method: ERR_VPP_OBJECT_REFUSED with what VPP said
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const trace = await vpp.trace({ node: 'pg-input', count: 10 });
 * const ways = (await trace.packets()).map(({ steps }) => steps.map(({ node }) => node).join(' -> '));
 * assert.ok(ways.every((way) => way.startsWith('pg-input')));
 * await assert.rejects(trace.wait({ count: 1, timeoutMs: 1 }), { code: 'ERR_VPP_OBJECT_MISSING' });
 * await trace.clear();
 * assert.deepEqual(await trace.packets(), []);
 * await vpp.close();
 * ```
 */
export class PacketTrace {
  readonly #core: Core;
  readonly node: string;
  readonly count: number;

  constructor(core: Core, node: string, count: number) {
    this.#core = core;
    this.node = node;
    this.count = count;
  }

  /** The packets traced so far; may be asked for again. */
  async packets(): Promise<TracedPacket[]> {
    const all: TracedPacket[] = [];
    // Each asks again from where it was until no thread has more.
    for (let position = 0, more = true; more; position += PAGE) {
      const fields = { thread_id: 0xffffffff, position, max: PAGE, clear_cache: position === 0 };
      const rows = await this.#core.rows('trace_v2_dump', fields, `trace of ${this.node}`);
      for (const row of rows) {
        const text = row.trace_data.replace(/\0+$/, '');
        all.push({ thread: row.thread_id, position: row.position, steps: parseTrace(text), text });
      }
      more = rows.some((row) => row.more && row.position >= position + PAGE - 1);
    }
    return all.sort((a, b) => a.thread - b.thread || a.position - b.position);
  }

  /** Waits until so many are traced (default all that were asked for); fails after `timeoutMs` (default 10 s). */
  async wait(options: { count?: number; timeoutMs?: number; signal?: AbortSignal } = {}): Promise<TracedPacket[]> {
    const { count = this.count, timeoutMs = 10_000, signal } = options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal?.throwIfAborted();
      const packets = await this.packets();
      if (packets.length >= count) return packets;
      if (performance.now() > deadline) {
        const problem = `only ${packets.length} of ${count} packets within ${timeoutMs} ms`;
        throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `trace of ${this.node}`, problem);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends tracing and forgets what was traced. */
  async clear(): Promise<void> {
    await this.#core.request('trace_clear_capture', {}, `trace of ${this.node}`, 'clear it');
    await this.#core.request('trace_clear_cache', {}, `trace of ${this.node}`, 'clear it');
  }
}

const PAGE = 64;

/** See `Vpp.trace`. */
export async function startTrace(core: Core, request: TraceRequest): Promise<PacketTrace> {
  const { node, count = 50, verbose = false, keep = false } = request;
  const object = `trace of ${node}`;
  core.newest('trace_capture_packets');
  const { node_index: index } = await core.request('get_node_index', { node_name: node }, object, 'find the node');
  const fields = { node_index: index, max_packets: count, use_filter: false, verbose, pre_capture_clear: !keep };
  await core.request('trace_capture_packets', fields, object, 'start it');
  return new PacketTrace(core, node, count);
}

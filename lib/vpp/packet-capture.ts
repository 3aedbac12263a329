// Captures packets of interfaces into pcapng.
//
//   vppctl: pcap trace rx tx max 100 intfc tap0      const capture = await vpp.capture({ interface: 'tap0', count: 100 });
//           pcap trace off                           writeFileSync('tap0.pcapng', capture.pcapng)
//
// VPP writes the file itself, in its own /tmp: this has to be the same /tmp, or one that is reached at `folder`. There is
// one capture at a time in a VPP.

import { randomBytes } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LinkType, PcapngWriter } from '../net/index.js';
import { VppApiError, VppObjectError } from '../errors.js';
import type { Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** What to capture. */
export interface CaptureRequest {
  /** Default: all interfaces. */
  interface?: InterfaceRef;
  /** Packets after which it is over; default 1000. */
  count?: number;
  /** Or time; default until the count is reached. */
  durationMs?: number;
  /** Ends it: what was captured so far is the result. */
  signal?: AbortSignal;
  /** Received (`rx`), sent (`tx`), dropped ones (`drop`); default `['rx', 'tx']`. */
  directions?: readonly ('rx' | 'tx' | 'drop')[];
  /** Bytes of a packet, 32 … 9000; default 9000. */
  snapLength?: number;
  /** Called when VPP has begun to capture. */
  onStarted?: () => void;
  /** Where VPP's /tmp is seen from here; default `/tmp`. */
  folder?: string;
}

/** A captured packet. */
export interface CapturedPacket {
  /** Microseconds resolution, on the clock that VPP writes. */
  readonly timestampNs: bigint;
  readonly bytes: Uint8Array;
  readonly originalLength: number;
}

/** What was captured. */
export interface Capture {
  readonly packets: readonly CapturedPacket[];
  /** A whole pcapng file. */
  readonly pcapng: Uint8Array;
}

const NO_SUCH_ENTRY = -6;
const POLL_MS = 50;
const ANY = 0;

/** Reads a classic pcap file, as VPP writes it, in either byte order. */
export function readPcap(file: Uint8Array): { linkType: number; packets: CapturedPacket[] } {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.length < 24 ? 0 : view.getUint32(0);
  const little = magic === 0xd4c3b2a1 || magic === 0x4d3cb2a1;
  const nanoseconds = magic === 0x4d3cb2a1 || magic === 0xa1b23c4d;
  if (!little && magic !== 0xa1b2c3d4 && magic !== 0xa1b23c4d) {
    throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', 'capture', 'what VPP wrote is no pcap file');
  }
  const packets: CapturedPacket[] = [];
  for (let at = 24; at + 16 <= file.length;) {
    const length = view.getUint32(at + 8, little);
    if (at + 16 + length > file.length) break;
    const fraction = BigInt(view.getUint32(at + 4, little));
    packets.push({
      timestampNs: BigInt(view.getUint32(at, little)) * 1_000_000_000n + (nanoseconds ? fraction : fraction * 1000n),
      bytes: file.slice(at + 16, at + 16 + length),
      originalLength: view.getUint32(at + 12, little),
    });
    at += 16 + length;
  }
  return { linkType: view.getUint32(20, little), packets };
}

function pcapngOf(name: string, linkType: number, packets: readonly CapturedPacket[]): Uint8Array {
  const writer = new PcapngWriter();
  const blocks = [writer.section({ application: 'node-vpp' }), writer.interface({ name, linkType })];
  for (const packet of packets) blocks.push(writer.packet({ interfaceId: 0, ...packet }));
  return Buffer.concat(blocks);
}

/** See `Vpp.capture`. */
export async function capture(core: Core, interfaces: Interfaces, request: CaptureRequest): Promise<Capture> {
  const { count = 1000, durationMs, signal, directions = ['rx', 'tx'], snapLength = 9000, folder = '/tmp' } = request;
  signal?.throwIfAborted();
  const on = request.interface === undefined ? undefined : await interfaces.get(request.interface);
  const object = `capture on ${on?.toString() ?? 'all interfaces'}`;
  const file = `node-vpp-${randomBytes(6).toString('hex')}.pcap`;
  const fields = {
    capture_rx: directions.includes('rx'),
    capture_tx: directions.includes('tx'),
    capture_drop: directions.includes('drop'),
    filter: false,
    preallocate_data: false,
    free_data: true,
    max_packets: count,
    max_bytes_per_packet: snapLength,
    sw_if_index: on?.index ?? ANY,
    error: '',
    filename: file,
  };
  await core.request('pcap_trace_on', fields, object, 'start it (one at a time runs in a VPP)');
  let captured = true;
  try {
    request.onStarted?.();
    await captureOver(core, object, count, durationMs, signal);
  } finally {
    await core.request('pcap_trace_off', {}, object, 'end it').catch((error: unknown) => {
      const nothing =
        error instanceof VppObjectError && error.cause instanceof VppApiError && error.retval === NO_SUCH_ENTRY;
      if (!nothing) throw error;
      captured = false;
    });
  }
  const name = on?.name ?? 'any';
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- set in the callback above
  if (!captured) return { packets: [], pcapng: pcapngOf(name, LinkType.ETHERNET, []) };
  const path = join(folder, file);
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const problem = `VPP has written /tmp/${file} where it runs, and it cannot be read here as ${path}: ${(cause as Error).message}`;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', object, problem, { cause });
  }
  await rm(path, { force: true }).catch(() => undefined);
  const { linkType, packets } = readPcap(bytes);
  return { packets, pcapng: pcapngOf(name, linkType, packets) };
}

/** Resolves when enough are captured, or time is up. VPP sends no event, so it is asked. */
async function captureOver(
  core: Core,
  object: string,
  count: number,
  durationMs: number | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = durationMs === undefined ? Infinity : performance.now() + durationMs;
  while (signal?.aborted !== true && performance.now() < deadline) {
    const { reply } = await core.request('cli_inband', { cmd: 'pcap trace status' }, object, 'ask for its state');
    const done = /(\d+) of \d+ pkts/.exec(reply)?.[1];
    if (done === undefined || Number(done) >= count) return;
    const left = Math.min(POLL_MS, Math.max(1, deadline - performance.now()));
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      signal?.addEventListener(
        'abort',
        () => {
          clearTimeout(timer);
          resolve();
        },
        { once: true },
      );
    });
  }
}

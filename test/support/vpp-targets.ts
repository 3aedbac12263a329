// What the scenarios of the object layer run against: the stand-in as each bundled release, the embedded dataplane, and a
// real VPP when VPP_BIN names one. A target is opened for each scenario; what the dataplane does not have is said by the
// scenario and skipped there.

import type { Test } from 'tap';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundledReleases, type BundledRelease } from 'node-vpp/api';
import { startDataplane } from 'node-vpp/dataplane';
import { openVpp, type Vpp as Objects } from 'node-vpp/vpp';
import { folder } from './api.js';
import { standIn, type StandIn } from './vpp-stand-in.js';
import { Vpp, noVpp } from './vpp.js';

export const plugins = [
  ...['abf', 'acl', 'af_packet', 'geneve', 'gre', 'l3xc', 'lacp', 'memif', 'nat', 'tap', 'tracedump', 'urpf', 'vxlan'],
].map((name) => `${name}_plugin.so`);

/** Something to run scenarios against. */
export interface Target {
  readonly name: string;
  readonly skip: string | false;
  /** The release whose messages it has. */
  readonly release: BundledRelease;
  readonly real: boolean;
  /** Has only a part of VPP's features: those of a switch and router. */
  readonly partial: boolean;
  open(t: Test): Promise<{ vpp: Objects; fake: StandIn | undefined }>;
}

let running: Promise<Vpp> | undefined;

const puntSocket = join(tmpdir(), `node-vpp-punt-${process.pid}.sock`);

/** One VPP for all scenarios: they leave it as they found it. */
export function realVpp(): Promise<Vpp> {
  return (running ??= Vpp.start({ plugins, config: `punt { socket ${puntSocket} }` }));
}

export async function stopRealVpp(): Promise<void> {
  if (running === undefined) return;
  await (await running).stop();
  rmSync(puntSocket, { force: true });
}

export const targets: readonly Target[] = [
  ...bundledReleases.map((release) => ({
    name: `stand-in ${release}`,
    skip: false as const,
    release,
    real: false,
    partial: false,
    open: async (t: Test) => {
      const fake = await standIn(t, release);
      const vpp = await openVpp({ socket: fake.server.path, timeoutMs: 10_000 });
      t.teardown(() => vpp.close());
      return { vpp, fake };
    },
  })),
  {
    name: 'dataplane',
    skip: false,
    release: '26.06',
    real: false,
    partial: true,
    open: async (t) => {
      const at = folder(t);
      const dataplane = await startDataplane({ apiSocket: join(at, 'api.sock'), statsSocket: join(at, 'stats.sock') });
      t.teardown(() => dataplane.close());
      const vpp = await openVpp({ socket: dataplane.apiSocket, statsSocket: dataplane.statsSocket, timeoutMs: 10_000 });
      t.teardown(() => vpp.close());
      return { vpp, fake: undefined };
    },
  },
  {
    name: 'VPP 26.06',
    skip: noVpp,
    release: '26.06',
    real: true,
    partial: false,
    open: async (t) => {
      const { apiSocket: socket, statsSocket } = await realVpp();
      const vpp = await openVpp({ socket, statsSocket, timeoutMs: 30_000, requestTimeoutMs: 60_000 });
      t.teardown(() => vpp.close());
      return { vpp, fake: undefined };
    },
  },
];

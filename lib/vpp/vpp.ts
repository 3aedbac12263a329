// A VPP as objects: `openVpp()` connects and gives one property per family of features. The files beside this one have
// one family each; what they share is core.ts.
//
//   const vpp = await openVpp({ socket: '/run/vpp/api.sock' });
//   const lan = await vpp.taps.ensure({ hostName: 'lan', tag: 'lan', addresses: ['10.0.0.1/24'], up: true });
//   await vpp.routes.add({ prefix: '10.9.0.0/16', via: '10.0.0.9', interface: lan });
//   await vpp.close();

import { connect, type ConnectOptions, type Connection, type Pool } from '../api/index.js';
import { Abf } from './abf.js';
import { Acls } from './acls.js';
import { AfPackets } from './af-packets.js';
import { Bonds } from './bonds.js';
import { Bridges } from './bridges.js';
import { Core } from './core.js';
import { CrossConnects, Spans } from './cross-connects.js';
import { Geneves } from './geneve.js';
import { Gres } from './gre.js';
import { CounterReader, type CounterOptions } from './interface-counters.js';
import { Interfaces } from './interfaces.js';
import { Ipips } from './ipip.js';
import { L3xc } from './l3xc.js';
import { Loopbacks } from './loopbacks.js';
import { Macips } from './macip.js';
import { Memifs } from './memif.js';
import { Nat44 } from './nat44.js';
import { Neighbors } from './neighbors.js';
import { capture, type Capture, type CaptureRequest } from './packet-capture.js';
import { startTrace, type PacketTrace, type TraceRequest } from './packet-trace.js';
import { ProxyArp } from './proxy-arp.js';
import { Punt } from './punt.js';
import { RouterAdvertisements } from './router-advertisements.js';
import { Routes } from './routes.js';
import { SubInterfaces } from './sub-interfaces.js';
import { Tables } from './tables.js';
import { Taps } from './taps.js';
import { Urpf } from './urpf.js';
import { Vxlans } from './vxlan.js';

/** How to open a VPP. */
export type VppOptions = CounterOptions;

/** A VPP. Made by `openVpp`. */
export class Vpp {
  /** The connection, for messages that no object has: `vpp.api.request(…)`. */
  readonly api: Connection | Pool;
  readonly interfaces: Interfaces;
  readonly loopbacks: Loopbacks;
  readonly memif: Memifs;
  readonly taps: Taps;
  readonly afPackets: AfPackets;
  readonly subInterfaces: SubInterfaces;
  readonly bonds: Bonds;
  readonly vxlan: Vxlans;
  readonly geneve: Geneves;
  readonly gre: Gres;
  readonly ipip: Ipips;
  readonly tables: Tables;
  readonly routes: Routes;
  readonly neighbors: Neighbors;
  readonly proxyArp: ProxyArp;
  readonly routerAdvertisements: RouterAdvertisements;
  readonly abf: Abf;
  readonly l3xc: L3xc;
  readonly urpf: Urpf;
  readonly punt: Punt;
  readonly bridges: Bridges;
  readonly crossConnects: CrossConnects;
  readonly spans: Spans;
  readonly acls: Acls;
  readonly macip: Macips;
  readonly nat44: Nat44;
  readonly #core: Core;
  readonly #owned: boolean;
  readonly #onReconnected: (info: { newInstance: boolean }) => void;
  readonly #onEvent: (event: { sw_if_index: number; flags: number; deleted: boolean }) => void;
  #closed = false;

  /** Use `openVpp`. */
  constructor(api: Connection | Pool, options: VppOptions, owned: boolean) {
    const core = new Core(api);
    const interfaces = new Interfaces(core, new CounterReader(options));
    this.api = api;
    this.#core = core;
    this.#owned = owned;
    this.interfaces = interfaces;
    this.loopbacks = new Loopbacks(core, interfaces);
    this.memif = new Memifs(core, interfaces);
    this.taps = new Taps(core, interfaces);
    this.afPackets = new AfPackets(core, interfaces);
    this.subInterfaces = new SubInterfaces(core, interfaces);
    this.bonds = new Bonds(core, interfaces);
    this.vxlan = new Vxlans(core, interfaces);
    this.geneve = new Geneves(core, interfaces);
    this.gre = new Gres(core, interfaces);
    this.ipip = new Ipips(core, interfaces);
    this.tables = new Tables(core);
    this.routes = new Routes(core, interfaces);
    this.neighbors = new Neighbors(core, interfaces);
    this.proxyArp = new ProxyArp(core, interfaces);
    this.routerAdvertisements = new RouterAdvertisements(core, interfaces);
    this.l3xc = new L3xc(core, interfaces);
    this.urpf = new Urpf(core, interfaces);
    this.punt = new Punt(core, interfaces);
    this.bridges = new Bridges(core, interfaces);
    this.crossConnects = new CrossConnects(core, interfaces);
    this.spans = new Spans(core, interfaces);
    this.acls = new Acls(core, interfaces);
    this.macip = new Macips(core, interfaces);
    this.nat44 = new Nat44(core, interfaces);
    this.abf = new Abf(core, interfaces, this.acls);
    // One listener of interface events for all handles: they are to know when their interface is gone.
    this.#onEvent = ({ sw_if_index: index, flags, deleted }) => interfaces.event(index, flags, deleted);
    this.#onReconnected = ({ newInstance }) => {
      if (newInstance) interfaces.restarted();
    };
    core.connection.on('sw_interface_event', this.#onEvent);
    core.connection.on('reconnected', this.#onReconnected);
  }

  /**
   * VPP's version: `26.06-release`.
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * assert.match(await vpp.version(), /^\d\d\.\d\d/);
   * assert.notEqual(await vpp.cli('show version'), '');
   * await vpp.close();
   * ```
   */
  async version(): Promise<string> {
    return (await this.#core.request('show_version', {}, 'VPP', 'ask for its version')).version;
  }

  /**
   * Runs a command of VPP's own CLI, and gives what it prints.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when VPP does not know the command, or it fails
   */
  async cli(command: string): Promise<string> {
    return (await this.#core.request('cli_inband', { cmd: command }, `command "${command}"`, 'run it')).reply;
  }

  /**
   * Starts to trace packets that an input node receives.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when there is no such node
   * @throws VppFeatureError ERR_VPP_FEATURE_MISSING when tracedump_plugin.so is not loaded
   */
  trace(request: TraceRequest): Promise<PacketTrace> {
    return startTrace(this.#core, request);
  }

  /**
   * Captures packets, and resolves with them when there are enough, or time (`durationMs`) is up.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when another capture runs; ERR_VPP_OBJECT_MISSING when the file that VPP
   * wrote cannot be read here, or the interface is not there
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const { packets, pcapng } = await vpp.capture({ directions: ['rx'], count: 10, durationMs: 20 });
   * assert.ok(packets.length <= 10);
   * assert.equal(Buffer.from(pcapng).readUInt32LE(0), 0x0a0d0d0a, 'a pcapng file, for Wireshark');
   * await vpp.close();
   * ```
   */
  capture(request: CaptureRequest = {}): Promise<Capture> {
    return capture(this.#core, this.interfaces, request);
  }

  /** Stops watching; closes what `openVpp` has opened: the connection, the stats segment. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = this.interfaces.close();
    this.#core.connection.off('sw_interface_event', this.#onEvent);
    this.#core.connection.off('reconnected', this.#onReconnected);
    await closed;
    if (this.#owned) await this.api.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * Opens a VPP: over a connection (or pool) that there is, which stays the caller's to close, or over a new one.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * await assert.rejects(openVpp({ socket: '/nowhere/api.sock', timeoutMs: 50 }), { code: 'ERR_VPP_CONNECT' });
 * ```
 *
 * @throws VppConnectionError as of `connect`
 */
export async function openVpp(
  over: Connection | Pool | (ConnectOptions & VppOptions) = {},
  options: VppOptions = {},
): Promise<Vpp> {
  if ('request' in over && typeof over.request === 'function') return new Vpp(over, options, false);
  const {
    statsSocket = options.statsSocket,
    stats = options.stats,
    ...connection
  } = over as ConnectOptions & VppOptions;
  return new Vpp(await connect(connection), { statsSocket, stats }, true);
}

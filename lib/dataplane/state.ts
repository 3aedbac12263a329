// Everything the control plane knows, one object per feature, and how the features reach each other.
//
//   messages ─► feature (state + handlers) ─► forwarder
//                     ▲                            │ link, MAC and neighbour events
//                     └────────────────────────────┘
//
// A feature's file has its state and the handlers of its messages; there is no other way in.

import type { EventName, NewestApi } from '../api/index.js';
import { Acls } from './acls.js';
import { Addresses } from './addresses.js';
import { AfPackets } from './af-packets.js';
import type { ApiServer } from './api/server.js';
import { Bridges } from './bridges.js';
import { registerFibSources } from './fib-sources.js';
import type { Forwarder, ForwarderEvents } from './forwarding/control.js';
import { Handlers, type Told } from './handlers.js';
import { registerInterfaceMessages } from './interface-messages.js';
import { Interfaces, type Interface } from './interfaces.js';
import { L2Fib } from './l2-fib.js';
import { Loopbacks } from './loopbacks.js';
import { Memifs } from './memifs.js';
import { Neighbours } from './neighbours.js';
import { Routes } from './routes.js';
import { registerSubInterfaceMessages } from './subinterfaces.js';
import { registerSystemMessages } from './system.js';
import { Tables } from './tables.js';
import { Taps } from './taps.js';

/** Where a dataplane is and what it says about itself. */
export interface Identity {
  /** Folder of sockets that are given by name only: VPP's runtime directory. */
  readonly runDir: string;
  /** The release it answers to show_version with: `26.06-release`. */
  readonly version: string;
  readonly pid: number;
  /** Milliseconds since any start. */
  readonly now: () => number;
}

/** See above. */
export class State {
  readonly handlers: Handlers;
  readonly server: ApiServer;
  readonly forwarder: Forwarder;
  readonly identity: Identity;
  readonly startedAt: number;
  readonly startedDate = new Date();
  readonly interfaces: Interfaces;
  readonly loopbacks: Loopbacks;
  readonly memifs: Memifs;
  readonly taps: Taps;
  readonly afPackets: AfPackets;
  readonly tables: Tables;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly bridges: Bridges;
  readonly l2Fib: L2Fib;
  readonly acls: Acls;
  /** Who shows counters of interfaces by name, if anybody does. */
  stats: { added(one: Interface): void; removed(one: Interface): void } | undefined;
  /** What an operator should see, told by `problem`. */
  onProblem: (error: Error, interfaceName: string) => void = () => undefined;

  constructor(server: ApiServer, forwarder: Forwarder, identity: Identity) {
    this.server = server;
    this.handlers = new Handlers(server);
    this.forwarder = forwarder;
    this.identity = identity;
    this.startedAt = identity.now();
    this.interfaces = new Interfaces(this);
    this.loopbacks = new Loopbacks(this);
    this.memifs = new Memifs(this);
    this.taps = new Taps(this);
    this.afPackets = new AfPackets(this);
    this.tables = new Tables(this);
    this.addresses = new Addresses(this);
    this.routes = new Routes(this);
    this.neighbours = new Neighbours(this);
    this.bridges = new Bridges(this);
    this.l2Fib = new L2Fib(this);
    this.acls = new Acls(this);
    registerInterfaceMessages(this);
    registerSubInterfaceMessages(this);
    registerSystemMessages(this);
    registerFibSources(this);
    const events: ForwarderEvents = {
      linkChanged: (...told) => this.#linkChanged(...told),
      macEvent: (...told) => this.l2Fib.macEvent(...told),
      neighbourEvent: (...told) => this.neighbours.learnt(...told),
      problem: (error, swIfIndex) => this.onProblem(error, this.interfaces.get(swIfIndex)?.name ?? ''),
    };
    forwarder.setEvents(events);
  }

  /** Sends an event to those who want it. */
  event<N extends EventName<NewestApi>>(name: N, fields: Told<N>): void {
    this.handlers.event(name, fields);
  }

  /** An interface is about to go: whoever rests on it lets go. */
  interfaceGone(gone: Interface): void {
    this.bridges.interfaceGone(gone);
    this.acls.interfaceGone(gone);
    this.addresses.interfaceGone(gone);
    this.tables.interfaceGone(gone);
    this.neighbours.interfaceGone(gone);
  }

  #linkChanged(swIfIndex: number, link: boolean): void {
    const one = this.interfaces.get(swIfIndex);
    if (one !== undefined) this.interfaces.setLink(one, link);
  }
}

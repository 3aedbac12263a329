// A forwarder that moves no packets: what the control plane says is remembered and given back, so that tests of the API
// need neither the addon nor ports. `failNext` makes the next port refuse.

import type { Forwarder, InterfaceSpec, L2FibEntry, Neighbour } from 'node-vpp/dataplane';

export interface StillForwarder extends Forwarder {
  readonly calls: [name: string, ...args: unknown[]][];
  failNext: Error | undefined;
}

export function stillForwarder(): StillForwarder {
  const interfaces = new Map<number, InterfaceSpec & { admin: boolean }>();
  const l2 = new Map<string, L2FibEntry>();
  const neighbours = new Map<string, Neighbour>();
  const calls: StillForwarder['calls'] = [];
  const known: Partial<StillForwarder> & Record<string, unknown> = {
    calls,
    failNext: undefined,
    interfaceCounters: new Float64Array(25 * 64),
    routeCounters: new Float64Array(64),
    addInterface(spec) {
      const failure = face.failNext;
      face.failNext = undefined;
      if (failure !== undefined) throw failure;
      interfaces.set(spec.swIfIndex, { ...spec, admin: false });
      return face.status(spec.swIfIndex);
    },
    removeInterface(index) {
      interfaces.delete(index);
    },
    status(index) {
      const spec = interfaces.get(index)!;
      return { admin: spec.admin, link: false, mac: 'mac' in spec ? String(spec.mac) : '', mtu: 9000 };
    },
    setL2FibEntry(entry) {
      const whole = { static: false, filter: false, bvi: false, ageS: 0, ...entry, mac: String(entry.mac) };
      l2.set(`${entry.bdId} ${whole.mac}`, whole);
    },
    removeL2FibEntry: (bdId, mac) => l2.delete(`${bdId} ${String(mac)}`),
    l2Fib: (bdId) => [...l2.values()].filter((entry) => bdId === undefined || entry.bdId === bdId),
    flushL2Fib: () => 0,
    setNeighbour(n) {
      const whole = { static: false, noFibEntry: false, ageS: 0, ...n, mac: String(n.mac), ip: String(n.ip) };
      neighbours.set(`${n.swIfIndex} ${whole.ip}`, whole);
      return 0;
    },
    removeNeighbour: (index, ip) => neighbours.delete(`${index} ${String(ip)}`),
    neighbours: (isIp6, index) =>
      [...neighbours.values()].filter(
        ({ ip, swIfIndex }) => ip.includes(':') === isIp6 && (index ?? swIfIndex) === swIfIndex,
      ),
    routes: () => [],
    routeCount: () => 0,
    setRoute: () => 0,
    removeRoute: () => true,
    route: () => undefined,
    linkLocal: () => undefined,
    bridgeArpEntries: () => [],
    aclSessions: () => ({ active: 0, max: 500_000, added: 0, deleted: 0 }),
    neighbourLimits: () => ({ max: 50_000, ageS: 0, recycle: false }),
    load: () => ({ bursts: 0, packets: 0, wakeups: 0, vectorRate: 0 }),
    nodeCounters: () => [],
    traces: () => [],
    close: () => Promise.resolve(),
  };
  const face = new Proxy(known, {
    get(target, name: string) {
      const found = target[name];
      if (found !== undefined && typeof found !== 'function') return found;
      if (name === 'failNext') return undefined;
      return (...args: unknown[]) => {
        calls.push([name, ...args]);
        return (found as ((...all: unknown[]) => unknown) | undefined)?.(...args);
      };
    },
  }) as unknown as StillForwarder;
  return face;
}

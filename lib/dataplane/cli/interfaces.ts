// show interface, show interface address, show hardware-interfaces, show mode, clear interfaces, set interface state.

import { InterfaceCounter, INTERFACE_COUNTERS } from '../forwarding/control.js';
import type { Interface } from '../interfaces.js';
import { Refused } from '../retvals.js';
import type { State } from '../state.js';
import { CommandError, is, type Command } from './command.js';
import { centre, left, right } from './layout.js';

/** VPP's names, and where the counters are. Combined ones are packets and bytes, and shown when packets are not zero. */
const COMBINED: readonly (readonly [name: string, at: number])[] = [
  ['rx', InterfaceCounter.rxPackets],
  ['rx-unicast', InterfaceCounter.rxUnicastPackets],
  ['rx-multicast', InterfaceCounter.rxMulticastPackets],
  ['rx-broadcast', InterfaceCounter.rxBroadcastPackets],
  ['tx', InterfaceCounter.txPackets],
  ['tx-unicast', InterfaceCounter.txUnicastPackets],
  ['tx-multicast', InterfaceCounter.txMulticastPackets],
  ['tx-broadcast', InterfaceCounter.txBroadcastPackets],
];
const SIMPLE: readonly (readonly [name: string, at: number])[] = [
  ['drops', InterfaceCounter.drops],
  ['punt', InterfaceCounter.punt],
  ['ip4', InterfaceCounter.ip4],
  ['ip6', InterfaceCounter.ip6],
  ['rx-no-buf', InterfaceCounter.rxNoBuf],
  ['rx-miss', InterfaceCounter.rxMiss],
  ['rx-error', InterfaceCounter.rxError],
  ['tx-error', InterfaceCounter.txError],
  ['mpls', InterfaceCounter.mpls],
];
const COUNTER_COLUMN = 32 + 5 + 10 + 21;

/** The rows of an interface: its state, and one counter a line. */
function* interfaceRows(state: State, one: Interface): Generator<string> {
  const { interfaceCounters } = state.forwarder;
  const row = one.swIfIndex * INTERFACE_COUNTERS;
  const counters: string[] = [];
  const show = (name: string, value: number) => counters.push(left(name, 16) + right(value, 16));
  for (const [name, at] of COMBINED) {
    if ((interfaceCounters[row + at] ?? 0) === 0) continue;
    show(`${name} packets`, interfaceCounters[row + at]!);
    show(`${name} bytes`, interfaceCounters[row + at + 1]!);
  }
  for (const [name, at] of SIMPLE) {
    const value = interfaceCounters[row + at] ?? 0;
    if (value !== 0) show(name, value);
  }
  const head =
    left(one.name, 32) +
    centre(one.swIfIndex, 5) +
    centre(one.adminUp ? 'up' : 'down', 10) +
    centre(one.mtu.join('/'), 21);
  yield head + (counters[0] ?? '');
  for (const counter of counters.slice(1)) yield ' '.repeat(COUNTER_COLUMN) + counter;
}

function compareNames(a: Interface, b: Interface): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.swIfIndex - b.swIfIndex;
}

/** The interface an argument names, by name or number. */
export function interfaceNamed(state: State, argument: string | undefined): Interface {
  const found = argument === undefined ? undefined : state.interfaces.named(argument);
  if (found !== undefined) return found;
  if (argument !== undefined && /^\d+$/.test(argument)) {
    const numbered = state.interfaces.get(Number(argument));
    if (numbered === undefined) throw new CommandError(`unknown interface index \`${argument}'`);
    return numbered;
  }
  throw new CommandError(`unknown input \`${argument ?? ''}'`);
}

function* addresses(state: State, one: Interface): Generator<string> {
  const up = one.adminUp ? 'up' : 'dn';
  const { unnumbered } = one;
  yield `${one.name} (${up}):`;
  if (unnumbered !== undefined) yield `  unnumbered, use ${unnumbered.name}`;
  const mode = state.bridges.modeOf(one);
  if (mode?.domain !== undefined) {
    const { domain, shg, port } = mode;
    yield `  L2 bridge bd-id ${domain.id} idx ${domain.index} shg ${shg} ${port === 'bvi' ? 'bvi' : ' '}`;
  } else if (mode !== undefined) yield `  L2 xconnect ${mode.to.name}`;
  for (const isIp6 of [false, true]) {
    const table = one.tables[isIp6 ? 1 : 0];
    for (const prefix of state.addresses.list(unnumbered ?? one, isIp6)) {
      const inTable = table === 0 ? '' : ` ip${isIp6 ? 6 : 4} table-id ${table} fib-idx ${table}`;
      yield `  L3 ${prefix}${inTable}`;
    }
  }
}

function* showInterface(state: State, args: readonly string[]): Generator<string> {
  const chosen: Interface[] = [];
  let what: 'counters' | 'address' | 'tag' | 'vtr' = 'counters';
  for (const word of args) {
    if (is(word, 'address', 4)) what = 'address';
    else if (word === 'tag') what = 'tag';
    else if (word === 'vtr') what = 'vtr';
    else if (word !== 'verbose') chosen.push(interfaceNamed(state, word));
  }
  const [first] = chosen;
  if (what === 'tag' || what === 'vtr') {
    if (first === undefined) throw new CommandError('Interface not specified...');
    yield what === 'tag'
      ? `${first.name}: ${first.tag === '' ? '(none)' : first.tag}`
      : `${first.name}:  VTR ${rewriteText(first)}`;
    return;
  }
  const all = chosen.length > 0 ? chosen : [...state.interfaces.values()].sort(compareNames);
  if (what === 'address') {
    for (const one of all) yield* addresses(state, one);
    return;
  }
  yield (
    centre('Name', 32) +
    centre('Idx', 5) +
    centre('State', 10) +
    centre('MTU (L3/IP4/IP6/MPLS)', 21) +
    centre('Counter', 16) +
    centre('Count', 16)
  );
  for (const one of all) yield* interfaceRows(state, one);
}

/** VPP's words for a VLAN tag rewrite. */
export function rewriteText({ rewrite: { op, pushDot1q, tag1, tag2 } }: Interface): string {
  const kind = pushDot1q ? 'dot1q' : 'dot1ad';
  return [
    'none',
    `push-1 ${kind} ${tag1}`,
    `push-2 ${kind} ${tag1} ${tag2}`,
    'pop-1',
    'pop-2',
    `trans-1-1 ${kind} ${tag1}`,
    `trans-1-2 ${kind} ${tag1} ${tag2}`,
    `trans-2-1 ${kind} ${tag1}`,
    `trans-2-2 ${kind} ${tag1} ${tag2}`,
  ][op]!;
}

const HARDWARE: Readonly<Record<string, string>> = {
  local: 'local',
  memif: 'MEMIF interface',
  tap: 'TAP interface',
  af_packet: 'Linux PACKET socket interface',
};

function* showHardware(state: State, args: readonly string[]): Generator<string> {
  const chosen = args.filter((word) => !is(word, 'brief') && !is(word, 'verbose') && !is(word, 'detail'));
  const all =
    chosen.length > 0
      ? chosen.map((word) => interfaceNamed(state, word))
      : [...state.interfaces.values()].filter(({ sub }) => sub === undefined).sort(compareNames);
  yield `${centre('Name', 32)}${centre('Idx', 6)}${centre('Link', 8)}Hardware`;
  for (const one of all) {
    yield left(one.name, 32) + centre(one.swIfIndex, 6) + centre(one.linkUp ? 'up' : 'down', 8) + one.name;
    yield '  Link speed: unknown';
    const { rx, tx } = state.interfaces.queuesOf(one);
    if (rx > 0) yield* ['  RX Queues:', '    queue thread         mode      '];
    for (let queue = 0; queue < rx; queue++) yield `    ${left(queue, 6)}main (0)       ${left(one.rxMode, 10)}`;
    if (tx > 0) yield* ['  TX Queues:', '    queue shared thread(s)      '];
    for (let queue = 0; queue < tx; queue++) yield `    ${left(queue, 6)}no     0`;
    if (one.ethernet && one.mac !== '') yield `  Ethernet address ${one.mac}`;
    const hardware = HARDWARE[one.kind];
    if (hardware !== undefined) yield `  ${hardware}`;
  }
}

function* showMode(state: State, args: readonly string[]): Generator<string> {
  const all = args.length > 0 ? args.map((word) => interfaceNamed(state, word)) : state.interfaces.values();
  for (const one of all) {
    const mode = state.bridges.modeOf(one);
    if (mode === undefined) yield `l3 ${one.name}  `;
    else if (mode.domain === undefined) yield `l2 xconnect ${one.name} ${mode.to.name}`;
    else {
      yield `l2 bridge ${one.name} bd_id ${mode.domain.id}${mode.port === 'bvi' ? ' bvi' : ''} shg ${mode.shg}`;
    }
  }
}

function setState(state: State, [name, to]: readonly string[]): string {
  const one = interfaceNamed(state, name);
  if (to !== 'up' && to !== 'down') throw new CommandError(`unknown input \`${to ?? ''}'`);
  try {
    state.interfaces.setAdmin(one, to === 'up');
  } catch (error) {
    if (error instanceof Refused) throw new CommandError(`super-interface ${one.parent.name} must be ${to}`);
    throw error;
  }
  return '';
}

/** See the head of the file. */
export const interfaceCommands: readonly Command[] = [
  { path: 'show interface', help: 'show interface [address|tag|vtr] [<interface> …]', run: showInterface },
  { path: 'show hardware-interfaces', help: 'show hardware-interfaces [<interface> …]', run: showHardware },
  { path: 'show mode', help: 'show mode [<interface> …]', run: showMode },
  {
    path: 'clear interfaces',
    help: 'clear interfaces',
    run: (state) => {
      state.forwarder.clearInterfaceCounters();
      return '';
    },
  },
  { path: 'set interface state', help: 'set interface state <interface> up|down', run: setState },
];

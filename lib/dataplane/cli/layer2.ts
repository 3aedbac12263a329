// show bridge-domain, show l2fib.

import { flagsOf } from '../bridges.js';
import { NO_INTERFACE } from '../forwarding/control.js';
import type { State } from '../state.js';
import { CommandError, is, numberOf, type Command } from './command.js';
import { rewriteText } from './interfaces.js';
import { centre, left, right } from './layout.js';

const onOff = (on: boolean) => (on ? 'on' : 'off');

function* showBridgeDomain(state: State, args: readonly string[]): Generator<string> {
  const { bridges, forwarder } = state;
  const id = args[0] === undefined ? undefined : numberOf(args[0]);
  const detail = args.some((word) => is(word, 'detail', 3));
  const members = detail || args.some((word) => is(word, 'interface', 3));
  const arp = detail || args.includes('arp');
  if (id === 0) throw new CommandError('No operations on the default bridge domain are supported');
  if (id !== undefined && bridges.domain(id) === undefined) throw new CommandError(`No such bridge domain ${id}`);
  let printed = false;
  for (const domain of bridges.domains()) {
    if (id !== undefined && domain.id !== id) continue;
    if (!printed) {
      printed = true;
      yield [
        centre('BD-ID', 8),
        centre('Index', 7),
        centre('BSN', 4),
        centre('Age(min)', 9),
        centre('Learning', 9),
        centre('U-Forwrd', 9),
        centre('UU-Flood', 11),
        centre('Flooding', 9),
        centre('ARP-Term', 9),
        centre('arp-ufwd', 9),
        'Learn-co',
        'Learn-li',
        centre('BVI-Intf', 11),
      ].join(' ');
    }
    const { learn, forward, uuFlood, flood, arpTerm, arpUnicastForward } = flagsOf(domain.features);
    const learnt = [...forwarder.l2Fib(domain.id)].filter((entry) => !entry.static).length;
    yield [
      centre(domain.id, 8),
      centre(domain.index, 7),
      centre(0, 4),
      centre(domain.macAge === 0 ? 'off' : domain.macAge, 9),
      centre(onOff(learn), 9),
      centre(onOff(forward), 9),
      centre(domain.uuFwd?.name ?? (uuFlood ? 'flood' : 'drop'), 11),
      centre(onOff(flood), 9),
      centre(onOff(arpTerm), 9),
      centre(onOff(arpUnicastForward), 9),
      centre(learnt, 8),
      centre(domain.learnLimit, 8),
      centre(domain.bvi?.name ?? 'N/A', 11),
    ].join(' ');
    if (members && domain.members.length > 0) {
      yield '';
      const head = [centre('Interface', 30), centre('If-idx', 7), centre('ISN', 5), centre('SHG', 5)];
      yield [...head, centre('BVI', 5), centre('TxFlood', 9), centre('VLAN-Tag-Rewrite', 30)].join('');
      for (const member of domain.members) {
        const mode = bridges.modeOf(member) as { shg: number };
        const flooded = member === domain.bvi || (member.kind !== 'loopback' && member.kind !== 'bvi');
        const row = [centre(member.name, 30), centre(member.swIfIndex, 7), centre(1, 5), centre(mode.shg, 5)];
        const marks = [centre(member === domain.bvi ? '*' : '-', 5), centre(flooded ? '*' : '-', 9)];
        yield [...row, ...marks, centre(rewriteText(member), 30)].join('');
      }
    }
    if (arp && arpTerm) {
      yield '';
      yield '  IP4/IP6 to MAC table for ARP Termination';
      for (const { ip, mac } of forwarder.bridgeArpEntries(domain.id)) yield `${centre(ip, 40)} => ${centre(mac, 20)}`;
    }
    if ((detail || args.includes('bd-tag')) && domain.tag !== '') {
      yield '';
      yield `  BD-Tag: ${domain.tag}`;
    }
  }
  if (!printed) yield 'no bridge-domains in use';
}

function* showL2Fib(state: State, args: readonly string[]): Generator<string> {
  const { bridges, interfaces, l2Fib } = state;
  let id: number | undefined;
  const at = args.indexOf('bd_id');
  if (at >= 0) {
    id = numberOf(args[at + 1]);
    if (bridges.domain(id) === undefined) throw new CommandError(`bridge domain id ${id} doesn't exist`);
  }
  const onlyLearnt = args.includes('learn');
  const onlySet = args.includes('add');
  const verbose =
    id !== undefined || onlyLearnt || onlySet || args.some((word) => is(word, 'verbose') || is(word, 'all'));
  const all = l2Fib.entries(NO_INTERFACE);
  if (all.length === 0) {
    yield 'no l2fib entries';
    return;
  }
  if (verbose) {
    const head = [centre('Mac-Address', 19), centre('BD-Idx', 7), centre('If-Idx', 7), centre('BSN-ISN', 8)];
    const marks = [centre('Age(min)', 9), centre('static', 7), centre('filter', 7), centre('bvi', 5)];
    yield [...head, ...marks, centre('Interface-Name', 30)].join('');
    for (const entry of all) {
      if (id !== undefined && entry.bdId !== id) continue;
      const isSet = entry.static || entry.filter || entry.bvi;
      if ((onlyLearnt && isSet) || (onlySet && !isSet)) continue;
      const domain = bridges.domain(entry.bdId);
      const index = entry.swIfIndex === NO_INTERFACE ? -1 : entry.swIfIndex;
      const age = isSet ? 'no' : domain?.macAge === 0 ? '-' : Math.floor(entry.ageS / 60);
      yield [
        centre(entry.mac, 19),
        centre(domain?.index ?? 0, 7),
        centre(index, 7),
        ` ${right(0, 3)}/${left(0, 3)}`,
        centre(age, 9),
        centre(entry.static ? '*' : '-', 7),
        centre(entry.filter ? '*' : '-', 7),
        centre(entry.bvi ? '*' : '-', 5),
        centre(interfaces.get(entry.swIfIndex)?.name ?? 'N/A', 30),
      ].join('');
    }
  }
  const learnt = all.filter((entry) => !entry.static && !entry.filter && !entry.bvi).length;
  yield `L2FIB total/learned entries: ${all.length}/${learnt}  Last scan time: 0.0000e0sec  Learn limit: 16777216 `;
}

/** See the head of the file. */
export const layer2Commands: readonly Command[] = [
  { path: 'show bridge-domain', help: 'show bridge-domain [<bd-id> [detail|int|arp|bd-tag]]', run: showBridgeDomain },
  { path: 'show l2fib', help: 'show l2fib [all] [bd_id <n>] [learn|add]', run: showL2Fib },
  {
    path: 'clear l2fib',
    help: 'clear l2fib',
    run: (state) => {
      for (const { bdId, mac } of [...state.forwarder.l2Fib()]) state.forwarder.removeL2FibEntry(bdId, mac);
      return '';
    },
  },
];

// show memif, show tap, show af-packet (host-interface), show acl-plugin acl and interface.

import type { State } from '../state.js';
import { CommandError, is, type Command } from './command.js';
import { interfaceNamed } from './interfaces.js';
import { left } from './layout.js';

const MODES = ['ethernet', 'ip', 'punt/inject'];

function* showMemif(state: State, args: readonly string[]): Generator<string> {
  yield 'sockets';
  yield `  ${left('id', 3)} ${left('listener', 11)} filename`;
  for (const { id, path, users } of state.memifs.sockets()) {
    const [first] = users.values();
    yield `  ${left(id, 3)} ${left(first?.isServer === true ? `yes (${users.size})` : 'no', 11)} ${path}`;
  }
  yield '';
  const chosen = args.filter((word) => !is(word, 'descriptors')).map((word) => interfaceNamed(state, word));
  for (const memif of state.memifs.values()) {
    const { shown, socket, id, mode, isServer, zeroCopy } = memif;
    if (chosen.length > 0 && !chosen.includes(shown)) continue;
    const { peer, rings, link } = state.forwarder.status(shown.swIfIndex);
    yield `interface ${shown.name}`;
    if (peer !== undefined) {
      yield `  remote-name "${peer.name}"`;
      yield `  remote-interface "${peer.interfaceName}"`;
    }
    yield `  socket-id ${socket.id} id ${id} mode ${MODES[mode]!}`;
    const flags = [
      shown.adminUp && 'admin-up',
      !isServer && 'slave',
      link && 'connected',
      zeroCopy && 'zero-copy',
    ].filter((flag) => flag !== false);
    yield `  flags${flags.map((flag) => ` ${flag}`).join('')}`;
    const [s2m, m2s] = isServer ? [rings?.rx, rings?.tx] : [rings?.tx, rings?.rx];
    yield `  num-s2m-rings ${s2m ?? 0} num-m2s-rings ${m2s ?? 0} buffer-size ${rings?.bufferSize ?? 0}`;
    if (rings !== undefined) yield `  ring-size ${rings.ringSize}`;
  }
}

function* showTap(state: State, args: readonly string[]): Generator<string> {
  const chosen = args.filter((word) => !is(word, 'descriptors')).map((word) => interfaceNamed(state, word));
  for (const { shown, id, asked } of state.taps.values()) {
    if (chosen.length > 0 && !chosen.includes(shown)) continue;
    const { hostName, hostMac, gso } = state.forwarder.status(shown.swIfIndex);
    yield `Interface: ${shown.name} (ifindex ${shown.swIfIndex})`;
    yield `  name "${hostName ?? ''}"`;
    if (asked.host_namespace_set) yield `  host-ns "${asked.host_namespace}"`;
    yield `  id ${id}`;
    yield `  host-mac-addr: ${hostMac ?? ''}`;
    yield `  Mac Address: ${shown.mac}`;
    yield `  gso-enabled ${gso === true ? 1 : 0}`;
  }
}

function* showAcls(state: State, args: readonly string[]): Generator<string> {
  const at = args.findIndex((word) => is(word, 'index', 3));
  const wanted = at < 0 ? undefined : Number(args[at + 1]);
  for (const { index, tag, rules } of state.acls.values()) {
    if (wanted !== undefined && wanted !== index) continue;
    yield `acl-index ${index} count ${rules.length} tag {${tag}}`;
    for (const [number, rule] of rules.entries()) {
      const family = rule.src_prefix.includes(':') ? 'ipv6' : 'ipv4';
      const action = ['deny', 'permit', 'permit+reflect'][Math.min(rule.is_permit, 2)]!;
      const ports = (first: number, last: number) => (first === last ? String(first) : `${first}-${last}`);
      const flags = rule.tcp_flags_mask === 0 ? '' : ` tcpflags ${rule.tcp_flags_value} mask ${rule.tcp_flags_mask}`;
      yield (
        `${String(number).padStart(11)}: ${family} ${action} src ${rule.src_prefix} dst ${rule.dst_prefix} ` +
        `proto ${rule.proto} sport ${ports(rule.srcport_or_icmptype_first, rule.srcport_or_icmptype_last)} ` +
        `dport ${ports(rule.dstport_or_icmpcode_first, rule.dstport_or_icmpcode_last)}${flags}`
      );
    }
  }
}

function* showAclInterfaces(state: State): Generator<string> {
  for (const one of state.interfaces.values()) {
    const { input, output } = state.acls.listsOf(one);
    if (input.length + output.length === 0) continue;
    yield `sw_if_index ${one.swIfIndex}:`;
    if (input.length > 0) yield `   input acl(s): ${input.join(', ')}`;
    if (output.length > 0) yield `   output acl(s): ${output.join(', ')}`;
  }
}

function* showSessions(state: State): Generator<string> {
  const { active, max, added, deleted } = state.forwarder.aclSessions();
  yield `Sessions total: add ${added} - del ${deleted} = ${active}`;
  yield `Sessions max: ${max}`;
}

function showBuffers(): never {
  throw new CommandError('packets here are in the memory of their rings; there are no buffer pools');
}

/** See the head of the file. */
export const portCommands: readonly Command[] = [
  { path: 'show memif', help: 'show memif [<interface>]', run: showMemif },
  { path: 'show tap', help: 'show tap [<interface>]', run: showTap },
  { path: 'show acl-plugin acl', help: 'show acl-plugin acl [index <n>]', run: showAcls },
  { path: 'show acl-plugin interface', help: 'show acl-plugin interface', run: showAclInterfaces },
  { path: 'show acl-plugin sessions', help: 'show acl-plugin sessions', run: showSessions },
  { path: 'show buffers', help: 'show buffers', run: showBuffers },
];

// show version, show threads, show api clients, show clock, show runtime, show errors, and traces.

import { hostname } from 'node:os';
import type { PacketTrace } from '../forwarding/control.js';
import type { State } from '../state.js';
import { CommandError, is, numberOf, type Command } from './command.js';
import { centre, left, right } from './layout.js';

function* showVersion(state: State, args: readonly string[]): Generator<string> {
  const { version, pid } = state.identity;
  if (is(args[0], 'verbose', 1)) {
    yield `${left('Version:', 25)} v${version}`;
    yield `${left('Compile host:', 25)} ${hostname()}`;
    yield `${left('Current PID:', 25)} ${pid}`;
    return;
  }
  yield `vpp v${version} built by node-vpp on ${hostname()} at ${state.startedDate.toISOString().slice(0, 19)}`;
}

function* showThreads(state: State): Generator<string> {
  yield `${left('ID', 7)}${left('Name', 20)}${left('Type', 12)}${left('LWP', 8)}${left('Sched Policy (Priority)', 25)}${left('lcore', 7)}${left('Core', 7)}${left('Socket', 7)}State`;
  yield `${left(0, 7)}${left('vpp_main', 20)}${left('', 12)}${left(state.identity.pid, 8)}${left('other (0)', 25)}${left(0, 7)}${left(0, 7)}${left(0, 7)}`;
}

function* showClients(state: State): Generator<string> {
  const { clients } = state.server;
  if (clients.length === 0) {
    yield 'No socket clients';
    return;
  }
  yield 'Socket clients';
  yield `${right('Name', 20)}${right('Fildesc', 9)}`;
  for (const { index, name } of clients) yield `${right(name, 20)}${right(index & 0x7fffffff, 9)}`;
}

function* showRuntime(state: State): Generator<string> {
  const { bursts, packets, wakeups, vectorRate } = state.forwarder.load();
  const seconds = (state.identity.now() - state.startedAt) / 1000;
  yield `Time ${seconds.toFixed(1)}, ${bursts} bursts, ${packets} packets, ${wakeups} wake-ups, vector rate ${vectorRate.toFixed(2)}`;
  yield `${centre('Name', 30)}${centre('Calls', 16)}${centre('Vectors', 16)}${centre('Vectors/Call', 16)}`;
  for (const { name, calls, vectors } of state.forwarder.nodeCounters()) {
    if (calls === 0) continue;
    yield `${left(name, 30)}${right(calls, 16)}${right(vectors, 16)}${right((vectors / calls).toFixed(2), 16)}`;
  }
}

function* showErrors(state: State): Generator<string> {
  yield centre('Count', 10) + centre('Node', 35) + centre('Reason', 35) + centre('Severity', 10);
  for (const node of state.forwarder.nodeCounters()) {
    for (const { text, severity, count } of node.errors) {
      if (count > 0) yield right(count, 10) + centre(node.name, 35) + centre(text, 35) + centre(severity, 10);
    }
  }
}

/** `00:01:02:345678`: hours, minutes, seconds, microseconds. */
function traceTime(seconds: number): string {
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const micros = Math.floor((seconds % 1) * 1e6);
  return `${two(seconds / 3600)}:${two((seconds / 60) % 60)}:${two(seconds % 60)}:${String(micros).padStart(6, '0')}`;
}

function* traceLines({ packet, timeS, steps }: PacketTrace): Generator<string> {
  yield `Packet ${packet}`;
  yield '';
  for (const { node, text } of steps) {
    yield `${traceTime(timeS)}: ${node}`;
    for (const line of text.split('\n')) yield `  ${line}`;
  }
  yield '';
}

function* showTrace(state: State, args: readonly string[]): Generator<string> {
  const most = is(args[0], 'max') ? numberOf(args[1]) : 50;
  const traces = state.forwarder.traces();
  yield `${'-'.repeat(19)} Start of thread 0 vpp_main ${'-'.repeat(19)}`;
  if (traces.length === 0) {
    yield 'No packets in trace buffer';
    return;
  }
  for (const trace of traces.slice(0, most)) yield* traceLines(trace);
  if (traces.length > most) yield `Limiting display to ${most} packets. To display more specify max.`;
}

function addTrace(state: State, args: readonly string[]): string {
  const [node, count] = args;
  if (node === undefined) throw new CommandError('expected an input node: memif-input, virtio-input, af-packet-input');
  state.forwarder.addTrace(node, numberOf(count));
  return '';
}

/** See the head of the file. */
export const systemCommands: readonly Command[] = [
  { path: 'show version', help: 'show version [verbose]', run: showVersion },
  { path: 'show threads', help: 'show threads', run: showThreads },
  { path: 'show api clients', help: 'show api clients', run: showClients },
  {
    path: 'show clock',
    help: 'show clock',
    run: (state) => [`Time now ${((state.identity.now() - state.startedAt) / 1000).toFixed(6)}`],
  },
  { path: 'show runtime', help: 'show runtime', run: showRuntime },
  { path: 'show errors', help: 'show errors', run: showErrors },
  { path: 'show node counters', help: 'show node counters', run: showErrors },
  {
    path: 'clear errors',
    help: 'clear errors',
    run: (state) => {
      state.forwarder.clearNodeCounters();
      return '';
    },
  },
  { path: 'show trace', help: 'show trace [max <n>]', run: showTrace },
  { path: 'trace add', help: 'trace add <input node> <n>', run: addTrace },
  {
    path: 'clear trace',
    help: 'clear trace',
    run: (state) => {
      state.forwarder.clearTraces();
      return '';
    },
  },
];

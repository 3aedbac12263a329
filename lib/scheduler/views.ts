// What people see of the graph: status, dumps, explanations, drawings. Everything passes through redaction here.

import { Bit, dependencyText, eachDependant, eachLeaf, Node, type Graph } from './graph.js';
import { rowCode, type History, type TransactionRecord } from './history.js';
import type { Entry } from './key-space.js';
import { prefixOf } from './descriptor.js';
import type { Waiting } from './plan.js';
import { unmetOf } from './planner.js';
import { redact } from './redact.js';
import { State, valueStates, type Reason, type ValueState, type ValueStatus } from './state.js';

/** What the views look at: a graph, and the state each of its nodes is in. */
export interface Shown {
  readonly graph: Graph;
  stateOf(node: Node): number;
}

/** The prefix of a registered descriptor. */
export function prefixOfEntry(entry: Entry): string {
  return prefixOf(entry.descriptor.keys);
}

/** The base value a node is derived from, or itself. */
export function root(node: Node): Node {
  let at = node;
  while (at.parent !== undefined) at = at.parent;
  return at;
}

/** What is shown of a value nobody has a schema for: it may hold secrets. */
const unknownValue = '[no descriptor]';

/** A node's value as it may be shown. */
export function shown(node: Node | undefined, which: 'desired' | 'applied', secrets: boolean): unknown {
  const value = node?.[which];
  if (secrets || value === undefined || node === undefined) return value;
  if (node.entry === undefined && node.parent === undefined) return unknownValue;
  return redact(node.entry?.descriptor.schema, value);
}

/** See {@link Scheduler.dump}. */
export function* dump(
  graph: Graph,
  view: 'desired' | 'applied',
  options: { readonly prefix?: string; readonly secrets?: boolean },
): Generator<{ key: string; value: unknown }> {
  for (const node of graph.withPrefix(options.prefix ?? '')) {
    const wanted =
      view === 'desired' ? node.parent === undefined && node.desired !== undefined : (node.bits & Bit.exists) !== 0;
    if (wanted) yield { key: node.key, value: shown(node, view, options.secrets === true) };
  }
}

/** See {@link Scheduler.status}. */
export function status(engine: Shown, key: string): ValueStatus {
  const node = engine.graph.get(key);
  if (node !== undefined) return statusOf(engine, node);
  return { key, state: 'nonexistent', descriptor: undefined, derivedFrom: undefined, seq: -1, reasons: [] };
}

/** The status of a node. */
export function statusOf(engine: Shown, node: Node): ValueStatus {
  const state = engine.stateOf(node);
  return {
    key: node.key,
    state: state === State.removed ? 'nonexistent' : valueStates[state]!,
    descriptor: node.entry?.name,
    derivedFrom: node.parent?.key,
    seq: node.seq,
    reasons: reasonsOf(node, valueStates[state]!),
  };
}

function reasonsOf(node: Node, state: ValueState): Reason[] {
  const { trouble } = node;
  const reasons: Reason[] = [];
  if (state === 'unimplemented') reasons.push({ kind: 'no-descriptor' });
  if (state === 'invalid' && trouble?.fields !== undefined) reasons.push({ kind: 'invalid', fields: trouble.fields });
  if (trouble?.held === true) reasons.push({ kind: 'held', by: holders(node) });
  if (trouble?.error !== undefined) {
    const code = (trouble.error as { code?: string }).code;
    reasons.push({
      kind: 'error',
      operation: trouble.operation ?? 'none',
      code,
      message: trouble.error.message,
      attempts: trouble.attempts,
      nextTryMs: trouble.nextTryMs,
    });
  }
  if (trouble?.drift !== undefined) reasons.push({ kind: 'drift', difference: trouble.drift });
  if ((node.bits & Bit.uncertain) !== 0) reasons.push({ kind: 'uncertain' });
  if (state === 'pending' || state === 'failed' || state === 'retrying') {
    const parent = node.parent;
    if (parent !== undefined && ((parent.bits & Bit.exists) === 0 || parent.applied !== parent.desired)) {
      reasons.push({ kind: 'parent', parent: parent.key });
    }
    const dependencies = node.desired === undefined ? [] : unmetOf(node);
    if (dependencies.length > 0) reasons.push({ kind: 'unmet', dependencies });
  }
  return reasons;
}

/** Existing values that rest on a node. */
function holders(node: Node): string[] {
  const found: string[] = [];
  const named = node.dependants;
  const all = named instanceof Set ? named : named === undefined ? [] : [named];
  for (const dependant of all) {
    if ((dependant.bits & (Bit.exists | Bit.uncertain)) !== 0) found.push(dependant.key);
  }
  for (const child of node.children ?? []) if ((child.bits & Bit.exists) !== 0) found.push(child.key);
  return found;
}

/** A reason as a sentence. */
export function reasonText(reason: Reason): string {
  switch (reason.kind) {
    case 'unmet':
      return `needs ${reason.dependencies.join(', ')}`;
    case 'parent':
      return `waits for ${reason.parent}, from which it is derived`;
    case 'invalid':
      return reason.fields.map(({ path, reason: why }) => `${path === '' ? 'the value' : path} ${why}`).join('; ');
    case 'no-descriptor':
      return 'no descriptor has this key';
    case 'error': {
      const next =
        reason.nextTryMs === undefined ? 'no further try' : `next try at ${new Date(reason.nextTryMs).toISOString()}`;
      return `${reason.message} (${reason.attempts} tries, ${next})`;
    }
    case 'held':
      return `must stay for ${reason.by.join(', ')}`;
    case 'uncertain':
      return 'what is there is unknown until it can be retrieved';
    case 'drift':
      return reason.difference === 'missing'
        ? 'the southbound has lost it; policy leaves it so'
        : 'the southbound has another value; policy leaves it so';
  }
}

/** Values that a plan leaves pending. */
export function waiting(engine: Shown, nodes: readonly Node[]): Waiting[] {
  const found: Waiting[] = [];
  for (const node of nodes) {
    if (node.desired === undefined || (node.bits & Bit.exists) !== 0) continue;
    const state = engine.stateOf(node);
    const unmet = unmetOf(node).filter((text) => engine.graph.get(text)?.desired === undefined);
    if (state === State.invalid) {
      found.push({ key: node.key, reasons: reasonsOf(node, 'invalid').map(reasonText) });
    } else if (unmet.length > 0) {
      found.push({ key: node.key, reasons: [`needs ${unmet.join(', ')}`] });
    } else if (state === State.unimplemented) {
      found.push({ key: node.key, reasons: ['no descriptor has this key'] });
    }
  }
  return found;
}

/** Records that a value, or one derived from it, was refused as invalid. */
export function noteInvalid(node: Node | undefined, record: TransactionRecord): void {
  if (node === undefined) return;
  if ((node.bits & Bit.invalid) !== 0) {
    const text = reasonsOf(node, 'invalid').map(reasonText).join('; ');
    record.add(node.key, rowCode('validate', State.invalid, 0, node.state), undefined, node.desired, text);
  }
  for (const child of node.children ?? []) noteInvalid(child, record);
}

/** See {@link Scheduler.explain}. */
export function explain(engine: Shown, history: History, key: string): string {
  const lines: string[] = [];
  describe(engine, history, key, '', lines, new Set());
  return `${lines.join('\n')}\n`;
}

function describe(
  engine: Shown,
  history: History,
  key: string,
  indent: string,
  lines: string[],
  seen: Set<string>,
): void {
  const node = engine.graph.get(key);
  const { state, reasons, derivedFrom, descriptor } = status(engine, key);
  const by = descriptor === undefined ? '' : ` (${descriptor})`;
  if (seen.has(key)) {
    lines.push(`${indent}${key}: see above`);
    return;
  }
  seen.add(key);
  lines.push(`${indent}${key} is ${state}${by}${derivedFrom === undefined ? '' : `, derived from ${derivedFrom}`}`);
  if (node === undefined) {
    lines.push(`${indent}  nobody desires it and it is not there`);
    return;
  }
  if (state === 'nonexistent' && node.dependants !== undefined)
    lines.push(`${indent}  nobody desires it, but others need it`);
  for (const reason of reasons) lines.push(`${indent}  ${reasonText(reason)}`);
  if (indent === '') {
    if ((node.bits & Bit.exists) !== 0 && node.deps.length > 0) {
      lines.push(`  rests on ${node.deps.map(dependencyText).join(', ')}`);
    }
    const resting: string[] = [];
    eachDependant(
      engine.graph,
      node,
      () => true,
      (dependant) => {
        if ((dependant.bits & Bit.exists) !== 0 && resting.length < 10) resting.push(dependant.key);
      },
    );
    if (resting.length > 0) lines.push(`  carries ${resting.join(', ')}`);
    if (node.seq >= 0) {
      for (const { seq, description, kind } of history.query({ seq: node.seq })) {
        lines.push(`  last changed by transaction ${seq} (${description ?? kind})`);
      }
    }
  }
  for (const reason of reasons) {
    if (reason.kind === 'parent') describe(engine, history, reason.parent, `${indent}  `, lines, seen);
    if (reason.kind !== 'unmet') continue;
    for (const dep of node.deps) {
      if (!reason.dependencies.includes(dependencyText(dep))) continue;
      let shownLeaves = 0;
      eachLeaf([dep], (leaf) => {
        if (leaf instanceof Node && shownLeaves < 5) {
          describe(engine, history, leaf.key, `${indent}  `, lines, seen);
          shownLeaves += 1;
        } else if (!(leaf instanceof Node)) lines.push(`${indent}  ${leaf.text}: ${leaf.count} there`);
      });
    }
  }
}

const colours: Record<ValueState, string> = {
  nonexistent: '#eeeeee',
  missing: '#ff9896',
  unimplemented: '#c5b0d5',
  removed: '#eeeeee',
  configured: '#98df8a',
  obtained: '#9edae5',
  discovered: '#17becf',
  pending: '#ffdd77',
  invalid: '#e377c2',
  failed: '#ff6961',
  retrying: '#ffbb78',
};

interface Drawing {
  readonly nodes: { id: string; key: string; state: ValueState; descriptor: string | undefined; value: unknown }[];
  readonly edges: { from: string; to: string; relation: 'depends on' | 'derived from' }[];
}

function draw(engine: Shown, prefix: string): Drawing {
  const ids = new Map<string, string>();
  const drawing: Drawing = { nodes: [], edges: [] };
  const id = (key: string, state: ValueState, descriptor: string | undefined, value: unknown): string => {
    let known = ids.get(key);
    if (known === undefined) {
      known = `n${ids.size}`;
      ids.set(key, known);
      drawing.nodes.push({ id: known, key, state, descriptor, value });
    }
    return known;
  };
  const idOf = (node: Node): string => {
    const { state, descriptor } = statusOf(engine, node);
    return id(node.key, state, descriptor, shown(node, node.desired === undefined ? 'applied' : 'desired', false));
  };
  for (const node of engine.graph.withPrefix(prefix)) {
    const from = idOf(node);
    if (node.parent !== undefined) drawing.edges.push({ from, to: idOf(node.parent), relation: 'derived from' });
    const deps = node.desired === undefined ? node.appliedDeps : node.deps;
    for (const dep of deps) {
      const to =
        dep instanceof Node
          ? idOf(dep)
          : id(
              dependencyText(dep),
              unmetOf(node).includes(dependencyText(dep)) ? 'nonexistent' : 'configured',
              undefined,
              undefined,
            );
      drawing.edges.push({ from, to, relation: 'depends on' });
    }
  }
  return drawing;
}

/** See {@link Scheduler.export}. */
export function exportGraph(engine: Shown, format: 'dot' | 'mermaid' | 'json', prefix: string): string {
  const { nodes, edges } = draw(engine, prefix);
  if (format === 'json') {
    const plain = (_name: string, value: unknown): unknown => {
      if (typeof value === 'bigint') return value.toString();
      return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
    };
    return JSON.stringify({ nodes, edges }, plain, 2);
  }
  if (format === 'dot') {
    const quote = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
    const lines = nodes.map(
      ({ id, key, state }) =>
        `  ${id} [label=${quote(`${key}\\n${state}`).replaceAll('\\\\n', '\\n')}, style=filled, fillcolor="${colours[state]}"];`,
    );
    for (const { from, to, relation } of edges) {
      lines.push(`  ${from} -> ${to}${relation === 'derived from' ? ' [style=dashed]' : ''};`);
    }
    return `digraph scheduler {\n  rankdir=LR;\n  node [shape=box, fontname="sans-serif"];\n${lines.join('\n')}\n}\n`;
  }
  const quote = (text: string): string =>
    text.replaceAll('"', '#quot;').replaceAll('<', '#lt;').replaceAll('>', '#gt;');
  const lines = nodes.map(({ id, key, state }) => `  ${id}["${quote(key)}<br/>${state}"]:::${state}`);
  for (const { from, to, relation } of edges)
    lines.push(`  ${from} ${relation === 'derived from' ? '-.->' : '-->'} ${to}`);
  for (const state of new Set(nodes.map((node) => node.state))) {
    lines.push(`  classDef ${state} fill:${colours[state]},color:#000`);
  }
  return `flowchart LR\n${lines.join('\n')}\n`;
}

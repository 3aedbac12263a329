// Bringing belief and southbound together: resyncs, drift checks and notifications. Each looks, decides by policy what the
// differences mean, and leaves the doing to the engine.
//
//   look (retrieve, identity)  ->  differences  ->  repair: seed   adopt: desire it   report: freeze, say   ignore: freeze

import type { Scope } from './ask.js';
import { prefixOf, type DriftPolicy } from './descriptor.js';
import type { Engine, Run } from './engine.js';
import { Bit, type Node } from './graph.js';
import type { Entry, KeySpaces } from './key-space.js';
import { within } from './limits.js';
import { learn, type LearnEnvironment } from './learn.js';
import type { Drift, DriftOptions, Notification, Part, Southbound } from './options.js';
import { operationError } from './engine.js';

/** What a look at the southbound came to. */
export interface Findings {
  /** Values to be planned for. */
  readonly seeds: Node[];
  readonly drifts: Drift[];
  /** Changes of desired values that `adopt` asks for. */
  readonly adopted: Map<string, unknown>;
}

/** The part of a scheduler that looks. */
export class Truth {
  readonly #engine: Engine;
  readonly #spaces: KeySpaces;
  readonly #southbounds: Readonly<Record<string, Southbound>>;
  readonly #limitMs: number;
  /** The instance last seen of each southbound. */
  readonly identities = new Map<string, string>();
  /** The transaction in which each southbound's instance was last looked at. */
  readonly #seen = new Map<string, number>();
  onIdentity: ((southbound: string, identity: string) => void) | undefined;

  constructor(engine: Engine, spaces: KeySpaces, southbounds: Readonly<Record<string, Southbound>>, limitMs: number) {
    this.#limitMs = limitMs;
    this.#engine = engine;
    this.#spaces = spaces;
    this.#southbounds = southbounds;
  }

  /** The same truth over another graph. What it sees is not remembered here. */
  fork(engine: Engine): Truth {
    const copy = new Truth(engine, this.#spaces, this.#southbounds, this.#limitMs);
    for (const [name, identity] of this.identities) copy.identities.set(name, identity);
    for (const [name, seq] of this.#seen) copy.#seen.set(name, seq);
    return copy;
  }

  /** Looks at everything, for a resync: what differs is repaired whatever the drift policy. */
  async refreshAll(run: Run): Promise<Node[]> {
    const surprises: Node[] = [];
    const foreign = (_node: Node, _value: unknown, entry: Entry): 'learn' | 'skip' =>
      entry.foreign === 'ignore' ? 'skip' : 'learn';
    const environment = this.#engine.learning(run, surprises, foreign);
    await this.#checkIdentities(run, environment, true);
    for (const entry of this.#spaces.retrieveOrder()) {
      if (entry.retrievable) await this.#engine.refresh(run, entry, environment);
    }
    const findings: Findings = { seeds: surprises, drifts: [], adopted: new Map() };
    for (const node of [...surprises]) this.#judgeForeign(node, node.entry?.foreign ?? 'report', findings);
    return findings.seeds;
  }

  /** Everything that is not as desired, freed for another try. */
  outOfStep(): Node[] {
    const nodes: Node[] = [];
    for (const node of this.#engine.graph.nodes.values()) {
      const wrong = node.desired === undefined ? (node.bits & Bit.owned) !== 0 : node.applied !== node.desired;
      if (!wrong && (node.bits & (Bit.stuck | Bit.frozen | Bit.uncertain)) === 0) continue;
      node.bits &= ~(Bit.stuck | Bit.frozen);
      if (!wrong) node.trouble = undefined;
      nodes.push(node);
    }
    return nodes;
  }

  /** Looks at some key spaces and judges every difference by policy. */
  async findDrift(run: Run, options: DriftOptions): Promise<Findings> {
    const findings: Findings = { seeds: [], drifts: [], adopted: new Map() };
    const surprises: Node[] = [];
    const foreignFound = new Set<Node>();
    const policyOf = policies(options);
    const environment = this.#engine.learning(run, surprises, (node, _value, entry) => {
      if (policyOf(entry).foreign === 'ignore') return 'skip';
      foreignFound.add(node);
      return 'learn';
    });
    await this.#checkIdentities(run, environment, false);
    for (const [entry, scope] of scopes(this.#spaces, options)) {
      await this.#engine.refresh(run, entry, environment, scope);
    }
    for (const node of surprises) {
      const policy = policyOf(node.entry ?? node.parent?.entry);
      if (node.desired !== undefined || (node.bits & Bit.owned) !== 0) this.#judgeOurs(node, policy.ours, findings);
      else if (foreignFound.has(node)) this.#judgeForeign(node, policy.foreign, findings);
      else findings.seeds.push(node);
    }
    this.#engine.metrics.driftFound += findings.drifts.length;
    return findings;
  }

  #judgeOurs(node: Node, policy: DriftPolicy, findings: Findings): void {
    const exists = (node.bits & Bit.exists) !== 0;
    if (node.desired === undefined) {
      if (exists) findings.drifts.push({ key: node.key, difference: 'leftover', policy: 'repair' });
      node.bits &= ~Bit.stuck;
      findings.seeds.push(node);
      return;
    }
    findings.seeds.push(node);
    if (exists && node.applied === node.desired) return;
    if (!exists && (node.bits & Bit.lost) === 0) return;
    const difference = exists ? 'changed' : 'missing';
    // A derived value is desired because of its parent and cannot be adopted by itself.
    const effective = policy === 'adopt' && node.parent !== undefined ? 'report' : policy;
    if (effective !== 'ignore') findings.drifts.push({ key: node.key, difference, policy: effective });
    if (effective === 'repair') node.bits &= ~(Bit.frozen | Bit.stuck);
    else if (effective === 'adopt') findings.adopted.set(node.key, exists ? node.applied : undefined);
    else {
      node.bits |= Bit.frozen;
      if (effective === 'report') node.trouble = { attempts: 0, operation: 'none', drift: difference };
    }
  }

  #judgeForeign(node: Node, policy: DriftPolicy, findings: Findings): void {
    const there = (node.bits & (Bit.exists | Bit.foreign)) === (Bit.exists | Bit.foreign);
    if (findings.seeds[findings.seeds.length - 1] !== node) findings.seeds.push(node);
    if (!there || node.desired !== undefined || node.parent !== undefined) return;
    if (policy === 'ignore') return;
    findings.drifts.push({ key: node.key, difference: 'foreign', policy });
    if (policy === 'repair') node.bits |= Bit.owned;
    else if (policy === 'adopt') findings.adopted.set(node.key, node.applied);
  }

  /** Takes in what the southbound reported by itself. */
  notified(run: Run, notifications: Iterable<Notification>): Findings {
    const findings: Findings = { seeds: [], drifts: [], adopted: new Map() };
    const surprises: Node[] = [];
    const environment = this.#engine.learning(run, surprises);
    const policyOf = policies({});
    for (const { key, value, metadata } of notifications) {
      const entry = this.#spaces.find(key);
      const known = this.#engine.graph.get(key);
      const { ours, foreign } = policyOf(entry);
      const mine = known !== undefined && (known.desired !== undefined || (known.bits & Bit.owned) !== 0);
      if (!mine && foreign === 'ignore') continue;
      if (known === undefined && value === undefined) continue;
      const node = known ?? this.#engine.graph.node(key);
      learn(this.#engine.graph, node, value, metadata ?? node.metadata, undefined, environment.surprise);
      for (const surprise of surprises.splice(0)) {
        if (mine) this.#judgeOurs(surprise, ours, findings);
        else this.#judgeForeign(surprise, foreign, findings);
      }
    }
    return findings;
  }

  /** Values that cannot be retrieved are believed to be there only as long as the instance that took them is. */
  async #checkIdentities(run: Run, environment: LearnEnvironment, resync: boolean): Promise<void> {
    const blind = [...this.#spaces.entries()].filter((entry) => !entry.retrievable);
    const names = new Set([...Object.keys(this.#southbounds), ...blind.map((entry) => entry.southbound)]);
    for (const name of names) {
      const known = this.identities.get(name);
      let identity: string | undefined;
      const source = this.#southbounds[name];
      if (source?.identity !== undefined) {
        try {
          const what = `asking southbound ${name} who it is`;
          identity = await within(this.#engine.limits, this.#limitMs, source.identity(), what);
        } catch (error) {
          const shown = operationError(undefined, 'retrieve', `the identity of southbound ${name}`, [], error);
          const entry = blind.find((candidate) => candidate.southbound === name);
          if (entry !== undefined) run.unread.push({ entry, error: shown });
          continue;
        }
        this.identities.set(name, identity);
        if (identity !== known) this.onIdentity?.(name, identity);
      } else if (!resync) continue;
      const same = identity !== undefined && identity === known;
      const seenSeq = this.#seen.get(name) ?? -1;
      this.#seen.set(name, run.record.seq);
      const mine = new Set(blind.filter((entry) => entry.southbound === name));
      if (mine.size > 0) this.#judgeBlind(mine, same, identity === undefined ? -1 : seenSeq, environment);
    }
  }

  #judgeBlind(entries: ReadonlySet<Entry>, same: boolean, seenSeq: number, environment: LearnEnvironment): void {
    const { graph } = this.#engine;
    for (const node of graph.nodes.values()) {
      if (node.entry === undefined || !entries.has(node.entry)) continue;
      // Derived values that follow a retrievable parent are learnt with it.
      if (node.parent?.entry?.retrievable === true) continue;
      const believed = (node.bits & Bit.believed) !== 0;
      node.bits &= ~Bit.believed;
      if (same) {
        if (believed && node.desired !== undefined) {
          graph.setApplied(node, node.desired, undefined, node.deps);
          node.bits |= Bit.owned;
          environment.surprise(node);
        }
      } else if (!believed && node.seq <= seenSeq) {
        // Applied to the instance seen then, which is no more. What came later may have gone to its successor.
        this.#engine.forget(node, environment);
      } else if (believed || (node.bits & Bit.exists) !== 0) {
        graph.setUnknown(node, node.applied ?? node.desired, node.applied === undefined ? node.deps : node.appliedDeps);
        environment.surprise(node);
      }
    }
  }
}

/** The retrievable key spaces that a look at some part of the southbound concerns, in order, and what is wanted of each. */
export function scopes(spaces: KeySpaces, part: Part): [Entry, Scope][] {
  const { descriptors, prefix, keys } = part;
  const found: [Entry, Scope][] = [];
  const byEntry = new Map<Entry | undefined, Set<string>>();
  for (const key of keys ?? []) {
    const entry = spaces.find(key);
    const same = byEntry.get(entry);
    if (same === undefined) byEntry.set(entry, new Set([key]));
    else same.add(key);
  }
  for (const entry of spaces.retrieveOrder()) {
    if (!entry.retrievable || descriptors?.includes(entry.name) === false) continue;
    const space = prefixOf(entry.descriptor.keys);
    if (prefix !== undefined && !space.startsWith(prefix) && !prefix.startsWith(space)) continue;
    if (keys !== undefined && !byEntry.has(entry)) continue;
    found.push([entry, { prefix, keys: byEntry.get(entry) }]);
  }
  return found;
}

function policies(options: DriftOptions): (entry: Entry | undefined) => { ours: DriftPolicy; foreign: DriftPolicy } {
  const { policy } = options;
  return (entry) => {
    const base = { ours: entry?.ours ?? 'repair', foreign: entry?.foreign ?? 'report' } as const;
    if (policy === undefined) return base;
    return typeof policy === 'string' ? { ours: policy, foreign: policy } : { ...base, ...policy };
  };
}

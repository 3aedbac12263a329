// Which descriptor a key belongs to. Prefixes are looked up by length, longest first, so a key costs one map lookup per
// distinct prefix length and nothing is cached per key.
//
//   'interface/'            -> interface
//   'interface/*/address/'  is not a prefix: use { prefix: 'interface/', match }
//
// Invariant: a key belongs to one descriptor at most; a second that claims it is an error when it is met.

import { DescriptorError } from '../errors.js';
import { inKeySpace, prefixOf, type Descriptor, type DriftPolicy } from './descriptor.js';
import { hasSecrets } from './schema.js';
import { deepEqual } from './equal.js';

/** A registered descriptor with what the scheduler keeps beside it. */
export class Entry {
  readonly descriptor: Descriptor;
  readonly name: string;
  readonly southbound: string;
  readonly concurrency: number;
  readonly batchSize: number;
  /** How long a call may take, in milliseconds. */
  readonly limitMs: number;
  readonly secret: boolean;
  readonly retrievable: boolean;
  /** Which operations take many values in one call. */
  readonly batches: {
    readonly create: boolean;
    readonly update: boolean;
    readonly delete: boolean;
    readonly gate: false;
  };
  readonly equal: (key: string, a: unknown, b: unknown) => boolean;
  ours: DriftPolicy;
  foreign: DriftPolicy;
  /** Keys by the term of each metadata index. */
  readonly indexes = new Map<string, Map<string | number, Set<string>>>();

  constructor(descriptor: Descriptor, limitMs: number) {
    this.descriptor = descriptor;
    this.name = descriptor.name;
    this.southbound = descriptor.southbound ?? 'default';
    this.concurrency = descriptor.concurrency ?? 8;
    this.batchSize = descriptor.batchSize ?? 1000;
    this.limitMs = descriptor.callTimeoutMs ?? limitMs;
    this.secret = hasSecrets(descriptor.schema);
    const { retrieve, createBatch, updateBatch, removeBatch } = descriptor as { [name in keyof Descriptor]?: unknown };
    this.retrievable = retrieve !== undefined;
    this.batches = {
      create: createBatch !== undefined,
      update: updateBatch !== undefined,
      delete: removeBatch !== undefined,
      gate: false,
    };
    this.equal = descriptor.equal?.bind(descriptor) ?? ((_key, a, b) => deepEqual(a, b));
    this.ours = descriptor.drift?.ours ?? 'repair';
    this.foreign = descriptor.drift?.foreign ?? 'report';
    for (const name of Object.keys(descriptor.indexes ?? {})) this.indexes.set(name, new Map());
    if (!(this.concurrency >= 1) || !(this.batchSize >= 1) || !(this.limitMs > 0)) {
      throw new DescriptorError(
        'ERR_SCHEDULER_DESCRIPTOR',
        `registering descriptor ${this.name}: concurrency and batchSize must be at least 1, callTimeoutMs more than 0`,
      );
    }
  }

  /** Keeps the metadata indexes in step with a value whose metadata changes. */
  reindex(key: string, before: unknown, after: unknown): void {
    for (const [name, index] of this.indexes) {
      const term = this.descriptor.indexes![name]!;
      const old = before === undefined ? undefined : term(before, key);
      const now = after === undefined ? undefined : term(after, key);
      if (old === now) continue;
      if (old !== undefined) {
        const keys = index.get(old);
        if (keys?.delete(key) === true && keys.size === 0) index.delete(old);
      }
      if (now === undefined) continue;
      const keys = index.get(now);
      if (keys === undefined) index.set(now, new Set([key]));
      else keys.add(key);
    }
  }
}

/** The registered descriptors, by name and by key. */
export class KeySpaces {
  readonly #byName = new Map<string, Entry>();
  readonly #byPrefix = new Map<string, Entry[]>();
  #lengths: number[] = [];
  /** Descriptors with whose prefix no other prefix begins, nor it with another: no other can claim any of their keys. */
  readonly #alone = new Map<Entry, string>();
  /** The one of those that was found last: the next key is most likely its, too. */
  #last: Entry | undefined;
  #lastPrefix = '';
  readonly #limitMs: number;

  /** `limitMs` is the time limit of calls of descriptors that name none. */
  constructor(limitMs = Infinity) {
    this.#limitMs = limitMs;
  }

  /** Every descriptor, in the order of registration. */
  entries(): IterableIterator<Entry> {
    return this.#byName.values();
  }

  byName(name: string): Entry | undefined {
    return this.#byName.get(name);
  }

  /** Adds a descriptor. Throws if its name is taken or its key space plainly another's. */
  add(descriptor: Descriptor): Entry {
    if (this.#byName.has(descriptor.name)) {
      throw new DescriptorError(
        'ERR_SCHEDULER_DESCRIPTOR_NAME',
        `registering descriptor ${descriptor.name}: the name is taken; names are unique`,
      );
    }
    const prefix = prefixOf(descriptor.keys);
    const others = this.#byPrefix.get(prefix) ?? [];
    const clash = others.find((other) => typeof other.descriptor.keys === 'string');
    if (clash !== undefined || (others.length > 0 && typeof descriptor.keys === 'string')) {
      throw new DescriptorError(
        'ERR_SCHEDULER_DESCRIPTOR_KEYS',
        `registering descriptor ${descriptor.name}: the key space ${prefix}* is already that of ${(clash ?? others[0]!).name}`,
      );
    }
    const entry = new Entry(descriptor, this.#limitMs);
    this.#byName.set(entry.name, entry);
    this.#byPrefix.set(prefix, [...others, entry]);
    this.#findAlone();
    this.#lengths = [...new Set([...this.#byPrefix.keys()].map((known) => known.length))].sort((a, b) => b - a);
    return entry;
  }

  /** The descriptor of a key; throws when two claim it. */
  find(key: string): Entry | undefined {
    if (this.#last !== undefined && key.startsWith(this.#lastPrefix)) return this.#last;
    const entry = this.#search(key);
    const prefix = entry === undefined ? undefined : this.#alone.get(entry);
    if (prefix !== undefined) {
      this.#last = entry;
      this.#lastPrefix = prefix;
    }
    return entry;
  }

  #findAlone(): void {
    this.#last = undefined;
    this.#alone.clear();
    for (const entry of this.#byName.values()) {
      const { keys } = entry.descriptor;
      if (typeof keys !== 'string') continue;
      const others = [...this.#byPrefix.keys()].filter((other) => other.startsWith(keys) || keys.startsWith(other));
      if (others.length === 1) this.#alone.set(entry, keys);
    }
  }

  #search(key: string): Entry | undefined {
    let found: Entry | undefined;
    for (const length of this.#lengths) {
      if (length > key.length) continue;
      const entries = this.#byPrefix.get(length === key.length ? key : key.slice(0, length));
      if (entries === undefined) continue;
      for (const entry of entries) {
        if (typeof entry.descriptor.keys !== 'string' && !inKeySpace(entry.descriptor.keys, key)) continue;
        if (found !== undefined) {
          throw new DescriptorError(
            'ERR_SCHEDULER_DESCRIPTOR_KEYS',
            `looking for the descriptor of ${key}: both ${found.name} and ${entry.name} claim it; narrow one key space`,
            { key },
          );
        }
        found = entry;
      }
    }
    return found;
  }

  /** Descriptors in an order that respects `retrieveAfter`; throws when that has a cycle or names nobody. */
  retrieveOrder(): Entry[] {
    const order: Entry[] = [];
    const seen = new Map<Entry, 'open' | 'done'>();
    const visit = (entry: Entry, path: readonly string[]): void => {
      const mark = seen.get(entry);
      if (mark === 'done') return;
      if (mark === 'open') {
        throw new DescriptorError(
          'ERR_SCHEDULER_DESCRIPTOR_CYCLE',
          `ordering retrieval: ${[...path, entry.name].join(' after ')} is a cycle; drop one retrieveAfter`,
        );
      }
      seen.set(entry, 'open');
      for (const name of entry.descriptor.retrieveAfter ?? []) {
        const before = this.#byName.get(name);
        if (before !== undefined) visit(before, [...path, entry.name]);
      }
      seen.set(entry, 'done');
      order.push(entry);
    };
    for (const entry of this.#byName.values()) visit(entry, []);
    return order;
  }
}

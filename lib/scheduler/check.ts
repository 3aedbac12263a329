// The static check of a descriptor set: what can be known to be wrong before the first value is set. Descriptors bring
// `examples`; their dependencies and derived values are followed as far as they lead.
//
//   error    two descriptors claim a key · a dependency on a key space nobody has · the same dependency twice ·
//            a value that needs itself or what is derived from it · a circle in retrieveAfter
//   warning  no retrieve · no create or remove · no examples, so that its dependencies could not be checked ·
//            values that depend on each other in a circle (they are created as one)

import { components } from './circles.js';
import { inKeySpace, prefixOf, type Descriptor, type KeyValue } from './descriptor.js';
import { messageOf } from './accept.js';
import { checkSchema } from './schema.js';
import { selects, selectorText, type Selector } from './selector.js';

/** One thing the check found. */
export interface Finding {
  readonly severity: 'error' | 'warning';
  readonly kind:
    | 'name'
    | 'key-collision'
    | 'duplicate-dependency'
    | 'dangling-dependency'
    | 'missing-retrieve'
    | 'missing-operation'
    | 'uncreatable-cycle'
    | 'cycle'
    | 'retrieve-order'
    | 'example';
  readonly descriptor: string;
  readonly message: string;
}

interface Sample extends KeyValue {
  readonly owner: Descriptor | undefined;
  readonly parent: string | undefined;
  readonly dependencies: readonly Selector[];
}

/**
 * Finds what is wrong with a set of descriptors.
 *
 * @example
 * ```ts
 * import { checkDescriptors } from 'node-vpp/scheduler';
 * const findings = checkDescriptors([
 *   { name: 'a', keys: 'a/', examples: [{ key: 'a/1', value: 1 }], dependencies: () => ['b/1', 'b/1'] },
 * ]);
 * console.log(findings.filter(({ severity }) => severity === 'error').map(({ kind }) => kind));
 * // [ 'dangling-dependency', 'duplicate-dependency' ]
 * ```
 */
export function checkDescriptors(descriptors: readonly Descriptor[]): Finding[] {
  const findings: Finding[] = [];
  checkNames(descriptors, findings);
  checkPrefixes(descriptors, findings);
  checkOperations(descriptors, findings);
  checkRetrieveOrder(descriptors, findings);
  const samples = collect(descriptors, findings);
  for (const sample of samples.values()) checkDependencies(sample, descriptors, samples, findings);
  checkCircles(samples, findings);
  const rank = ({ severity }: Finding): number => (severity === 'error' ? 0 : 1);
  return findings.sort((a, b) => rank(a) - rank(b));
}

function checkNames(descriptors: readonly Descriptor[], findings: Finding[]): void {
  const seen = new Set<string>();
  for (const { name } of descriptors) {
    if (seen.has(name))
      findings.push({
        severity: 'error',
        kind: 'name',
        descriptor: name,
        message: `two descriptors are named ${name}`,
      });
    seen.add(name);
  }
}

function checkPrefixes(descriptors: readonly Descriptor[], findings: Finding[]): void {
  descriptors.forEach((a, i) => {
    for (const b of descriptors.slice(i + 1)) {
      const [pa, pb] = [prefixOf(a.keys), prefixOf(b.keys)];
      if (!pa.startsWith(pb) && !pb.startsWith(pa)) continue;
      // A test on the key can tell overlapping prefixes apart; whether it does is seen from the examples.
      const wider = pa.length <= pb.length ? a : b;
      if (typeof wider.keys !== 'string') continue;
      const longer = pa.length <= pb.length ? pb : pa;
      const message = `keys that start with ${longer} belong to ${a.name} and to ${b.name}; give ${wider.name} a match that leaves them out`;
      findings.push({ severity: 'error', kind: 'key-collision', descriptor: wider.name, message });
    }
  });
}

function checkOperations(descriptors: readonly Descriptor[], findings: Finding[]): void {
  for (const descriptor of descriptors) {
    const { name } = descriptor;
    const warn = (kind: Finding['kind'], message: string): void =>
      void findings.push({ severity: 'warning', kind, descriptor: name, message });
    if (descriptor.retrieve === undefined) {
      warn(
        'missing-retrieve',
        'it cannot retrieve: after a failure and a restart of the southbound its values are removed and created anew',
      );
    }
    if (descriptor.create === undefined && descriptor.createBatch === undefined)
      warn('missing-operation', 'it cannot create');
    if (descriptor.remove === undefined && descriptor.removeBatch === undefined)
      warn('missing-operation', 'it cannot remove');
    if (descriptor.dependencies !== undefined && (descriptor.examples ?? []).length === 0) {
      warn('example', 'it has dependencies but no examples, so they could not be checked');
    }
  }
}

function checkRetrieveOrder(descriptors: readonly Descriptor[], findings: Finding[]): void {
  const byName = new Map(descriptors.map((descriptor) => [descriptor.name, descriptor]));
  for (const { name, retrieveAfter = [] } of descriptors) {
    for (const other of retrieveAfter) {
      if (byName.has(other)) continue;
      findings.push({
        severity: 'error',
        kind: 'retrieve-order',
        descriptor: name,
        message: `retrieveAfter names ${other}, which there is not`,
      });
    }
  }
  const circles = components(byName.keys(), (name) =>
    (byName.get(name)?.retrieveAfter ?? []).filter((other) => byName.has(other)),
  );
  for (const circle of circles) {
    const first = circle[0]!;
    if (circle.length < 2 && byName.get(first)?.retrieveAfter?.includes(first) !== true) continue;
    findings.push({
      severity: 'error',
      kind: 'retrieve-order',
      descriptor: first,
      message: `retrieveAfter goes in a circle: ${circle.join(', ')}`,
    });
  }
}

/** The examples and everything derived from them. */
function collect(descriptors: readonly Descriptor[], findings: Finding[]): Map<string, Sample> {
  const samples = new Map<string, Sample>();
  const add = ({ key, value }: KeyValue, parent: string | undefined, from: Descriptor): void => {
    const owners = descriptors.filter((descriptor) => inKeySpace(descriptor.keys, key));
    const fault = (kind: Finding['kind'], message: string): void =>
      void findings.push({ severity: 'error', kind, descriptor: from.name, message });
    if (owners.length > 1) fault('key-collision', `${key} belongs to ${owners.map(({ name }) => name).join(' and ')}`);
    const known = samples.get(key);
    if (known !== undefined) {
      if (known.parent !== parent)
        fault('key-collision', `${key} is derived from ${parent ?? 'nothing'} and from ${known.parent ?? 'nothing'}`);
      return;
    }
    const owner = owners[0];
    if (parent === undefined && owner !== from) fault('example', `the example ${key} is not in its own key space`);
    try {
      const wrong =
        owner === undefined
          ? []
          : [
              ...(owner.schema === undefined ? [] : checkSchema(owner.schema, value)),
              ...(owner.validate?.(key, value) ?? []),
            ];
      for (const { path, reason } of wrong) fault('example', `the example ${key} is not valid: ${path} ${reason}`);
      samples.set(key, { key, value, owner, parent, dependencies: [...(owner?.dependencies?.(key, value) ?? [])] });
      for (const child of owner?.derive?.(key, value) ?? []) add(child, key, from);
    } catch (error) {
      fault('example', `the example ${key} cannot be taken apart: ${messageOf(error)}`);
    }
  };
  for (const descriptor of descriptors)
    for (const example of descriptor.examples ?? []) add(example, undefined, descriptor);
  return samples;
}

function leavesOf(selector: Selector): Exclude<Selector, { anyOf: unknown } | { allOf: unknown }>[] {
  if (typeof selector === 'string') return [selector];
  if ('anyOf' in selector) return selector.anyOf.flatMap(leavesOf);
  if ('allOf' in selector) return selector.allOf.flatMap(leavesOf);
  return [selector];
}

function checkDependencies(
  sample: Sample,
  descriptors: readonly Descriptor[],
  samples: ReadonlyMap<string, Sample>,
  findings: Finding[],
): void {
  const descriptor = sample.owner?.name ?? '';
  const fault = (kind: Finding['kind'], message: string): void =>
    void findings.push({ severity: 'error', kind, descriptor, message });
  const seen = new Set<string>();
  for (const dependency of sample.dependencies) {
    let text: string;
    try {
      text = selectorText(dependency);
    } catch (error) {
      fault('example', messageOf(error));
      continue;
    }
    if (seen.has(text)) fault('duplicate-dependency', `${sample.key} depends on ${text} twice`);
    seen.add(text);
    for (const leaf of leavesOf(dependency)) {
      if (!reachable(leaf, descriptors, samples)) {
        fault(
          'dangling-dependency',
          `${sample.key} depends on ${selectorText(leaf)}, which is in nobody's key space and derived from no example`,
        );
      }
    }
    const needsSelf = typeof dependency === 'string' && ancestors(dependency, samples).includes(sample.key);
    if (needsSelf)
      fault(
        'uncreatable-cycle',
        `${sample.key} depends on ${text}, which is itself or derived from it: it could never be created`,
      );
  }
}

function reachable(
  leaf: string | { readonly prefix: string },
  descriptors: readonly Descriptor[],
  samples: ReadonlyMap<string, Sample>,
): boolean {
  if (typeof leaf === 'string')
    return samples.has(leaf) || descriptors.some((descriptor) => inKeySpace(descriptor.keys, leaf));
  const { prefix } = leaf;
  if (descriptors.some(({ keys }) => prefixOf(keys).startsWith(prefix) || prefix.startsWith(prefixOf(keys))))
    return true;
  return [...samples.keys()].some((key) => key.startsWith(prefix));
}

/** A key and what it is derived from. */
function ancestors(key: string, samples: ReadonlyMap<string, Sample>): string[] {
  const found: string[] = [];
  for (let at: string | undefined = key; at !== undefined; at = samples.get(at)?.parent) found.push(at);
  return found;
}

function checkCircles(samples: ReadonlyMap<string, Sample>, findings: Finding[]): void {
  const all = [...samples.values()];
  const next = (sample: Sample): Sample[] => {
    const targets = all.filter(
      (other) => other !== sample && sample.dependencies.some((dependency) => selects(dependency, other.key)),
    );
    const parent = sample.parent === undefined ? undefined : samples.get(sample.parent);
    return parent === undefined ? targets : [...targets, parent];
  };
  for (const circle of components(all, next)) {
    if (circle.length < 2) continue;
    const keys = circle.map(({ key }) => key).sort();
    const inFamily = circle.some((sample) =>
      ancestors(sample.key, samples)
        .slice(1)
        .some((key) => keys.includes(key)),
    );
    findings.push({
      severity: 'warning',
      kind: 'cycle',
      descriptor: circle[0]!.owner?.name ?? '',
      message: `${keys.join(', ')} depend on each other: they are created and removed as one${inFamily ? ', a parent before what is derived from it' : ''}`,
    });
  }
}

// Requests that no schema at hand fits: what the running VPP says itself, and if that does not help either, why not.

import { ArgumentTypeError } from '../errors.js';
import type { Link } from './link.js';
import type { Outgoing, SchemaSources } from './resolve.js';

/** A message that no schema at hand fits: what the VPP says itself, or why not. */
export async function findMessage(link: Link, sources: SchemaSources, name: string): Promise<Outgoing> {
  const { resolver } = link;
  if (sources.mayLearn && resolver.table.crcOf(name) !== undefined) {
    await link.learn();
    const found = resolver.outgoing(name);
    if (found !== undefined) return found;
  }
  const known = resolver.table.crcOf(name) !== undefined || resolver.service(name) !== undefined;
  const own = resolver.table.crcOf(name) === undefined ? undefined : await link.ownSchema();
  if (known && resolver.service(name) === undefined && own?.service(name) === undefined) {
    throw new ArgumentTypeError(`${name} is not a request: VPP sends it, or it belongs to another message`);
  }
  throw await resolver.explain(name, own);
}

// Who may have made a route: the list that VPP gives out, so that clients find the number of a source by its name. Most
// of these never make one here.

import type { State } from './state.js';

/** Name and priority class of each source, by VPP's number; as VPP 26.06 lists them. */
const SOURCES: readonly (readonly [name: string, priority: number])[] = [
  ['invalid', 255],
  ['special', 0],
  ['classify', 1],
  ['proxy', 2],
  ['interface', 3],
  ['SR', 16],
  ['BIER', 32],
  ['6RD', 48],
  ['API', 128],
  ['CLI', 129],
  ['LISP', 144],
  ['MAP', 160],
  ['DHCP', 176],
  ['IPv6-proxy-nd', 192],
  ['IPv6-nd', 193],
  ['adjacency', 208],
  ['mpls', 224],
  ['attached_export', 240],
  ['recursive-resolution', 251],
  ['urpf-exempt', 252],
  ['default-route', 253],
  ['interpose', 254],
];

/** Answers fib_source_dump. */
export function registerFibSources({ handlers }: State): void {
  handlers.rows('fib_source_dump', () => SOURCES.map(([name, priority], id) => ({ src: { id, priority, name } })));
}

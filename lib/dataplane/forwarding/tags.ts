// VLAN tags: those of a sub-interface, and what a tag rewrite makes of them.
//
//   op              in: pop, push          out: pop, push
//   push 1, 2       0, tags given          as many, none
//   pop 1, 2        4 or 8, none           none, the sub-interface's own
//   translate m n   m tags, tags given     n tags, the sub-interface's own

import type { SubInterface, TagRewrite } from './control.js';
import { TagRewriteOp } from './control.js';
import type { TagEdit } from './interfaces.js';

const tag = (type: number, id: number): number[] => [type >>> 8, type & 255, (id >>> 8) & 15, id & 255];

/** The tags that a sub-interface's frames carry. */
export function ownTagsOf(spec: SubInterface): Uint8Array {
  return Uint8Array.from(
    spec.tags.flatMap((each) => tag(each.dot1ad === true ? 0x88a8 : 0x8100, each.vlanId === 'any' ? 0 : each.vlanId)),
  );
}

/** What a rewrite does to frames that come in, and to those that go out; undefined: nothing. */
export function editsOf(rewrite: TagRewrite, own: Uint8Array): { in: TagEdit; out: TagEdit } | undefined {
  const outer = rewrite.pushDot1q ? 0x8100 : 0x88a8;
  const one = Uint8Array.from(tag(outer, rewrite.tag1));
  const two = Uint8Array.from([...tag(outer, rewrite.tag1), ...tag(0x8100, rewrite.tag2)]);
  const none = new Uint8Array(0);
  const first = own.length >= 4 ? own.slice(0, 4) : Uint8Array.from(tag(0x8100, rewrite.tag1));
  const both = own.length >= 8 ? own.slice(0, 8) : Uint8Array.from([...first, ...tag(0x8100, rewrite.tag2)]);
  const edit = (popIn: number, pushIn: Uint8Array, pushOut: Uint8Array): { in: TagEdit; out: TagEdit } => ({
    in: { pop: popIn, push: pushIn },
    out: { pop: pushIn.length, push: pushOut },
  });
  switch (rewrite.op) {
    case TagRewriteOp.disabled:
      return undefined;
    case TagRewriteOp.push1:
      return edit(0, one, none);
    case TagRewriteOp.push2:
      return edit(0, two, none);
    case TagRewriteOp.pop1:
      return edit(4, none, first);
    case TagRewriteOp.pop2:
      return edit(8, none, both);
    case TagRewriteOp.translate1to1:
      return edit(4, one, first);
    case TagRewriteOp.translate1to2:
      return edit(4, two, first);
    case TagRewriteOp.translate2to1:
      return edit(8, one, both);
    case TagRewriteOp.translate2to2:
      return edit(8, two, both);
  }
}

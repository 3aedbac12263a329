// Sub-interfaces: what of a port's packets has these VLAN tags; and the rewriting of tags.

import { NO_INTERFACE, type TagRewriteOp } from './forwarding/control.js';
import { within } from './failures.js';
import { OK } from './handlers.js';
import { tagsFor, type Interface, type SubTags } from './interfaces.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

/** VPP's `sub_if_flags`: one tag, two tags, exact match, any value. */
const ONE_TAG = 2;
const TWO_TAGS = 4;
const EXACT = 16;
const OUTER_ANY = 64;
const INNER_ANY = 128;
const NONE = { retval: 0, sw_if_index: NO_INTERFACE };

/** Registers create_vlan_subif, create_subif, delete_subif and l2_interface_vlan_tag_rewrite. */
export function registerSubInterfaceMessages(state: State): void {
  const { handlers, interfaces } = state;

  handlers.on(
    'create_vlan_subif',
    ({ sw_if_index, vlan_id }) => {
      const { parent } = interfaces.must(sw_if_index);
      if (vlan_id === 0 || vlan_id > 4095) throw new Refused('INVALID_VLAN');
      const sub = { id: vlan_id, flags: ONE_TAG | EXACT, outer: vlan_id, inner: 0 };
      return { retval: 0, sw_if_index: createSub(state, parent, sub).swIfIndex };
    },
    NONE,
  );

  handlers.on(
    'create_subif',
    ({ sw_if_index, sub_id, sub_if_flags, outer_vlan_id, inner_vlan_id }) => {
      const parent = interfaces.must(sw_if_index);
      if (parent.sub !== undefined) throw new Refused('UNSPECIFIED');
      const sub = { id: sub_id, flags: sub_if_flags, outer: outer_vlan_id, inner: inner_vlan_id };
      const number = interfaces.next;
      try {
        return { retval: 0, sw_if_index: createSub(state, parent, sub).swIfIndex };
      } catch (error) {
        // VPP answers with the number it had given the interface by the time it found out.
        if (error instanceof Refused && error.message === 'UNSPECIFIED') {
          return { retval: error.retval, sw_if_index: number };
        }
        throw error;
      }
    },
    NONE,
  );

  handlers.on('delete_subif', ({ sw_if_index }) => {
    const one = interfaces.must(sw_if_index);
    if (one.sub === undefined) throw new Refused('INVALID_SUB_SW_IF_INDEX');
    interfaces.remove(one);
    return OK;
  });

  handlers.on('l2_interface_vlan_tag_rewrite', ({ sw_if_index, vtr_op, push_dot1q, tag1, tag2 }) => {
    const one = interfaces.must(sw_if_index);
    if (vtr_op > 8) throw new Refused('INVALID_VALUE');
    if (!one.parent.ethernet) throw new Refused('INVALID_INTERFACE');
    const op = vtr_op as TagRewriteOp;
    if (configuredTags(one) < TAGS_NEEDED[op]) throw new Refused('INVALID_VLAN_TAG_COUNT');
    const pushes = TAGS_PUSHED[op];
    one.rewrite = {
      op,
      pushDot1q: pushes > 0 && push_dot1q !== 0,
      tag1: pushes > 0 ? tag1 & 0xfff : 0,
      tag2: pushes > 1 ? tag2 & 0xfff : 0,
    };
    state.forwarder.setTagRewrite(one.swIfIndex, one.rewrite);
    return OK;
  });
}

/** Tags a packet must have for each operation: those it pops or replaces. */
const TAGS_NEEDED: Readonly<Record<TagRewriteOp, number>> = { 0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 1, 6: 1, 7: 2, 8: 2 };

/** Tags it adds; VPP shows the given ones for these only. */
const TAGS_PUSHED: Readonly<Record<TagRewriteOp, number>> = { 0: 0, 1: 1, 2: 2, 3: 0, 4: 0, 5: 1, 6: 2, 7: 1, 8: 2 };

/** Tags of which the sub-interface says the value. */
function configuredTags({ sub }: Interface): number {
  if (sub === undefined || (sub.flags & OUTER_ANY) !== 0) return 0;
  if ((sub.flags & TWO_TAGS) !== 0) return (sub.flags & INNER_ANY) !== 0 ? 1 : 2;
  return (sub.flags & ONE_TAG) !== 0 ? 1 : 0;
}

/** Makes a sub-interface. */
function createSub(state: State, parent: Interface, sub: SubTags): Interface {
  const subs = state.interfaces.subsOf(parent);
  if (subs.some((other) => other.sub!.id === sub.id)) throw new Refused('VLAN_ALREADY_EXISTS');
  const sameTags = (other: SubTags) =>
    (other.flags & ~EXACT) === (sub.flags & ~EXACT) && other.outer === sub.outer && other.inner === sub.inner;
  // VPP has no sub-interface for any outer tag.
  const any = (sub.flags & OUTER_ANY) !== 0;
  if (any || !parent.ethernet || parent.kind === 'local' || subs.some((other) => sameTags(other.sub!))) {
    throw new Refused('UNSPECIFIED');
  }
  const name = `${parent.name}.${sub.id}`;
  return within('UNSPECIFIED', () =>
    state.interfaces.add(
      { kind: 'sub', devType: parent.devType, name, parent, sub, mtu: [0, 0, 0, 0] },
      { kind: 'sub', name, parent: parent.swIfIndex, ...tagsFor(sub) },
    ),
  );
}

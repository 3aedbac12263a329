// What chooses the arm of a union where the schema does not say it. VPP 26.06 marks most of its unions (`discriminator`
// on the field, `case` on the arms); older releases, and three fields of 26.06, leave it to the C code. These are the
// facts of that code, by struct and field.
//
//   from   the sibling that chooses; '^' for one that the enclosing struct hands in
//
// A schema's own word goes before these.

interface Hint {
  readonly from: string;
  /** The enum member, or number, of an arm. */
  readonly member?: (arm: string) => string | number | undefined;
}

const family = (arm: string): string => `ADDRESS_${arm.toUpperCase()}`;

const hints: Readonly<Record<string, Hint>> = {
  'address.un': { from: 'af', member: family },
  'mprefix.grp_address': { from: 'af', member: family },
  'mprefix.src_address': { from: 'af', member: family },
  // FIB_API_PATH_NH_PROTO_IP4 and _IP6; with the other protocols the address means nothing.
  'fib_path.nh': { from: 'proto' },
  'fib_path_nh.address': { from: '^', member: (arm) => ({ ip4: 0, ip6: 1 })[arm] },
  'flow_rule.flow': { from: 'type', member: (arm) => `FLOW_TYPE_${arm.toUpperCase()}` },
  'flow_rule_v2.flow': { from: 'type', member: (arm) => `FLOW_TYPE_${arm.toUpperCase()}_V2` },
  'eid.address': { from: 'type', member: (arm) => `EID_TYPE_API_${arm.toUpperCase()}` },
  'punt.punt': { from: 'type', member: (arm) => `PUNT_API_TYPE_${arm.toUpperCase()}` },
};

/** The hint for a field of a struct. */
export function hintFor(owner: string, field: string): Hint | undefined {
  return Object.hasOwn(hints, `${owner}.${field}`) ? hints[`${owner}.${field}`] : undefined;
}

/** The members that may choose an arm, most likely first. */
export function armCases(owner: string, field: string, arm: string): (string | number)[] {
  const member = hintFor(owner, field)?.member?.(arm);
  return member === undefined ? [] : [member];
}

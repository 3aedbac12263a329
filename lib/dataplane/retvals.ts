// What a request is refused with: VPP's numbers by VPP's names, and the exception that carries one to the reply.

/** VPP's `VNET_API_ERROR_*`, those that this dataplane answers. */
export const Retval = {
  UNSPECIFIED: -1,
  INVALID_SW_IF_INDEX: -2,
  NO_SUCH_FIB: -3,
  NO_SUCH_ENTRY: -6,
  INVALID_VALUE: -7,
  INVALID_VALUE_2: -8,
  UNIMPLEMENTED: -9,
  INVALID_SW_IF_INDEX_2: -10,
  SYSCALL_ERROR_1: -11,
  SYSCALL_ERROR_2: -12,
  SYSCALL_ERROR_3: -13,
  SYSCALL_ERROR_4: -14,
  FEATURE_DISABLED: -30,
  INVALID_REGISTRATION: -31,
  NO_PATHS_IN_ROUTE: -52,
  NO_MATCHING_INTERFACE: -54,
  INVALID_VLAN: -55,
  VLAN_ALREADY_EXISTS: -56,
  INVALID_SRC_ADDRESS: -57,
  INVALID_DST_ADDRESS: -58,
  ADDRESS_LENGTH_MISMATCH: -59,
  ADDRESS_NOT_FOUND_FOR_INTERFACE: -60,
  ADDRESS_NOT_DELETABLE: -61,
  SUBIF_ALREADY_EXISTS: -68,
  IF_ALREADY_EXISTS: -79,
  INVALID_INTERFACE: -71,
  IP6_NOT_ENABLED: -62,
  INVALID_VLAN_TAG_COUNT: -72,
  INVALID_ARGUMENT: -73,
  UNEXPECTED_INTF_STATE: -74,
  VALUE_EXIST: -81,
  INVALID_ADDRESS_FAMILY: -97,
  INVALID_SUB_SW_IF_INDEX: -98,
  ADDRESS_IN_USE: -105,
  ADDRESS_FOUND_FOR_INTERFACE: -114,
  ENTRY_ALREADY_EXISTS: -116,
  BD_ALREADY_EXISTS: -119,
  BD_IN_USE: -120,
  BD_NOT_MODIFIABLE: -121,
  BD_ID_EXCEED_MAX: -122,
  L2_MACS_EVENT_CLINET_PRESENT: -124,
  UNSUPPORTED: -126,
  DUPLICATE_IF_ADDRESS: -127,
  ACL_IN_USE_INBOUND: -142,
  ACL_IN_USE_OUTBOUND: -143,
  INIT_FAILED: -144,
  NETLINK_ERROR: -145,
  BD_ALREADY_HAS_BVI: -152,
  LIMIT_EXCEEDED: -162,
  INVALID_PREFIX_LENGTH: -171,
} as const;

/** The name of a refusal. */
export type RetvalName = keyof typeof Retval;

/** Thrown by what handles a request; its number becomes the `retval` of the reply. */
export class Refused extends Error {
  readonly retval: number;

  constructor(name: RetvalName | number, options?: ErrorOptions) {
    const { stackTraceLimit } = Error;
    // Being refused is no mistake of ours: nobody reads the stack, and a client may be refused often.
    Error.stackTraceLimit = 0;
    super(typeof name === 'number' ? `retval ${name}` : name, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.retval = typeof name === 'number' ? name : Retval[name];
  }
}

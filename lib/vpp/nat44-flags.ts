// Flags of the messages of NAT44: VPP's `nat_config_flags`.

/** Bit by name. */
export const Flag = {
  twice: 1,
  selfTwice: 2,
  outToInOnly: 4,
  addressOnly: 8,
  outside: 16,
  inside: 32,
  isStatic: 64,
  peer: 128,
};

/** What errors call NAT44 itself. */
export const NAT = 'nat44';

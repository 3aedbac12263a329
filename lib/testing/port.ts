// What a wrapper needs of a packet interface: send some, iterate over what comes. A Memif is one; so are the wrappers.

/** A thing that packets go into and come out of. */
export interface PacketPort extends AsyncIterable<Uint8Array[]> {
  /** False when the port asks to wait; nothing is lost either way. */
  send(packets: Uint8Array | readonly Uint8Array[]): boolean;
  close(): Promise<void>;
}

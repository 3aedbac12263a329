// memif rings in memory, as typed-array indices. The same numbers are in native/memif/protocol.h; a test compares them.
//
//   ring         0 u32 cookie | 4 u16 flags | 6 u16 head | .. | L u16 tail | .. | 2L descriptors
//   descriptor   16 bytes, as u32 words: flags | region << 16, length, offset, metadata
//
// L is the cache line both sides were built with: 64, on some arm64 builds 128.
//
//            head moves when the client has    tail moves when the server has
//   S2M      published packets                 consumed packets
//   M2S      posted empty buffers              filled them

export const cookie = 0x03e31f20;
export const version = 0x0200;
export const messageSize = 128;
export const descriptorSize = 16;
export const maxLog2RingSize = 14;
export const maxRings = 255;
export const maxRegions = 256;
export const maskInterrupt = 1;
export const descriptorNext = 1;

/** Index of the flags word in a Uint16Array over the ring. */
export const flagsIndex = 2;
/** Index of head in a Uint16Array over the ring. */
export const headIndex = 3;
/** Index of tail in a Uint16Array over the ring. */
export const tailIndex = (cacheLine: number): number => cacheLine / 2;
/** Index of the first descriptor word in a Uint32Array over the ring. */
export const descriptorIndex = (cacheLine: number): number => cacheLine / 2;
/** Bytes of a ring of `size` entries. */
export const ringBytes = (size: number, cacheLine: number): number => 2 * cacheLine + descriptorSize * size;

/** Longest piece of a packet that is believed: buffer sizes are 16 bits wide in every implementation. */
export const maxSegment = 65535;

/** Most pieces of one packet that are believed: 64 KiB in the smallest buffers. */
export const maxChain = 1024;

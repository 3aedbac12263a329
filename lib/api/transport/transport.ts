// What a connection needs from whatever carries its messages: a place to write them, a batch to send them in, and
// the messages that come back. A socket is one; shared memory can be another without any change above this line.
//
//   reserve(n) -> offset in `buffer` where a message of up to n bytes may be written
//   commit(n)  -> the n bytes there are a message; it leaves at the latest at the end of this tick
//   (reserve without commit sends nothing)
//
// Invariant: messages arrive in the order they were committed; `sink` gets every message received before `onEnd`.

/** What the owner of a transport is told. Bytes of a message are valid until `onBatchEnd` has returned. */
export interface TransportSink {
  /** One message, without any frame around it. */
  onMessage(bytes: Uint8Array, start: number, end: number): void;
  /** All messages that arrived together have been delivered. */
  onBatchEnd(): void;
  /** The batch of this tick is on its way. */
  onFlushed(): void;
  /** No message will come any more; called once. `error` is undefined when the other side closed in good order. */
  onEnd(error: Error | undefined): void;
}

/** One way to VPP. */
export interface Transport {
  /** `socket`, or another carrier's name. */
  readonly kind: string;
  /** Where it leads, for texts: `/run/vpp/api.sock`. */
  readonly description: string;
  /** Where `reserve` gives offsets into; may change with every `reserve`. */
  readonly buffer: Uint8Array;
  /** Bytes committed that the carrier has not accepted yet. */
  readonly backlogBytes: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Messages that may be committed now; undefined: any number, as with a socket. */
  readonly room?: number;
  reserve(sizeBytes: number): number;
  commit(sizeBytes: number): void;
  /** Sends what was committed now instead of at the end of the tick. */
  flush(): void;
  ref(): void;
  unref(): void;
  /**
   * Blocks the thread until messages have come, and delivers them: `spinUs` awake, then asleep. False when none came
   * within `timeoutMs`. Not to be called while it delivers.
   */
  pump?(timeoutMs: number, spinUs: number): boolean;
  /** Gives up at once: nothing is delivered any more except `onEnd`. */
  destroy(error?: Error): void;
  /**
   * For the last moment of a process, when no event will be handled any more: sends `message`, waits up to `waitMs`
   * for the other side to close, without the event loop. True when it closed.
   */
  closeSync(message: Uint8Array, waitMs: number): boolean;
}

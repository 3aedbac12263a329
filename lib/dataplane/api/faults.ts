// Faults on purpose. A script is a list of rules; each request takes the first rule that names it and has uses left.
//
//   script({ on: 'show_version', do: 'lose' })                    the next show_version gets no reply
//   script({ on: /_dump$/, times: Infinity, do: { delayMs: 50 } }) every dump answers late
//
// Invariant: a rule changes what leaves the server, never what the server believes.

/** What goes wrong. */
export type FaultAction =
  /** The request is carried out and answered with nothing. */
  | 'lose'
  /** The request is dropped, as VPP drops what it does not understand. */
  | 'ignore'
  /** The connection is closed at once, without a reply. */
  | 'reset'
  /** The server stops reading and writing until `resume()`. */
  | 'stall'
  /** The reply comes twice. */
  | 'duplicate'
  /** The reply has a context nobody used. */
  | 'wrong-context'
  /** The reply has a number that is not in the table. */
  | 'wrong-id'
  /** The reply comes under the number of another reply. */
  | 'wrong-message'
  /** The reply announces a frame of 4 GiB. */
  | 'huge-frame'
  /** Half of the reply's frame, then the connection closes. */
  | 'half-frame'
  /** The reply comes later than it should; other replies do not wait for it. */
  | { readonly delayMs: number }
  /** The reply has this retval. */
  | { readonly retval: number }
  /** The message of the reply loses so many bytes at its end; the frame is right. */
  | { readonly shortenBy: number }
  /** The message of the reply is changed at will (header and contents from the id on). */
  | { readonly change: (message: Uint8Array) => Uint8Array }
  /** These bytes are written instead of a frame. */
  | { readonly raw: Uint8Array };

/** A rule of a script. */
export interface Fault {
  /** The request: its name, a pattern, or a choice. */
  readonly on: string | RegExp | ((name: string) => boolean);
  /** Uses, default 1. */
  readonly times?: number;
  readonly do: FaultAction;
}

/** The script of a server. */
export class FaultScript {
  #rules: { fault: Fault; left: number }[] = [];

  add(faults: readonly Fault[]): void {
    for (const fault of faults) this.#rules.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#rules = [];
  }

  /** What goes wrong with this request, and one use less. */
  take(name: string): FaultAction | undefined {
    if (this.#rules.length === 0) return undefined;
    const rule = this.#rules.find(({ fault: { on } }) =>
      typeof on === 'string' ? on === name : on instanceof RegExp ? on.test(name) : on(name),
    );
    if (rule === undefined) return undefined;
    rule.left -= 1;
    if (rule.left <= 0) this.#rules = this.#rules.filter((other) => other !== rule);
    return rule.fault.do;
  }
}

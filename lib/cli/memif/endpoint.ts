// A host on an interface: takes what comes, answers what is asked, and finds out where others are.
//
//   rx.peek --> host.look --> request   written into tx buffers in place, one commit per burst
//                             neighbor  wakes those who wait in resolve()
//                             reply     onReply
//                             none      counted

import { setTimeout as sleep } from 'node:timers/promises';
import type { Memif, RxQueue, TxQueue } from '../../memif/index.js';
import { arpRequestFrame, isIpv4, neighborSolicitationFrame, normalizeIp } from '../../net/index.js';
import type { Host, Question } from './host.js';

/** A sixteenth of the usual ring: two busy sides then do not wait for each other. */
const burstSize = 64;

/** Shortest room that is reserved for an answer: ARP and neighbor discovery may be longer than their question. */
const minRoom = 128;

export class Endpoint {
  /** Questions answered, by kind. */
  readonly answered: Record<Question, number> = { arp: 0, neighbor: 0, echo: 0, echo6: 0 };
  /** Questions without an answer because the transmit ring was full. */
  unanswered = 0;
  /** Packets that asked for nothing. */
  other = 0;
  /** Called for every answer to a ping; `host` says which. */
  onReply: ((host: Host) => void) | undefined;
  readonly memif: Memif;
  readonly host: Host;
  readonly #known = new Map<string, string>();
  #wake: (() => void) | undefined;

  constructor(memif: Memif, host: Host) {
    this.memif = memif;
    this.host = host;
    memif.listen((rx) => this.#take(rx));
  }

  #take(rx: RxQueue): void {
    const { host, memif } = this;
    const burst = rx.peek(burstSize);
    if (burst.count === 0) return;
    const tx: TxQueue | undefined = memif.tx[rx.index] ?? memif.tx[0];
    let room = minRoom;
    for (let i = 0; i < burst.count; i++) if (burst.lengths[i]! > room) room = burst.lengths[i]!;
    const out = tx?.reserve(burst.packets, room);
    const chained: Uint8Array[] = [];
    let written = 0;
    for (let i = 0; i < burst.count; i++) {
      const chain = burst.more[i] === 1;
      const bytes = chain ? burst.copy(i) : burst.memory[burst.regions[i]!]!;
      const offset = chain ? 0 : burst.offsets[i]!;
      const length = chain ? bytes.length : burst.lengths[i]!;
      while (burst.more[i] === 1) i++;
      const verdict = host.look(bytes, offset, length);
      if (verdict === 'request') {
        if (out === undefined || written >= out.count) {
          this.unanswered++;
          continue;
        }
        if (chain || out.more[written] === 1) {
          const answer = new Uint8Array(host.room);
          chained.push(answer.subarray(0, host.answer(answer, 0)));
        } else {
          out.lengths[written] = host.answer(out.memory[out.regions[written]!]!, out.offsets[written]!);
          written++;
        }
        this.answered[host.question]++;
      } else if (verdict === 'neighbor') {
        this.#known.set(host.neighborIp, host.neighborMac);
        this.#wake?.();
      } else if (verdict === 'reply') this.onReply?.(host);
      else this.other++;
    }
    rx.release(burst.count);
    tx?.commit(written);
    if (chained.length > 0) memif.send(chained);
  }

  /**
   * The MAC address of an IP address, by ARP or neighbor discovery: asks up to three times. Undefined when nobody
   * answers.
   */
  async resolve(address: string, options: { signal: AbortSignal; waitMs?: number }): Promise<string | undefined> {
    const { host, memif } = this;
    const target = normalizeIp(address);
    const source = host.addresses.find((own) => isIpv4(own) === isIpv4(target));
    if (source === undefined) return undefined;
    const question = isIpv4(target)
      ? arpRequestFrame({ senderMac: host.mac, senderIp: source, targetIp: target })
      : neighborSolicitationFrame({ sourceMac: host.mac, source, target });
    for (let attempt = 0; attempt < 3 && !this.#known.has(target); attempt++) {
      memif.send(question);
      const patience = new AbortController();
      this.#wake = () => {
        if (this.#known.has(target)) patience.abort();
      };
      const either = AbortSignal.any([options.signal, patience.signal]);
      await sleep(options.waitMs ?? 500, undefined, { signal: either }).catch(() => undefined);
      this.#wake = undefined;
      options.signal.throwIfAborted();
    }
    return this.#known.get(target);
  }
}

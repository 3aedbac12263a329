// Layer 2 cross-connects, and mirroring (SPAN).
//
//   vppctl: set interface l2 xconnect tap0 memif0/0            vpp.crossConnects.connect('tap0', 'memif0/0')
//           set interface span tap0 destination tap1 both      vpp.spans.set('tap0', 'tap1', 'both')

import { ArgumentTypeError } from '../errors.js';
import type { Core } from './core.js';
import type { InterfaceRef, Interfaces } from './interfaces.js';

/** One direction: what `rx` receives leaves on `tx`. */
export interface CrossConnect {
  readonly rxIndex: number;
  readonly txIndex: number;
}

/**
 * `vpp.crossConnects`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const [a, b] = [await vpp.loopbacks.create(), await vpp.loopbacks.create()];
 * await vpp.crossConnects.connect(a, b);
 * assert.equal(await vpp.crossConnects.ensure(a, b), false);
 * assert.equal((await vpp.crossConnects.list()).length, 2);
 * await vpp.crossConnects.disconnect(a, b);
 * await vpp.crossConnects.set(a, b);
 * assert.deepEqual(await vpp.crossConnects.list(), [{ rxIndex: a.index, txIndex: b.index }]);
 * await vpp.crossConnects.disconnect(a, b);
 * for (const itf of [a, b]) await itf.delete();
 * await vpp.close();
 * ```
 */
export class CrossConnects {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** Every direction that is connected: two rows for a pair. */
  async list(): Promise<CrossConnect[]> {
    const rows = await this.#core.rows('l2_xconnect_dump', {}, 'cross-connects');
    return rows.map((row) => ({ rxIndex: row.rx_sw_if_index, txIndex: row.tx_sw_if_index }));
  }

  /**
   * Connects two interfaces in both directions.
   *
   * @throws ArgumentTypeError for one interface: VPP would take it, and send its packets back
   */
  async connect(a: InterfaceRef, b: InterfaceRef): Promise<void> {
    await this.set(a, b);
    await this.set(b, a);
  }

  /** Connects two interfaces unless they are; true when something was to do. */
  async ensure(a: InterfaceRef, b: InterfaceRef): Promise<boolean> {
    const [one, other] = [await this.#interfaces.get(a), await this.#interfaces.get(b)];
    const held = await this.list();
    const is = (rx: number, tx: number): boolean =>
      held.some(({ rxIndex, txIndex }) => rxIndex === rx && txIndex === tx);
    if (is(one.index, other.index) && is(other.index, one.index)) return false;
    await this.connect(one, other);
    return true;
  }

  /** One direction only. */
  async set(rx: InterfaceRef, tx: InterfaceRef): Promise<void> {
    await this.#set(rx, tx, true);
  }

  /** Takes both apart: they are routed again. */
  async disconnect(a: InterfaceRef, b: InterfaceRef): Promise<void> {
    await this.#set(a, b, false);
    await this.#set(b, a, false);
  }

  async #set(rx: InterfaceRef, tx: InterfaceRef, enable: boolean): Promise<void> {
    const [from, to] = [await this.#interfaces.get(rx), await this.#interfaces.get(tx)];
    if (enable && from === to) throw new ArgumentTypeError(`${from.toString()}: it cannot be connected to itself`);
    const fields = { rx_sw_if_index: from.index, tx_sw_if_index: to.index, enable };
    const doing = `${enable ? 'connect it to' : 'take it apart from'} ${to.toString()}`;
    await this.#core.request('sw_interface_set_l2_xconnect', fields, from.toString(), doing);
  }
}

const states = ['off', 'rx', 'tx', 'both'] as const;

/** Which packets are copied. */
export type SpanDirection = (typeof states)[number];

/** A mirror. */
export interface SpanInfo {
  readonly fromIndex: number;
  readonly toIndex: number;
  readonly direction: SpanDirection;
  /** Copied at layer 2, of a bridged interface. */
  readonly l2: boolean;
}

/**
 * `vpp.spans`
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const [from, to] = [await vpp.loopbacks.create(), await vpp.loopbacks.create()];
 * await vpp.spans.set(from, to, 'rx');
 * assert.equal(await vpp.spans.ensure(from, to, 'rx'), false);
 * assert.deepEqual(await vpp.spans.list(), [{ fromIndex: from.index, toIndex: to.index, direction: 'rx', l2: false }]);
 * await vpp.spans.set(from, to, 'off');
 * for (const itf of [from, to]) await itf.delete();
 * await vpp.close();
 * ```
 */
export class Spans {
  readonly #core: Core;
  readonly #interfaces: Interfaces;

  constructor(core: Core, interfaces: Interfaces) {
    this.#core = core;
    this.#interfaces = interfaces;
  }

  /** All mirrors, those of whole interfaces first, then those at layer 2. */
  async list(): Promise<SpanInfo[]> {
    const all: SpanInfo[] = [];
    for (const l2 of [false, true]) {
      for (const row of await this.#core.rows('sw_interface_span_dump', { is_l2: l2 }, 'mirrors')) {
        const direction = states[row.state] ?? 'off';
        all.push({ fromIndex: row.sw_if_index_from, toIndex: row.sw_if_index_to, direction, l2: row.is_l2 });
      }
    }
    return all;
  }

  /** Copies packets of one interface to another; `off` ends it. */
  async set(
    from: InterfaceRef,
    to: InterfaceRef,
    direction: SpanDirection = 'both',
    options: { l2?: boolean } = {},
  ): Promise<void> {
    const [source, target] = [await this.#interfaces.get(from), await this.#interfaces.get(to)];
    const fields = {
      sw_if_index_from: source.index,
      sw_if_index_to: target.index,
      state: states.indexOf(direction),
      is_l2: options.l2 ?? false,
    };
    const doing = `mirror it (${direction}) to ${target.toString()}`;
    await this.#core.request('sw_interface_span_enable_disable', fields, source.toString(), doing);
  }

  /** As `set`, unless it is so already; true when something was to do. */
  async ensure(
    from: InterfaceRef,
    to: InterfaceRef,
    direction: SpanDirection = 'both',
    options: { l2?: boolean } = {},
  ): Promise<boolean> {
    const [source, target] = [await this.#interfaces.get(from), await this.#interfaces.get(to)];
    const { l2 = false } = options;
    const held = (await this.list()).find(
      (one) => one.fromIndex === source.index && one.toIndex === target.index && one.l2 === l2,
    );
    if ((held?.direction ?? 'off') === direction) return false;
    await this.set(source, target, direction, options);
    return true;
  }
}

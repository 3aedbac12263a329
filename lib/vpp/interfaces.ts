// All interfaces of a VPP: list, find, watch. One handle per interface, however often it is asked for.
//
//   sw_interface_dump ─► learn(row) ─► handle by sw_if_index ◄─ forget(index) ◄─ sw_interface_event deleted
//                                                           ◄─ everything, when VPP was restarted
//
// Invariant: a live handle in the registry belongs to the interface that has this index now, as far as VPP has told us.

import { ArgumentTypeError, VppObjectError } from '../errors.js';
import { NO_INDEX, saysNoInterface, type Core, type RowOf } from './core.js';
import { interfaceInfo, type InterfaceInfo } from './interface-info.js';
import { applySettings, type InterfaceSettings } from './interface-settings.js';
import { InterfaceWatch, type InterfaceChange } from './interface-watch.js';
import type { CounterReader, InterfaceCounters } from './interface-counters.js';
import { Interface } from './interface.js';

/** An interface, by its handle, its sw_if_index, its name in VPP, or its tag. */
export type InterfaceRef = Interface | number | string;

/** An interface with its counters. */
export interface CountedInterface {
  readonly interface: Interface;
  readonly counters: InterfaceCounters;
}

/** Deletes an interface of some kind. */
export type Deleter = (itf: Interface) => Promise<void>;

type Row = RowOf<'sw_interface_dump'>;

/**
 * The interfaces of a VPP: `vpp.interfaces`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { openVpp } from 'node-vpp/vpp';
 *
 * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
 * const lan = await vpp.loopbacks.create({ instance: 916 });
 * assert.equal(await vpp.interfaces.adopt('loop916', { tag: 'doc-lan', up: true }), lan);
 * assert.ok((await vpp.interfaces.list()).includes(lan));
 * for (const ref of ['loop916', 'doc-lan', lan.index]) assert.equal(await vpp.interfaces.get(ref), lan);
 * assert.equal(await vpp.interfaces.byTag('doc-lan'), lan);
 * assert.equal(await vpp.interfaces.find('nowhere'), undefined);
 * await assert.rejects(vpp.interfaces.get('nowhere'), { code: 'ERR_VPP_OBJECT_MISSING' });
 * await lan.delete();
 * await vpp.close();
 * ```
 */
export class Interfaces {
  readonly #core: Core;
  readonly #handles = new Map<number, Interface>();
  readonly #deleters = new Map<string, Deleter>();
  readonly #watches = new Set<InterfaceWatch>();
  /** For handles. */
  readonly counterReader: CounterReader;

  constructor(core: Core, counters: CounterReader) {
    this.#core = core;
    this.counterReader = counters;
    this.#deleters.set('sub-interface', async (itf) => {
      await itf.request('delete_subif', {}, 'delete it');
    });
  }

  /** All interfaces, in the order of VPP (that of sw_if_index). */
  async list(): Promise<Interface[]> {
    const rows = await this.#core.rows('sw_interface_dump', { sw_if_index: NO_INDEX }, 'interfaces');
    const listed = new Set<number>();
    const all = rows.map((row) => {
      listed.add(row.sw_if_index);
      return this.learn(row);
    });
    for (const index of this.#handles.keys()) if (!listed.has(index)) this.forget(index, 'VPP no longer lists it');
    return all;
  }

  /**
   * One interface by index, name in VPP, or tag.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_MISSING; ERR_VPP_OBJECT_AMBIGUOUS when several have the tag
   */
  async get(ref: InterfaceRef): Promise<Interface> {
    const found = await this.find(ref);
    if (found !== undefined) return found;
    const what = typeof ref === 'number' ? `sw_if_index ${ref}` : `name or tag "${String(ref)}"`;
    throw new VppObjectError('ERR_VPP_OBJECT_MISSING', `interface ${String(ref)}`, `VPP has no interface of ${what}`);
  }

  /**
   * As `get`; undefined when there is none.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_AMBIGUOUS; ERR_VPP_OBJECT_GONE for a handle whose interface is gone
   */
  async find(ref: InterfaceRef): Promise<Interface | undefined> {
    if (ref instanceof Interface) return ref.mustLive('use it');
    if (typeof ref === 'number') return this.#byIndex(ref);
    if (typeof ref !== 'string' || ref === '') {
      throw new ArgumentTypeError('an interface is given by its handle, sw_if_index, name, or tag');
    }
    const fields = { sw_if_index: NO_INDEX, name_filter_valid: true, name_filter: ref };
    const rows = await this.#core.rows('sw_interface_dump', fields, `interface ${ref}`);
    const named = rows.find(({ interface_name: name }) => name === ref);
    return named === undefined ? this.byTag(ref) : this.learn(named);
  }

  /**
   * The interface that has this tag; undefined when there is none.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_AMBIGUOUS when several have it
   */
  async byTag(tag: string): Promise<Interface | undefined> {
    const tagged = (await this.list()).filter((itf) => itf.tag === tag);
    if (tagged.length > 1) {
      const names = tagged.map(({ name }) => name).join(', ');
      const problem = `${tagged.length} interfaces have this tag: ${names}; name one, or give its sw_if_index`;
      throw new VppObjectError('ERR_VPP_OBJECT_AMBIGUOUS', `interface ${tag}`, problem);
    }
    return tagged[0];
  }

  async #byIndex(index: number): Promise<Interface | undefined> {
    const rows = await this.#core.rows('sw_interface_dump', { sw_if_index: index }, `interface ${index}`);
    const row = rows.find(({ sw_if_index: found }) => found === index);
    if (row !== undefined) return this.learn(row);
    this.forget(index, 'VPP no longer lists it');
    return undefined;
  }

  /**
   * Gives an interface that something else brought (a driver, another client) a tag and settings.
   *
   * `await vpp.interfaces.adopt('TenGigabitEthernet3/0/0', { tag: 'uplink', up: true })`
   */
  async adopt(ref: InterfaceRef, settings: InterfaceSettings): Promise<Interface> {
    const { tag } = settings;
    const itf =
      (await this.find(ref)) ?? (tag === undefined ? undefined : await this.byTag(tag)) ?? (await this.get(ref));
    await applySettings(itf, settings);
    return itf;
  }

  /**
   * Changes from now on, as they come: `for await (const change of vpp.interfaces.watch())`. Leaving the loop ends it.
   * After VPP was restarted there is one `restarted`; what there is then has to be listed.
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const vpp = await openVpp({ socket: process.env.VPP_SOCKET ?? '/run/vpp/api.sock' });
   * const watch = vpp.interfaces.watch();
   * const lan = await vpp.loopbacks.create({ tag: 'doc-watched' });
   * for await (const change of watch) if (change.type === 'added' && change.interface === lan) break;
   * assert.equal(watch.ended, true);
   * await lan.delete();
   * await vpp.close();
   * ```
   */
  watch(options: { signal?: AbortSignal } = {}): InterfaceWatch {
    const watch = new InterfaceWatch(() => this.#watches.delete(watch), options.signal);
    if (!watch.ended) this.#watches.add(watch);
    return watch;
  }

  /**
   * All interfaces with their counters, these as they are at one moment; `openVpp({ statsSocket })`.
   *
   * @throws VppObjectError ERR_VPP_OBJECT_REFUSED when the stats segment is not known
   *
   * @example
   * ```ts
   * import assert from 'node:assert/strict';
   * import { mkdtempSync, rmSync } from 'node:fs';
   * import { startDataplane } from 'node-vpp/dataplane';
   * import { openVpp } from 'node-vpp/vpp';
   *
   * const at = mkdtempSync('/tmp/doc-counters-');
   * const dataplane = await startDataplane({ apiSocket: `${at}/api.sock`, statsSocket: `${at}/stats.sock` });
   * const vpp = await openVpp({ socket: dataplane.apiSocket, statsSocket: dataplane.statsSocket });
   * const lan = await vpp.loopbacks.create({ up: true });
   * const all = await vpp.interfaces.listWithCounters();
   * assert.equal(all.find((one) => one.interface === lan)?.counters.drops, 0);
   * await vpp.close();
   * await dataplane.close();
   * rmSync(at, { recursive: true });
   * ```
   */
  async listWithCounters(): Promise<CountedInterface[]> {
    const all = await this.list();
    const counters = await this.counterReader.readAll('interfaces');
    // One that was made or deleted in between is in one of the two only.
    return all.flatMap((itf) => {
      const values = counters.get(itf.index);
      return values === undefined ? [] : [{ interface: itf, counters: values }];
    });
  }

  /** For features: the handle of what a request has just created, with settings; taken back when these fail. */
  async created(index: number, settings: InterfaceSettings): Promise<Interface> {
    this.forget(index, 'its index was given to another interface');
    const itf = await this.get(index);
    try {
      await applySettings(itf, settings);
    } catch (error) {
      await itf.delete().catch(() => undefined);
      throw error;
    }
    return itf;
  }

  /** For features: how interfaces of a kind of device are deleted. */
  deleteWith(deviceType: string, deleter: Deleter): void {
    this.#deleters.set(deviceType, deleter);
  }

  /** For handles. */
  async deleteInterface(itf: Interface): Promise<void> {
    const { kind, deviceType, index } = itf.info;
    const deleter = this.#deleters.get(kind === 'sub-interface' ? kind : deviceType);
    if (deleter === undefined) {
      const problem = `cannot delete it: a ${deviceType} interface belongs to its driver; set it down instead`;
      throw new VppObjectError('ERR_VPP_OBJECT_REFUSED', itf.toString(), problem);
    }
    try {
      await deleter(itf);
    } catch (error) {
      if (!saysNoInterface(error)) throw error;
    }
    this.forget(index, 'it was deleted');
  }

  /** For handles and features: a row that VPP has sent. */
  learn(row: Row): Interface {
    const info = interfaceInfo(row);
    const known = this.#handles.get(info.index);
    if (known !== undefined && sameInterface(known.info, info)) {
      const before = known.info;
      known.update(info);
      if (before.adminUp !== info.adminUp || before.linkUp !== info.linkUp || before.name !== info.name) {
        this.#tell({ type: 'changed', interface: known });
      }
      return known;
    }
    if (known !== undefined) this.forget(info.index, 'its index was given to another interface');
    const itf = new Interface(this.#core, this, info);
    this.#handles.set(info.index, itf);
    this.#tell({ type: 'added', interface: itf });
    return itf;
  }

  /** For handles and features: there is no such interface any more. */
  forget(index: number, why: string): void {
    const itf = this.#handles.get(index);
    if (itf === undefined) return;
    this.#handles.delete(index);
    this.counterReader.forget(index);
    itf.markGone(why);
    this.#tell({ type: 'deleted', interface: itf });
  }

  /** For `Vpp`: an event of VPP. */
  event(index: number, flags: number, deleted: boolean): void {
    if (deleted) {
      this.forget(index, 'it was deleted');
      return;
    }
    const known = this.#handles.get(index);
    if (known !== undefined) {
      const info = { ...known.info, adminUp: (flags & 1) !== 0, linkUp: (flags & 2) !== 0 };
      known.update(info);
      this.#tell({ type: 'changed', interface: known });
    } else if (this.#watches.size > 0) {
      // One that we have not heard of: asked for, and `learn` tells it.
      this.#byIndex(index).catch(() => undefined);
    }
  }

  /** For `Vpp`: another VPP is behind the connection. */
  restarted(): void {
    for (const index of [...this.#handles.keys()]) this.forget(index, 'VPP was restarted');
    this.#tell({ type: 'restarted' });
  }

  /** For `Vpp`. */
  close(): Promise<void> {
    for (const watch of [...this.#watches]) watch.end();
    return this.counterReader.close();
  }

  #tell(change: InterfaceChange): void {
    for (const watch of this.#watches) watch.push(change);
  }
}

/** Whether two rows of one index can be the same interface: these things never change. */
function sameInterface(before: InterfaceInfo, now: InterfaceInfo): boolean {
  return (
    before.deviceType === now.deviceType &&
    before.kind === now.kind &&
    before.sub?.parentIndex === now.sub?.parentIndex &&
    before.sub?.id === now.sub?.id
  );
}

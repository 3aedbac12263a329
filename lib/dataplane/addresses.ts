// Addresses of interfaces, unnumbered interfaces, and IPv6 on and off.
//
// As in VPP: within a table no address of one interface may lie in a subnet of another, and subnets of one interface
// overlap only when they are the same.

import { NO_INTERFACE } from './forwarding/control.js';
import { OK } from './handlers.js';
import type { Interface } from './interfaces.js';
import { parsePrefix, type Prefix } from '../net/index.js';
import { Refused } from './retvals.js';
import type { State } from './state.js';

/** The prefix a request names; one that is none is refused. */
export function prefixOf(text: string): Prefix {
  try {
    return parsePrefix(text);
  } catch (cause) {
    throw new Refused('INVALID_PREFIX_LENGTH', { cause });
  }
}

interface Address {
  readonly text: string;
  readonly prefix: Prefix;
}

/** All addresses. */
export class Addresses {
  readonly #state: State;
  /** In the order they were given. */
  readonly #of = new Map<Interface, Address[]>();
  /** By interface and subnet, while there is a route. */
  readonly #makers = new Map<string, string>();

  constructor(state: State) {
    this.#state = state;
    const { handlers, interfaces } = state;
    handlers.on('sw_interface_add_del_address', ({ sw_if_index, is_add, del_all, prefix }) => {
      const one = interfaces.must(sw_if_index);
      if (del_all) this.#removeAll(one);
      else {
        const parsed = addressOf(prefix);
        mustSupportAddressing(one);
        if (parsed.version === 6 && isLinkLocal(parsed.address)) this.#linkLocal(one, parsed, is_add);
        else if (is_add) this.add(one, parsed);
        else this.remove(one, parsed);
      }
      return OK;
    });
    handlers.rows('ip_address_dump', ({ sw_if_index, is_ipv6 }) => {
      const one = interfaces.must(sw_if_index);
      return this.list(one, is_ipv6).map((prefix) => ({ sw_if_index, prefix }));
    });
    handlers.rows('ip_dump', function* (this: void, { is_ipv6 }) {
      for (const one of interfaces.values()) {
        if (one.unnumbered === undefined) yield { sw_if_index: one.swIfIndex, is_ipv6 };
      }
    });
    this.#registerUnnumbered();
    this.#registerIp6();
  }

  /** `10.0.0.1/24`, of one family. */
  list(one: Interface, isIp6: boolean): string[] {
    const family = isIp6 ? 6 : 4;
    return (this.#of.get(one) ?? []).filter(({ prefix }) => prefix.version === family).map(({ text }) => text);
  }

  /** The address that made the route of a connected subnet; VPP keeps showing it when another one is left there. */
  makerOf(one: Interface, subnet: string): string | undefined {
    return this.#makers.get(`${one.swIfIndex} ${subnet}`);
  }

  /** Remembers, or forgets, who made the route of a subnet. */
  #made(one: Interface, { text, prefix }: Address, isThere: boolean): void {
    const subnet = `${prefix.network}/${prefix.length}`;
    const key = `${one.swIfIndex} ${subnet}`;
    if (isThere) {
      if (!this.#makers.has(key)) this.#makers.set(key, text);
      return;
    }
    const others = this.#of.get(one) ?? [];
    if (!others.some((other) => `${other.prefix.network}/${other.prefix.length}` === subnet)) this.#makers.delete(key);
  }

  /** Whether it has addresses of a family, borrowed ones included. */
  has(one: Interface, isIp6: boolean): boolean {
    return this.list(one.unnumbered ?? one, isIp6).length > 0;
  }

  add(one: Interface, prefix: Prefix): void {
    const family = prefix.version === 6 ? 1 : 0;
    for (const [other, addresses] of this.#of) {
      if (other.tables[family] !== one.tables[family]) continue;
      for (const { prefix: known } of addresses) {
        if (known.version !== prefix.version) continue;
        if (!known.contains(prefix.address) && !prefix.contains(known.address)) continue;
        if (other === one && known.length === prefix.length && known.address !== prefix.address) continue;
        throw new Refused(family === 1 ? 'DUPLICATE_IF_ADDRESS' : 'ADDRESS_IN_USE');
      }
    }
    if (prefix.length === 0) throw new Refused('ADDRESS_LENGTH_MISMATCH');
    const text = prefix.toString();
    if (family === 1) this.#lockIp6(one, undefined);
    if (one.adminUp) {
      this.#state.forwarder.addAddress(one.swIfIndex, text);
      this.#made(one, { text, prefix }, true);
    }
    const list = this.#of.get(one);
    if (list === undefined) this.#of.set(one, [{ text, prefix }]);
    else list.push({ text, prefix });
  }

  remove(one: Interface, prefix: Prefix): void {
    const text = prefix.toString();
    const list = this.#of.get(one);
    const at = list?.findIndex((known) => known.text === text) ?? -1;
    if (list === undefined || at < 0) throw new Refused('ADDRESS_NOT_FOUND_FOR_INTERFACE');
    list.splice(at, 1);
    if (list.length === 0) this.#of.delete(one);
    if (one.adminUp) this.#state.forwarder.removeAddress(one.swIfIndex, text);
    this.#made(one, { text, prefix }, false);
    if (prefix.version === 6) this.#unlockIp6(one);
  }

  #removeAll(one: Interface): void {
    for (const { prefix } of [...(this.#of.get(one) ?? [])]) this.remove(one, prefix);
  }

  /** As in VPP, there are routes for an address while its interface is up. */
  adminChanged(one: Interface): void {
    const { forwarder } = this.#state;
    for (const address of this.#of.get(one) ?? []) {
      const { text, prefix } = address;
      this.#makers.delete(`${one.swIfIndex} ${prefix.network}/${prefix.length}`);
      if (one.adminUp) forwarder.addAddress(one.swIfIndex, text);
      else forwarder.removeAddress(one.swIfIndex, text);
    }
    if (one.adminUp) for (const address of this.#of.get(one) ?? []) this.#made(one, address, true);
  }

  interfaceGone(gone: Interface): void {
    this.#removeAll(gone);
    for (const one of this.#state.interfaces.values()) if (one.unnumbered === gone) this.#setUnnumbered(one, undefined);
    if (gone.unnumbered !== undefined) this.#setUnnumbered(gone, undefined);
    while (gone.ip6Locks > 0) this.#unlockIp6(gone);
  }

  #setUnnumbered(one: Interface, of: Interface | undefined): void {
    one.unnumbered = of;
    this.#state.forwarder.setUnnumbered(one.swIfIndex, of?.swIfIndex);
  }

  #registerUnnumbered(): void {
    const { handlers, interfaces } = this.#state;
    // The names are the wrong way round in VPP's API: sw_if_index has the addresses.
    handlers.on('sw_interface_set_unnumbered', ({ sw_if_index, unnumbered_sw_if_index, is_add }) => {
      const one = interfaces.must(unnumbered_sw_if_index);
      if (!is_add) {
        if (one.unnumbered !== undefined) this.#setUnnumbered(one, undefined);
        return OK;
      }
      const of = interfaces.get(sw_if_index);
      if (of === undefined) throw new Refused('INVALID_SW_IF_INDEX_2');
      if (one.tables[0] !== of.tables[0] || one.tables[1] !== of.tables[1]) throw new Refused('UNEXPECTED_INTF_STATE');
      this.#setUnnumbered(one, of);
      return OK;
    });
    handlers.rows('ip_unnumbered_dump', function* (this: void, { sw_if_index }) {
      const chosen = sw_if_index === NO_INTERFACE ? interfaces.values() : [interfaces.must(sw_if_index)];
      for (const one of chosen) {
        if (one.unnumbered === undefined) continue;
        yield { sw_if_index: one.swIfIndex, ip_sw_if_index: one.unnumbered.swIfIndex };
      }
    });
  }

  /** Switches IPv6 on, if it is not; counts how often it was asked for. */
  #lockIp6(one: Interface, linkLocal: string | undefined): boolean {
    one.ip6Locks += 1;
    if (one.ip6Locks > 1) return false;
    this.#state.forwarder.setIp6Enabled(one.swIfIndex, true, linkLocal);
    return true;
  }

  #unlockIp6(one: Interface): void {
    one.ip6Locks -= 1;
    if (one.ip6Locks === 0) this.#state.forwarder.setIp6Enabled(one.swIfIndex, false);
  }

  /** A link-local address given as an address: it takes the place of the one there is. */
  #linkLocal(one: Interface, { address, length }: Prefix, isAdd: boolean): void {
    if (length !== 128) throw new Refused('ADDRESS_LENGTH_MISMATCH');
    if (isAdd) this.#setLinkLocal(one, address);
    else {
      const current = this.#state.forwarder.linkLocal(one.swIfIndex);
      throw new Refused(current === address ? 'ADDRESS_NOT_DELETABLE' : 'ADDRESS_NOT_FOUND_FOR_INTERFACE');
    }
  }

  #setLinkLocal(one: Interface, address: string): void {
    if (one.ip6Locks === 0) this.#lockIp6(one, address);
    else this.#state.forwarder.setIp6Enabled(one.swIfIndex, true, address);
  }

  #registerIp6(): void {
    const { handlers, interfaces, forwarder } = this.#state;
    handlers.on('sw_interface_ip6_enable_disable', ({ sw_if_index, enable }) => {
      const one = interfaces.must(sw_if_index);
      if (enable) {
        if (!this.#lockIp6(one, undefined)) throw new Refused('VALUE_EXIST');
      } else {
        if (one.ip6Locks === 0) throw new Refused('IP6_NOT_ENABLED');
        this.#unlockIp6(one);
      }
      return OK;
    });
    handlers.on('sw_interface_ip6_set_link_local_address', ({ sw_if_index, ip }) => {
      const one = interfaces.must(sw_if_index);
      if (!isLinkLocal(ip)) throw new Refused('INVALID_VALUE');
      this.#setLinkLocal(one, ip);
      return OK;
    });
    handlers.on('sw_interface_ip6_get_link_local_address', ({ sw_if_index }) => {
      const ip = forwarder.linkLocal(interfaces.must(sw_if_index).swIfIndex);
      if (ip === undefined) throw new Refused('IP6_NOT_ENABLED');
      return { retval: 0, ip };
    });
  }
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/.test(address);
}

/** As VPP: not local0, and of sub-interfaces only those that match exactly. */
function mustSupportAddressing({ kind, sub }: Interface): void {
  if (kind === 'local' || (sub !== undefined && (sub.flags & 16) === 0)) throw new Refused('UNSUPPORTED');
}

/** The address of a request. */
function addressOf(text: string): Prefix {
  try {
    return parsePrefix(text);
  } catch (cause) {
    throw new Refused('ADDRESS_LENGTH_MISMATCH', { cause });
  }
}

// `node-vpp memif echo`: a host that answers ARP, neighbor discovery and ping, over IPv4 and IPv6.

import { grouped } from '../format.js';
import { stopSignal } from '../stop.js';
import { Endpoint } from './endpoint.js';
import { Host } from './host.js';
import { type InterfaceFlags, openFrom } from './open.js';
import { eachSecond } from './rates.js';
import { Reporter, reportState } from './report.js';

export interface EchoFlags extends InterfaceFlags {
  address?: string[];
  mac: string;
  seconds?: number;
}

export async function echo(socket: string, flags: EchoFlags): Promise<void> {
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const host = new Host({ mac: flags.mac, addresses: flags.address ?? ['10.0.0.2'], mode: flags.mode });
  const memif = openFrom(socket, flags);
  const endpoint = new Endpoint(memif, host);
  reportState(memif, reporter);
  const where = flags.mode === 'ip' ? '' : ` at ${host.mac}`;
  reporter.sayNow('answering', `answering for ${host.addresses.join(', ')}${where}`, {
    addresses: host.addresses,
    mac: host.mac,
    socket,
  });
  const { answered } = endpoint;
  const text = (): string =>
    `answered: ${grouped(answered.echo + answered.echo6)} pings, ${grouped(answered.arp)} ARP, ` +
    `${grouped(answered.neighbor)} neighbor; ${grouped(endpoint.other)} other packets` +
    (endpoint.unanswered === 0 ? '' : `; ${grouped(endpoint.unanswered)} without room for an answer`);
  const fields = (): Record<string, unknown> => ({
    answered: { ...answered },
    unanswered: endpoint.unanswered,
    other: endpoint.other,
  });
  let last = text();
  await eachSecond(stop, flags.seconds, () => {
    const now = text();
    if (reporter.json) reporter.say('second', undefined, { up: memif.isUp, ...fields() });
    else if (now !== last) reporter.sayNow('second', now);
    last = now;
  });
  await memif.close();
  reporter.sayNow('closed', text(), fields());
}

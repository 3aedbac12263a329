// `node-vpp memif listen` and `connect`: an interface that takes and counts whatever comes, and says how it is.

import type { MemifRole } from '../../memif/index.js';
import { grouped } from '../format.js';
import { stopSignal } from '../stop.js';
import { type InterfaceFlags, openFrom } from './open.js';
import { Meter, eachSecond, ratesText, totals } from './rates.js';
import { Reporter, reportState } from './report.js';

export async function watch(
  socket: string,
  role: MemifRole,
  flags: InterfaceFlags & { seconds?: number },
): Promise<void> {
  const stop = stopSignal();
  const reporter = new Reporter(flags);
  const memif = openFrom(socket, flags, role);
  reportState(memif, reporter);
  const doing = role === 'server' ? 'listening' : 'connecting';
  reporter.sayNow(doing, `${doing}: ${role} ${memif.id} on ${socket}, mode ${memif.mode}, ${memif.options.rxMode}`, {
    role,
    id: memif.id,
    socket,
    mode: memif.mode,
  });
  memif.listen((rx) => rx.release(rx.peek().count));
  const meter = new Meter(memif);
  await eachSecond(stop, flags.seconds, (elapsed, interval) => {
    const rates = meter.read(interval);
    if (reporter.json) reporter.say('second', undefined, { elapsed, up: memif.isUp, rates });
    else if (memif.isUp) reporter.sayNow('second', ratesText(rates));
  });
  const sum = totals(memif.statistics);
  const { ups, refusals } = memif.statistics;
  await memif.close();
  reporter.sayNow(
    'closed',
    `closed: ${grouped(sum.rxPackets)} packets, ${grouped(sum.rxBytes)} bytes received; ` +
      `up ${ups} ${ups === 1 ? 'time' : 'times'}`,
    { ups, refusals, totals: sum },
  );
}

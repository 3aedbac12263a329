// Chapter 60: the embedded dataplane as a client sees it: the recorded exchanges of a real VPP, and what they leave out.

import t from 'tap';
import { join } from 'node:path';
import { connect, type Connection } from 'node-vpp/api';
import { startDataplane, type Dataplane, type DataplaneOptions } from 'node-vpp/dataplane';
import { folder, type TestEnd } from './support/api.js';
import { replayScenarios } from './support/conformance.js';
import { stillForwarder } from './support/still-forwarder.js';

async function start(t: TestEnd, options: DataplaneOptions = {}): Promise<{ dataplane: Dataplane; vpp: Connection }> {
  const dataplane = await startDataplane({ apiSocket: join(folder(t), 'api.sock'), ...options });
  t.teardown(() => dataplane.close());
  const vpp = await connect({ socket: dataplane.apiSocket });
  t.teardown(() => vpp.destroy());
  return { dataplane, vpp };
}

void t.test('159 exchanges recorded from VPP 26.06 are answered the same, field by field', async (t) => {
  const { dataplane, vpp } = await start(t, { forwarder: stillForwarder() });
  const { steps, errors, differences } = await replayScenarios(vpp, dataplane.runDir);
  t.equal(steps, 159);
  t.equal(errors, 32);
  for (const { step, scenario, request, wanted, found } of differences) {
    t.strictSame(found, wanted, `step ${step}, ${scenario}: ${request}`);
  }
});

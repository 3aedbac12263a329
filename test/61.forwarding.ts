// Chapter 61: the forwarding plane. First what a real VPP did with the same frames, then node by node with literal bytes,
// then properties, then those who mean harm.

import t from 'tap';
import { Bed, applySetup, hex, recordedPackets, unhex } from './support/dataplane.js';

t.test('what a VPP 26.06 sends for 52 frames is what comes out here, byte for byte', async (t) => {
  for (const recorded of recordedPackets()) {
    await t.test(recorded.scenario, async (t) => {
      const bed = await Bed.open(t, recorded.ports.length);
      applySetup(bed.forwarder, recorded.setup);
      bed.received();
      for (const step of recorded.steps) {
        const out = await bed.send(step.send.port, unhex(step.send.frame));
        // The recording is sorted: what comes out of one port in one go has no order there.
        const got = out.flatMap((frames, port) => frames.map((frame) => ({ port, frame }))).sort(byPortAndBytes);
        const wanted = step.expect.map(({ port, frame, any = [] }) => ({ port, frame: unhex(frame), any }));
        for (const [i, { any }] of wanted.entries()) {
          for (const at of any) {
            wanted[i]!.frame[at] = 0;
            if (got[i] !== undefined) got[i].frame[at] = 0;
          }
        }
        wanted.sort(byPortAndBytes);
        got.sort(byPortAndBytes);
        t.same(
          got.map(({ port, frame }) => `${port} ${hex(frame)}`),
          wanted.map(({ port, frame }) => `${port} ${hex(frame)}`),
          step.what,
        );
      }
    });
  }
});

function byPortAndBytes(a: { port: number; frame: Uint8Array }, b: { port: number; frame: Uint8Array }): number {
  return a.port - b.port || Buffer.compare(a.frame, b.frame);
}

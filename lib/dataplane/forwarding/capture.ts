// A capture: packets on their way in, out or into the bin, written to a pcapng file.

import { createWriteStream, type WriteStream } from 'node:fs';
import { LinkType, PcapngWriter } from '../../net/index.js';
import type { CaptureOptions } from './control.js';
import type { Plane, Tap } from './plane.js';

export class Capture {
  readonly #plane: Plane;
  readonly #options: CaptureOptions;
  readonly #file: WriteStream;
  readonly #writer = new PcapngWriter();
  readonly #ids = new Map<number, number>();
  readonly #done: (count: number) => void;
  readonly #failed: (error: Error) => void;
  readonly #offsetNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
  #count = 0;
  #ended = false;
  readonly result: Promise<number>;

  constructor(plane: Plane, options: CaptureOptions) {
    this.#plane = plane;
    this.#options = options;
    let done: (count: number) => void = () => undefined;
    let failed: (error: Error) => void = () => undefined;
    this.result = new Promise((resolve, reject) => {
      done = resolve;
      failed = reject;
    });
    this.#done = done;
    this.#failed = failed;
    this.#file = createWriteStream(options.path);
    this.#file.on('error', (error) => {
      this.#ended = true;
      this.#stopTap();
      this.#failed(error);
    });
    this.#file.write(this.#writer.section({ application: 'node-vpp dataplane' }));
    plane.tap = this.#see;
  }

  #stopTap(): void {
    if (this.#plane.tap === this.#see) this.#plane.tap = undefined;
  }

  readonly #see: Tap = (direction, swIfIndex, vector, p) => {
    const { directions = ['rx', 'tx'], swIfIndex: only, maxPackets = 1000, snapLength = 0 } = this.#options;
    if (!directions.includes(direction) || (only !== undefined && only !== swIfIndex)) return;
    if (this.#count >= maxPackets) {
      this.stop();
      return;
    }
    let id = this.#ids.get(swIfIndex);
    if (id === undefined) {
      id = this.#ids.size;
      this.#ids.set(swIfIndex, id);
      const name = this.#plane.interfaces.state[swIfIndex]?.spec.name ?? `${swIfIndex}`;
      this.#file.write(this.#writer.interface({ name, linkType: LinkType.ETHERNET, snapLength }));
    }
    const head = vector.headLength[p]!;
    const bytes = new Uint8Array(vector.wireLength(p));
    bytes.set(vector.bytes.subarray(vector.headAt[p], vector.headAt[p]! + head));
    const from = vector.offset[p]! + vector.skip[p]!;
    bytes.set(vector.bytes.subarray(from, vector.offset[p]! + vector.length[p]!), head);
    this.#file.write(
      this.#writer.packet({
        interfaceId: id,
        timestampNs: this.#offsetNs + process.hrtime.bigint(),
        bytes,
        direction: direction === 'tx' ? 'outbound' : 'inbound',
        ...(direction === 'drop' ? { comment: 'dropped' } : {}),
      }),
    );
    this.#count++;
  };

  stop(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stopTap();
    this.#file.end(() => this.#done(this.#count));
  }
}

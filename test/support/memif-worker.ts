// What the worker threads of the memif chapters do: `workerData.task` says which; queues come with a port.

import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { type RxQueue, type SharedQueues, openMemif, openShared } from 'node-vpp/memif';
import { loopback } from 'node-vpp/testing';

interface Orders {
  readonly task: 'echo' | 'count' | 'open' | 'misuse' | 'traffic';
  readonly port?: MessagePort;
  readonly socket?: string;
}
const orders = workerData as Orders;
const say = (message: unknown): void => parentPort!.postMessage(message);

/** Sends back what comes on queue i, every byte inverted. */
function echo(queues: SharedQueues): (queue: RxQueue) => void {
  return (queue) => {
    const tx = queues.tx[queues.rx.indexOf(queue)]!;
    const burst = queue.peek();
    let released = 0;
    for (let s = 0; s < burst.count;) {
      let end = s;
      while (burst.more[end] === 1) end++;
      const bytes = burst.copy(s).map((byte) => byte ^ 255);
      const out = tx.reserve(1, bytes.length);
      if (out.count === 0) break;
      let at = 0;
      for (let o = 0; o < out.count; o++) {
        out.segment(o).set(bytes.subarray(at, at + out.lengths[o]!));
        at += out.lengths[o]!;
      }
      tx.commit();
      s = released = end + 1;
    }
    queue.release(released);
  };
}

async function main(): Promise<void> {
  switch (orders.task) {
    case 'echo':
    case 'count': {
      const queues = openShared(orders.port!);
      let views: Uint8Array[] = [];
      queues.on('up', () => {
        const { memory } = queues.rx[0]!.peek();
        views = [...memory];
        say({ up: queues.rx[0]!.size });
      });
      queues.on('down', (reason) =>
        setImmediate(() =>
          say({ down: reason.reason, sizes: views.map((view) => view.length), size: queues.rx[0]!.size }),
        ),
      );
      queues.on('close', () => {
        say({ closed: true });
        parentPort!.close();
      });
      queues.listen(
        orders.task === 'echo'
          ? echo(queues)
          : (queue) => {
              queue.release(queue.peek().count);
            },
      );
      parentPort!.on('message', (message) => {
        if (message === 'close') queues.close();
      });
      await queues.up();
      return;
    }
    case 'misuse': {
      const queues = openShared(orders.port!);
      const codes: unknown[] = [];
      for (const port of [orders.port!, {} as unknown as MessagePort]) {
        try {
          openShared(port);
        } catch (error) {
          codes.push((error as { code: string }).code);
        }
      }
      await queues.up();
      say(codes);
      queues.close();
      await queues.up().catch((error: unknown) => say((error as { code: string }).code));
      return;
    }
    case 'open': {
      const client = openMemif({ socket: orders.socket!, role: 'client', retryMinMs: 5 });
      await client.up();
      for await (const packets of client) {
        client.send(packets);
      }
      return;
    }
    case 'traffic': {
      const { server, client } = await loopback({ ringSize: 64 });
      for (const each of [server, client]) each.listen((queue) => queue.release(queue.peek().count));
      const packets = Array.from({ length: 32 }, () => new Uint8Array(100));
      const turn = (): void => {
        for (const each of [server, client]) if (each.statistics.waiting === 0) each.send(packets);
        setImmediate(turn);
      };
      turn();
      say('running');
    }
  }
}

void main();

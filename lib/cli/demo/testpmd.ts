// dpdk-testpmd as the other end of the demo: a memif server with one polling processor, without huge pages.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ProgramError } from '../../errors.js';

/** What it does with packets: answer ARP and ping, or send everything back. */
export type TestpmdMode = 'icmpecho' | 'macswap';

const program = 'dpdk-testpmd';

/** A running testpmd. It has a process group of its own: Ctrl-C is the demo's, which then stops it. */
export class Testpmd {
  readonly #child: ChildProcess;
  readonly #kill = (): void => void this.#child.kill('SIGKILL');
  #output = '';
  /** Rejects when it ends by itself. */
  readonly ended: Promise<never>;

  constructor(options: { socket: string; mode: TestpmdMode; processor: number; longest: number }) {
    const { socket, mode, processor, longest } = options;
    if (spawnSync(program, ['--version'], { stdio: 'ignore' }).error !== undefined) {
      throw new ProgramError(
        `the demo with --peer testpmd needs ${program}, which is not installed; on Debian 12 run: ` +
          'apt-get install dpdk-dev librte-net-memif23',
      );
    }
    this.#child = spawn(
      program,
      [
        ...['--no-huge', '-m', '256', '--no-pci', '--lcores', `0@${processor},1@${processor}`],
        ...[`--file-prefix=node-vpp-demo-${process.pid}`],
        `--vdev=net_memif0,role=server,id=0,socket=${socket},socket-abstract=no`,
        ...['--', `--forward-mode=${mode}`, '--no-mlockall', '--total-num-mbufs=16384', '--stats-period=1'],
        ...(longest > 2000 ? [`--mbuf-size=${Math.min(65535, longest + 256)}`] : []),
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], detached: true },
    );
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-4000);
    };
    this.#child.stdout!.on('data', keep);
    this.#child.stderr!.on('data', keep);
    process.once('exit', this.#kill);
    this.ended = new Promise((_, reject) => {
      this.#child.once('exit', (code, signal) => {
        const said = this.#output.trim().split('\n').slice(-3).join(' | ');
        reject(new ProgramError(`${program} has ended with ${signal ?? code ?? 'an error'}; it said last: ${said}`));
      });
    });
    this.ended.catch(() => undefined);
  }

  async stop(): Promise<void> {
    process.off('exit', this.#kill);
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    const timer = setTimeout(this.#kill, 3000);
    await exited;
    clearTimeout(timer);
  }
}

// dpdk-testpmd as a peer: one process, one polling core, its rates read from what it prints each second.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Whether dpdk-testpmd and its memif driver are on this machine. */
export function haveTestpmd(): boolean {
  return (
    spawnSync('dpdk-testpmd', ['--version'], { stdio: 'ignore' }).error === undefined &&
    existsSync('/usr/bin/dpdk-testpmd')
  );
}

export interface TestpmdOptions {
  /** Processor it polls on. */
  cpu: number;
  /** memif devices: `role=server,id=0,socket=/x.sock,socket-abstract=no`. */
  devices: readonly string[];
  /** Virtual devices in front of the memif ones, whole: `net_pcap0,rx_pcap=/x.pcap,infinite_rx=1`. */
  before?: readonly string[];
  /** Virtual devices behind them. */
  behind?: readonly string[];
  /** Packet buffers; default 16384. */
  mbufs?: number;
  /** rxonly, txonly, io, macswap, icmpecho .. */
  mode: string;
  /** Further options in front of the double dash: `--single-file-segments` for zero-copy. */
  eal?: readonly string[];
  /** Further options of testpmd, behind the double dash. */
  more?: readonly string[];
}

let started = 0;

/** A running testpmd. */
export class Testpmd {
  readonly #child: ChildProcess;
  readonly #rx: number[] = [];
  readonly #tx: number[] = [];
  #output = '';
  #rest = '';
  #cycle: { rx: number; tx: number } = { rx: 0, tx: 0 };

  constructor(options: TestpmdOptions) {
    const { cpu, devices, mode, eal = [], more = [], before = [], behind = [], mbufs = 16_384 } = options;
    const prefix = `nodevpp${process.pid}x${++started}`;
    this.#child = spawn(
      'dpdk-testpmd',
      [
        '--no-huge',
        ...['-m', mbufs > 16_384 ? '512' : '256', '--no-pci'],
        ...['--lcores', `0@${cpu},1@${cpu}`],
        `--file-prefix=${prefix}`,
        ...eal,
        ...before.map((device) => `--vdev=${device}`),
        ...devices.map((device, i) => `--vdev=net_memif${i},${device}`),
        ...behind.map((device) => `--vdev=${device}`),
        '--',
        `--forward-mode=${mode}`,
        ...['--stats-period=1', '--no-mlockall', `--total-num-mbufs=${mbufs}`],
        ...more,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const take = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-20000);
      this.#rest += chunk.toString();
      const lines = this.#rest.split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) {
        // One block per port, a banner line in front of all of them.
        if (line.includes('Port statistics')) {
          if (this.#rx.length > 0 || this.#cycle.rx > 0 || this.#cycle.tx > 0) this.#push();
          this.#cycle = { rx: 0, tx: 0 };
        }
        const rate = /(Rx|Tx)-pps:\s+(\d+)/.exec(line);
        if (rate) this.#cycle[rate[1] === 'Rx' ? 'rx' : 'tx'] += Number(rate[2]);
      }
    };
    this.#child.stdout!.on('data', take);
    this.#child.stderr!.on('data', take);
  }

  #push(): void {
    this.#rx.push(this.#cycle.rx);
    this.#tx.push(this.#cycle.tx);
  }

  get output(): string {
    return this.#output;
  }

  /** Packets a second it has received and sent, summed over its ports, one entry a second. */
  get seconds(): { rx: readonly number[]; tx: readonly number[] } {
    return { rx: this.#rx, tx: this.#tx };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGINT');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(timer);
  }
}

/** The median of the seconds in which there was traffic, without the first two of them. */
export function steady(seconds: readonly number[]): number {
  const busy = seconds.filter((rate) => rate > 10_000).slice(2);
  const sorted = [...busy].sort((a, b) => a - b);
  return sorted.length === 0 ? 0 : sorted[Math.floor(sorted.length / 2)]!;
}

// Network namespaces of the kernel for the demo, made with the `ip` command, and a ping that runs in one.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { ProgramError } from '../../errors.js';

/** Pings a second. */
const PINGS = 20;

function ip(...args: string[]): void {
  const { status, stderr, error } = spawnSync('ip', args, { encoding: 'utf8' });
  if (status !== 0) {
    throw new ProgramError(`ip ${args.join(' ')}: ${error?.message ?? stderr.trim()}`, error && { cause: error });
  }
}

/** A named namespace, under /run/netns. */
export class Namespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** Why there can be none here; undefined when there can. */
  static missing(): string | undefined {
    if (process.getuid?.() !== 0) return 'only root may make them';
    if (spawnSync('ip', ['-V']).status !== 0) return 'the ip command (iproute2) is not installed';
    if (!existsSync('/dev/net/tun')) return '/dev/net/tun is not there';
    return undefined;
  }

  static create(name: string): Namespace {
    ip('netns', 'add', name);
    try {
      ip('-n', name, 'link', 'set', 'lo', 'up');
    } catch (error) {
      spawnSync('ip', ['netns', 'del', name]);
      throw error;
    }
    return new Namespace(name);
  }

  remove(): void {
    spawnSync('ip', ['netns', 'del', this.name]);
  }
}

/** What a ping has done so far. */
export interface PingState {
  readonly answered: number;
  readonly lastUs: number;
  /** Why there are no more. */
  readonly problem: string | undefined;
}

/** `ping` in a namespace, until stopped. */
export class PingProcess {
  readonly #child: ChildProcess;
  #answered = 0;
  #lastUs = 0;
  #problem: string | undefined;

  constructor(namespace: Namespace, address: string) {
    this.#child = spawn('ip', ['netns', 'exec', namespace.name, 'ping', '-n', '-i', String(1 / PINGS), address], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let rest = '';
    this.#child.stdout!.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop()!;
      for (const line of lines) {
        const time = /time=([\d.]+) ms/.exec(line);
        if (time === null) continue;
        this.#answered += 1;
        this.#lastUs = Number(time[1]) * 1000;
      }
    });
    this.#child.once('error', (error) => (this.#problem = error.message));
    this.#child.once('exit', (code) => {
      if (code !== null && code !== 0) this.#problem = `ping ended with ${code}`;
    });
  }

  state(): PingState {
    return { answered: this.#answered, lastUs: this.#lastUs, problem: this.#problem };
  }

  stop(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGTERM');
    });
  }
}

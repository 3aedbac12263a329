// Third-party clients of VPP's API: VPP's own Python client in a virtual environment below .cache, and GoVPP built from
// its module. Where Python, Go or the registries are not at hand, the reason why not is given instead. Chapters run side
// by side: one at a time installs, and a program that runs is never written over.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const cache = join(root, '.cache/clients');

/** Runs a command while no other process runs one of these; undefined, or why it failed. */
function tool(command: string, args: string[], cwd = root): string | undefined {
  if (spawnSync(command, ['--help'], { stdio: 'ignore' }).error !== undefined) return `${command} is not here`;
  mkdirSync(cache, { recursive: true });
  const locked = [join(cache, 'lock'), command, ...args];
  const result = spawnSync('flock', locked, { cwd, encoding: 'utf8', timeout: 400_000 });
  if (result.error !== undefined) return `flock or ${command}: ${result.error.message}`;
  return result.status === 0 ? undefined : `${command} ${args.join(' ')}: ${result.stderr.trim().slice(-300)}`;
}

/** Builds the Go program in test/clients/`name`; the command that runs it, or why it cannot be built. */
function goClient(name: string): { command: string[] } | { missing: string } {
  const binary = join(cache, name);
  const mine = `${binary}.${process.pid}`;
  const failed = tool('go', ['build', '-o', mine, '.'], join(root, 'test/clients', name));
  if (failed !== undefined) return { missing: failed };
  renameSync(mine, binary);
  return { command: [binary] };
}

/** The command that runs test/clients/papi.py, or why it cannot. */
export function papi(): { command: string[] } | { missing: string } {
  const python = join(cache, 'papi/bin/python');
  const installed = existsSync(python) && tool(python, ['-c', 'import vpp_papi']) === undefined;
  if (!installed) {
    const failed =
      tool('python3', ['-m', 'venv', join(cache, 'papi')]) ??
      tool(join(cache, 'papi/bin/pip'), ['install', '--quiet', '--disable-pip-version-check', 'vpp-papi']);
    if (failed !== undefined) return { missing: failed };
  }
  return { command: [python, join(root, 'test/clients/papi.py')] };
}

/** The command that runs test/clients/govpp, or why it cannot. */
export function govpp(): { command: string[] } | { missing: string } {
  return goClient('govpp');
}

/** The command that runs test/clients/papi-stats.py, or why it cannot. */
export function papiStats(): { command: string[] } | { missing: string } {
  const client = papi();
  if ('missing' in client) return client;
  return { command: [client.command[0]!, join(root, 'test/clients/papi-stats.py')] };
}

/** The command that runs test/clients/govpp-stats, or why it cannot. */
export function govppStats(): { command: string[] } | { missing: string } {
  return goClient('govpp-stats');
}

/** The command that runs test/clients/gomemif, or why it cannot. */
export function gomemif(): { command: string[] } | { missing: string } {
  return goClient('gomemif');
}

/** Runs a client, so long at most; `onLine` sees each object it prints as it prints it. */
export function runClient(
  command: readonly string[],
  args: readonly string[],
  onLine?: (line: Record<string, unknown>) => void,
  timeoutMs?: number,
): Promise<{ code: number | null; lines: Record<string, unknown>[]; errors: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, [...command.slice(1), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(timeoutMs === undefined ? {} : { timeout: timeoutMs, killSignal: 'SIGKILL' as const }),
    });
    const lines: Record<string, unknown>[] = [];
    let rest = '';
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    child.stdout.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop()!;
      for (const part of parts) {
        if (!part.startsWith('{')) continue;
        const line = JSON.parse(part) as Record<string, unknown>;
        lines.push(line);
        onLine?.(line);
      }
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, lines, errors }));
  });
}

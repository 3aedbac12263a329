// The C programs of bench/peers, compiled next to the other caches.

import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** Compiles bench/peers/NAME.c; undefined where gcc cannot. */
export function cPeer(name: string): string | undefined {
  const folder = join(root, '.cache/clients');
  mkdirSync(folder, { recursive: true });
  const binary = join(folder, name);
  const source = join(root, `bench/peers/${name}.c`);
  return spawnSync('gcc', ['-O2', '-o', binary, source, '-ldl'], { stdio: 'inherit' }).status === 0
    ? binary
    : undefined;
}

// Chapter 10: the house itself. Structure, packaging, loading; nothing about networks yet.

import t from 'tap';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What each room of lib may import, from docs/architecture.md: itself, and the rooms named here. */
const rooms: Record<string, readonly string[]> = {
  cli: [
    'agent',
    'config',
    'scheduler',
    'vpp',
    'linux',
    'dataplane',
    'api',
    'stats',
    'memif',
    'net',
    'testing',
    'native',
    'errors',
  ],
  agent: ['config', 'scheduler', 'vpp', 'linux', 'dataplane', 'api', 'stats', 'memif', 'net', 'native', 'errors'],
  config: ['scheduler', 'vpp', 'linux', 'net', 'errors'],
  scheduler: ['net', 'errors'],
  vpp: ['api', 'stats', 'net', 'errors'],
  linux: ['net', 'errors'],
  dataplane: ['api', 'memif', 'stats', 'net', 'native', 'errors'],
  testing: ['memif', 'net', 'errors'],
  api: ['native', 'net', 'errors'],
  stats: ['native', 'errors'],
  memif: ['native', 'net', 'errors'],
  net: ['errors'],
  native: ['errors'],
  errors: [],
  index: ['errors'],
};

function typescriptFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

const lib = join(root, 'lib');
const roomOf = (file: string): string => relative(lib, file).split('/')[0]!.replace(/\.ts$/, '');

void t.test('imports only point down the list of rooms', async (t) => {
  const upward: string[] = [];
  for (const file of typescriptFiles(lib)) {
    const from = roomOf(file);
    const allowed = rooms[from];
    if (allowed === undefined) {
      upward.push(`${relative(root, file)}: the room ${from} is not in the list`);
      continue;
    }
    const text = readFileSync(file, 'utf8');
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)) {
      const to = roomOf(resolve(dirname(file), target!.replace(/\.js$/, '.ts')));
      if (to !== from && !allowed.includes(to)) upward.push(`${relative(root, file)} imports ${target!}`);
    }
  }
  t.strictSame(upward, []);
});

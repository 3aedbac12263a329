// Few files instead of many for `node-vpp/api`: opening some fifty modules costs a new process more than running them.
//
//   lib/api/**.ts ── esbuild ──► dist/api/index.js          the doors of the room: what package.json exports, and
//                                dist/api/schema/index.js …  what other rooms import
//                                dist/api/chunks/*.js        what several doors share, once
//
// The doors take the place of what tsc wrote under these names; its other files stay beside them, as do all .d.ts. So
// every module is in a process once, whichever door it came through. Other rooms are left outside the bundle.

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const lib = join(root, 'lib');
const room = join(lib, 'api');
const chunks = join(root, 'dist/api/chunks');

/** Sources of lib/api that are reached from outside: by the package's exports, and by other rooms. */
function doors() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const found = new Set(
    Object.values(exports)
      .filter((path) => path.startsWith('./dist/api/') && !path.includes('/generated/'))
      .map((path) => join(root, path.replace('./dist/', 'lib/').replace(/\.js$/, '.ts'))),
  );
  for (const name of readdirSync(lib, { recursive: true })) {
    const file = join(lib, name);
    if (!file.endsWith('.ts') || file.startsWith(`${room}/`)) continue;
    const source = readFileSync(file, 'utf8');
    // Types come from the .d.ts files of tsc, and open no door.
    const code = source.replaceAll(/^import type .*?;$/gms, '');
    for (const [, path] of code.matchAll(/(?:from |import\()'(\.[^']+)\.js'/g)) {
      const target = `${resolve(dirname(file), path)}.ts`;
      if (target.startsWith(`${room}/`) && !target.includes('/generated/')) found.add(target);
    }
  }
  return [...found].sort();
}

/** Paths that lead out of the room are left as they are, seen from wherever the code ends up. */
const outside = {
  name: 'outside',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
      const target = resolve(resolveDir, path);
      if (target.startsWith(`${room}/`) && !target.startsWith(`${room}/generated/`)) return undefined;
      return { path: target.replace(lib, join(root, 'dist')), external: true };
    }),
};

/** Writes the bundle, as far as it differs from what is there. */
export async function bundleApi() {
  const { outputFiles } = await build({
    entryPoints: doors(),
    outbase: lib,
    outdir: join(root, 'dist'),
    chunkNames: 'api/chunks/[name]-[hash]',
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    charset: 'utf8',
    sourcemap: 'linked',
    logLevel: 'warning',
    tsconfig: join(root, 'tsconfig.json'),
    plugins: [outside],
    write: false,
  });
  const inRoot = JSON.stringify(join(root, 'dist/')).slice(0, -1);
  mkdirSync(chunks, { recursive: true });
  // Chunks first: a process that starts meanwhile finds what the doors name.
  const files = outputFiles.toSorted((a, b) => Number(b.path.startsWith(chunks)) - Number(a.path.startsWith(chunks)));
  for (const { path, text } of files) {
    const up = relative(dirname(path), join(root, 'dist'));
    const code = path.endsWith('.js') ? text.replaceAll(inRoot, `"${up}/`) : text;
    if (existsSync(path) && readFileSync(path, 'utf8') === code) continue;
    writeFileSync(`${path}.new`, code);
    renameSync(`${path}.new`, path);
  }
  const written = new Set(files.map(({ path }) => path));
  for (const name of readdirSync(chunks)) if (!written.has(join(chunks, name))) rmSync(join(chunks, name));
}

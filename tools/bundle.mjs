// Few files instead of many for `node-vpp/api`: opening some fifty modules costs a new process more than running them.
//
//   lib/api/**.ts ── esbuild ──► dist/api/bundle/room.js       all that the doors need
//                                dist/api/bundle/*.js          what is loaded later, and what that shares with the rest
//                                dist/api/index.js, frame.js … the doors: what package.json exports and what other rooms
//                                                              import; each hands out its part of the bundle
//
// The doors take the place of what tsc wrote under these names; its other files stay beside them, as do all .d.ts. So
// every module is in a process once, whichever door it came through. Other rooms are left outside the bundle.

import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, stop } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const [lib, dist] = [join(root, 'lib'), join(root, 'dist')];
const room = join(lib, 'api');
const folder = join(dist, 'api/bundle');
/** A door that is not in the way of a connection: its bundle is apart. */
const apart = join(room, 'schema/index.ts');

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
      return { path: target.replace(lib, dist), external: true };
    }),
};

const options = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  charset: 'utf8',
  logLevel: 'warning',
  tsconfig: join(root, 'tsconfig.json'),
  plugins: [outside],
  write: false,
  metafile: true,
};

/** The names that a module exports. */
async function exportsOf(file) {
  const { metafile } = await build({ ...options, entryPoints: [file], outdir: folder });
  return Object.values(metafile.outputs).find(({ entryPoint }) => entryPoint !== undefined).exports;
}

/** Writes the bundle, as far as it differs from what is there. */
export async function bundleApi() {
  const all = doors();
  const names = new Map(await Promise.all(all.map(async (door) => [door, await exportsOf(door)])));
  const inRoom = all.filter((door) => door !== apart);
  const { outputFiles, metafile } = await build({
    ...options,
    entryPoints: [
      { in: 'room', out: 'room' },
      { in: apart, out: 'schema' },
    ],
    outdir: folder,
    splitting: true,
    sourcemap: 'linked',
    plugins: [
      {
        name: 'room',
        setup: ({ onResolve, onLoad }) => {
          onResolve({ filter: /^room$/ }, () => ({ path: 'room', namespace: 'room' }));
          onLoad({ filter: /^room$/, namespace: 'room' }, () => ({
            contents: inRoom.map((door) => `export * from './${relative(room, door)}';`).join('\n'),
            resolveDir: room,
            loader: 'js',
          }));
        },
      },
      outside,
    ],
  });
  await stop();
  const given = metafile.outputs[relative(root, join(folder, 'room.js'))].exports;
  // Two modules that export different things under one name would both be left out.
  const lost = inRoom.flatMap((door) => names.get(door)).filter((name) => !given.includes(name));
  if (lost.length > 0) throw new Error(`lib/api exports ${lost.join(', ')} from two modules: give one another name`);

  const inRoot = JSON.stringify(`${dist}/`).slice(0, -1);
  const files = new Map(outputFiles.map(({ path, text }) => [path, text.replaceAll(inRoot, '"../../')]));
  for (const door of all) {
    const path = door.replace(lib, dist).replace(/\.ts$/, '.js');
    const from = relative(dirname(path), join(folder, door === apart ? 'schema.js' : 'room.js'));
    const target = JSON.stringify(from.startsWith('.') ? from : `./${from}`);
    files.set(
      path,
      `// One door of the bundle: see tools/bundle.mjs.\nexport { ${names.get(door).join(', ')} } from ${target};\n`,
    );
    files.set(`${path}.map`, JSON.stringify({ version: 3, sources: [], sourcesContent: [], names: [], mappings: '' }));
  }
  mkdirSync(folder, { recursive: true });
  // The bundle before its doors: a process that starts meanwhile finds what they name.
  for (const [path, text] of files) {
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
  for (const name of readdirSync(folder)) if (!files.has(join(folder, name))) rmSync(join(folder, name));
}

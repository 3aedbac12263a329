// Set-up of a checkout: dependencies, the addon, the compiled TypeScript. Plain Node, so that it runs before
// anything is installed. Each step is skipped when its result is newer than its inputs.
//
//   node tools/setup.mjs            dependencies, then build
//   node tools/setup.mjs --build    build only (what `npm install` runs through `prepare`)

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const stampFile = join(root, 'node_modules/.node-vpp-setup.json');

/** Runs a program in the checkout with its output shown, on stderr: `npm pack --json` owns stdout. Throws when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (result.error) throw new Error(`${command}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${result.signal ?? result.status}`);
}

/** Paths of all files below a folder of the checkout, sorted. */
export function filesBelow(folder, skip = /(^|\/)(node_modules|build|generated)$/) {
  const found = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (skip.test(path)) continue;
    if (entry.isDirectory()) found.push(...filesBelow(path, skip));
    else if (entry.isFile()) found.push(path);
  }
  return found.sort();
}

function hashOf(files) {
  const hash = createHash('sha256').update(process.version).update(process.arch);
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

function readStamps() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return {};
  }
}

function writeStamp(name, value) {
  mkdirSync(join(root, 'node_modules'), { recursive: true });
  writeFileSync(stampFile, JSON.stringify({ ...readStamps(), [name]: value }));
}

/** npm ci, when the lock file has changed since the last time (or nothing is there). */
export function installDependencies() {
  const wanted = hashOf(['package-lock.json']);
  if (readStamps().dependencies === wanted && existsSync(join(root, 'node_modules/typescript'))) return;
  console.error('node-vpp: installing dependencies');
  run('npm', ['ci', '--ignore-scripts', '--no-fund', '--no-audit']);
  writeStamp('dependencies', wanted);
}

/** The addon in build/Release, compiled when a native source has changed. */
export function buildNative() {
  const sources = [...filesBelow('native'), 'binding.gyp', 'package.json'].filter(
    (file) => file !== 'native/binding.gyp',
  );
  const wanted = hashOf(sources);
  // The loader prefers prebuilds/: one made from older sources must not be what a developer runs.
  const prebuilt = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'node-vpp.node');
  if (existsSync(prebuilt) && !isPrebuilt(wanted)) rmSync(prebuilt);
  if (readStamps().native === wanted && existsSync(join(root, 'build/Release/node-vpp.node'))) return wanted;
  console.error('node-vpp: compiling the addon');
  run(process.execPath, ['native/build.mjs']);
  writeStamp('native', wanted);
  return wanted;
}

/** Remembers that prebuilds/ was made from the sources with this hash. */
export function stampPrebuilt(hash) {
  writeStamp('prebuilt', hash);
}

/** Whether prebuilds/ was made from the sources with this hash. */
export function isPrebuilt(hash) {
  return readStamps().prebuilt === hash;
}

/** lib -> dist, after the generators whose input has changed; with `tests`, also test, bench and examples -> build/js. */
export async function buildTypeScript({ tests = false } = {}) {
  runGenerators();
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  run(process.execPath, [tsc, '-b', ...(tests ? ['test'] : ['.'])]);
  removeOrphans();
  const { bundleApi } = await import('./bundle.mjs');
  await bundleApi();
}

/** Takes out of dist what was compiled from a source that is gone: it would be published. */
function removeOrphans() {
  for (const file of filesBelow('dist', /\/(node_modules|bundle)$/)) {
    const source = file.replace(/^dist\//, 'lib/').replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts');
    if (source.endsWith('.ts') && !existsSync(join(root, source))) rmSync(join(root, file));
  }
}

/** Every tools/generate-*.mjs, when itself or what it says it reads has changed. */
export function runGenerators() {
  for (const name of readdirSync(join(root, 'tools'))
    .filter((file) => /^generate-.*\.mjs$/.test(file))
    .sort()) {
    const script = `tools/${name}`;
    const inputs = /^\/\/ inputs: (.*)$/m.exec(readFileSync(join(root, script), 'utf8'))?.[1]?.split(/\s+/) ?? [];
    const files = inputs.flatMap((path) => (statSync(join(root, path)).isDirectory() ? filesBelow(path) : [path]));
    const outputs = /^\/\/ outputs: (.*)$/m.exec(readFileSync(join(root, script), 'utf8'))?.[1]?.split(/\s+/) ?? [];
    const wanted = hashOf([script, ...files]);
    if (readStamps()[script] === wanted && outputs.every((path) => existsSync(join(root, path)))) continue;
    run(process.execPath, [script]);
    writeStamp(script, wanted);
  }
}

/** Everything that `npm start` and `npm test` need before they can begin. */
export async function setUp({ tests = false } = {}) {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new Error(`node-vpp needs Node 20.19 or newer; this is ${process.version}`);
  }
  installDependencies();
  buildNative();
  await buildTypeScript({ tests });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    if (process.argv.includes('--build')) {
      buildNative();
      await buildTypeScript();
    } else {
      await setUp({ tests: process.argv.includes('--tests') });
    }
  } catch (error) {
    console.error(`node-vpp: set-up failed: ${error.message}`);
    process.exitCode = 1;
  }
}

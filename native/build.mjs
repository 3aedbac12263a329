// Compiles the addon: node-gyp over native/addon.gypi, with the headers that came with the running Node.
//
//   repository         binding.gyp at the root       -> build/Release/node-vpp.node
//   installed package  native/binding.gyp (written)  -> prebuilds/<platform>-<arch>/node-vpp.node
//
// Nothing is downloaded where <prefix>/include/node exists, and no npm setting is read: every npm_config_*
// variable is taken out of the environment that node-gyp sees.

import { spawn } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const nativeFolder = dirname(fileURLToPath(import.meta.url));
const root = dirname(nativeFolder);

/** The folder to give node-gyp as --nodedir: the one that holds include/node of exactly this Node, or undefined. */
export function findNodeDir(execPath = process.execPath, version = process.version) {
  const candidates = [execPath, realpathSync(execPath)].map((path) => dirname(dirname(path)));
  for (const prefix of [...candidates, '/usr', '/usr/local']) {
    const header = join(prefix, 'include/node/node_version.h');
    if (!existsSync(header)) continue;
    const text = readFileSync(header, 'utf8');
    const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
    if (`v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` === version) return prefix;
  }
  return undefined;
}

function resolveNodeGyp() {
  const require = createRequire(import.meta.url);
  for (const name of ['node-gyp', 'node-addon-api']) {
    try {
      require.resolve(`${name}/package.json`);
    } catch (cause) {
      throw new Error(`compiling the addon needs the package ${name}; run: npm install ${name}`, { cause });
    }
  }
  return require.resolve('node-gyp/bin/node-gyp.js');
}

/** The environment without npm's settings: a build must not depend on them. */
export function cleanEnvironment(environment = process.env) {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !/^npm_(config|package)_/i.test(name)));
}

function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, options);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${args.slice(0, 3).join(' ')} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

/** Compiles and returns the path of the addon. `rebuild` starts from nothing. */
export async function buildAddon({ rebuild = false, quiet = true } = {}) {
  const nodeGyp = resolveNodeGyp();
  const inRepository = existsSync(join(root, 'binding.gyp'));
  const folder = inRepository ? root : nativeFolder;
  if (!inRepository) writeFileSync(join(folder, 'binding.gyp'), "{ 'includes': ['addon.gypi'] }\n");
  const nodeDir = findNodeDir();
  const args = [nodeGyp, ...(rebuild ? ['rebuild'] : ['configure', 'build']), '-C', folder, '-j', 'max', '--release'];
  if (nodeDir !== undefined) args.push('--nodedir', nodeDir);
  if (quiet) args.push('--loglevel', 'error');
  // Warnings and errors come on stderr; what make says on stdout is noise, and stdout may be that of `npm pack --json`.
  await run(process.execPath, args, { env: cleanEnvironment(), stdio: ['ignore', quiet ? 'ignore' : 2, 'inherit'] });
  const built = join(folder, 'build/Release/node-vpp.node');
  if (inRepository) return built;
  const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'node-vpp.node');
  mkdirSync(dirname(target), { recursive: true });
  // A running process may have the old binary mapped: replace the file, never write into it.
  copyFileSync(built, `${target}.new`);
  renameSync(`${target}.new`, target);
  rmSync(join(folder, 'build'), { recursive: true });
  rmSync(join(folder, 'binding.gyp'));
  return target;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  buildAddon({ rebuild: process.argv.includes('--rebuild'), quiet: !process.argv.includes('--verbose') }).then(
    (path) => console.error(`built ${path}`),
    (error) => {
      console.error(`node-vpp: the addon was not built: ${error.message}`);
      process.exitCode = 1;
    },
  );
}

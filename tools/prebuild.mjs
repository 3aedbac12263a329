// `npm run prebuild`: the binary that the published package carries, prebuilds/<platform>-<arch>/node-vpp.node.
//
//   1. build/Release/node-vpp.node, compiled when a source has changed
//   2. a stripped copy
//   3. checked: it wants no glibc newer than that of Debian 12 and no shared libstdc++ or libgcc, it registers itself
//      as a Node-API module, and this Node loads it
//
//   --check    what `npm pack` runs first (prepack): the same, but nothing is done when the binary is up to date
//
// Everything is said on stderr: the standard output of `npm pack --json` belongs to npm.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { buildNative, isPrebuilt, root, stampPrebuilt } from './setup.mjs';

/** The glibc of Debian 12; a binary that wants a newer one does not load there. */
const glibcFloor = [2, 36];

/** Shared libraries that every supported system has. */
const allowedLibraries = /^(libc|libm|libpthread|libdl|librt|ld-linux.*)\.so\.\d+$/;

function output(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
  if (result.error) throw new Error(`${command}: ${result.error.message} (Debian package binutils)`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr.trim()}`);
  return result.stdout;
}

const newer = ([a1, a2], [b1, b2]) => a1 > b1 || (a1 === b1 && a2 > b2);

/** What is wrong with a binary for people who did not compile it, and the figures to show. */
export function inspectBinary(path) {
  const problems = [];
  const versions = [...output('readelf', ['-VW', path]).matchAll(/GLIBC_(\d+)\.(\d+)/g)].map((m) => [+m[1], +m[2]]);
  const highest = versions.reduce((most, version) => (newer(version, most) ? version : most), [0, 0]);
  if (newer(highest, glibcFloor))
    problems.push(`it wants glibc ${highest.join('.')}, newer than ${glibcFloor.join('.')}`);
  const needed = [...output('readelf', ['-dW', path]).matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((m) => m[1]);
  const foreign = needed.filter((name) => !allowedLibraries.test(name));
  if (foreign.length > 0) problems.push(`it needs ${foreign.join(' and ')}`);
  const symbols = output('readelf', ['--dyn-syms', '-W', path]);
  if (!/ GLOBAL +DEFAULT +\d+ napi_register_module_v1$/m.test(symbols)) {
    problems.push('it does not export napi_register_module_v1');
  }
  if (/ _ZNK?2v8/.test(symbols)) problems.push('it uses symbols of V8, which differ from one Node to the next');
  return { problems, glibc: highest.join('.'), needed };
}

function prebuild(check) {
  const target = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'node-vpp.node');
  const name = relative(root, target);
  const hash = buildNative();
  if (check && existsSync(target) && isPrebuilt(hash)) {
    console.error(`node-vpp: ${name} is up to date`);
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  // In a file of its own until it has passed: a running process may have the old one mapped.
  const fresh = `${target}.new`;
  try {
    output('strip', ['--strip-unneeded', '-o', fresh, join(root, 'build/Release/node-vpp.node')]);
    const { problems, glibc, needed } = inspectBinary(fresh);
    const load =
      'const m = { exports: {} }; process.dlopen(m, process.argv[1]); process.stdout.write(m.exports.version)';
    const loaded = spawnSync(process.execPath, ['-e', load, fresh], { encoding: 'utf8' });
    if (loaded.status !== 0) problems.push(`this Node does not load it: ${loaded.stderr.trim()}`);
    if (problems.length > 0) throw new Error(`${name} is not fit to publish: ${problems.join('; ')}`);
    renameSync(fresh, target);
    console.error(
      `node-vpp: ${name}: version ${loaded.stdout}, ${Math.ceil(statSync(target).size / 1024)} KiB, ` +
        `wants glibc ${glibc} (at most ${glibcFloor.join('.')}) and ${needed.join(', ')}`,
    );
  } finally {
    rmSync(fresh, { force: true });
  }
  stampPrebuilt(hash);
}

try {
  prebuild(process.argv.includes('--check'));
} catch (error) {
  console.error(`node-vpp: ${error.message}`);
  process.exitCode = 1;
}

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
import { fileURLToPath } from 'node:url';
import { buildNative, isPrebuilt, root, stampPrebuilt } from './setup.mjs';

/** The glibc of Debian 12; a binary that wants a newer one does not load there. */
const glibcFloor = [2, 36];

/** Shared libraries that every supported system has. */
const allowedLibraries = /^(libc|libm|libpthread|libdl|librt|ld-linux.*)\.so\.\d+$/;

/** What native/addon.map lets through. */
const exported = ['napi_register_module_v1', 'node_api_module_get_api_version_v1'];

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
  const symbols = [...output('readelf', ['--dyn-syms', '-W', path]).matchAll(/ (\S+) +DEFAULT +(\w+) ([^\s@]+)/g)];
  const shown = symbols.filter(([, , section]) => section !== 'UND').map(([, , , name]) => name);
  const strange = shown.filter((name) => !exported.includes(name));
  if (!shown.includes(exported[0])) problems.push(`it does not export ${exported[0]}`);
  // Node would put its own in their place: see native/addon.map.
  if (strange.length > 0) problems.push(`it exports ${strange.length} symbols more than it should: ${strange[0]} …`);
  const wanted = symbols
    .filter(([, bind, section]) => section === 'UND' && bind !== 'WEAK')
    .map(([, , , name]) => name);
  const foreignWanted = wanted.filter((name) => name.startsWith('_Z'));
  // C++ symbols can only come from Node itself, whose V8 and C++ library differ from one version to the next.
  if (foreignWanted.length > 0) problems.push(`it wants C++ symbols of Node: ${foreignWanted[0]} …`);
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    prebuild(process.argv.includes('--check'));
  } catch (error) {
    console.error(`node-vpp: ${error.message}`);
    process.exitCode = 1;
  }
}

// `npm test`: set-up, then lint, types, the C++ tests and the tap chapters; the last line is `N passed, N failed`.
// What does not depend on each other runs side by side.
//
//   npm test                    everything
//   npm test -- 20 30           only the tap chapters whose file name starts so (no lint, no C++)
//   npm test -- --no-install    never call apt-get
//
// On Debian as root the packages that tests can use are installed first; elsewhere what is missing is named, and
// the tests that need it report themselves as skipped.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildTypeScript, root, setUp } from './setup.mjs';

/** Debian packages the tests use, each with the program or file that shows it is there. */
const packages = [
  ['dpdk-dev', '/usr/bin/dpdk-testpmd'],
  ['librte-net-memif23', '/usr/lib/x86_64-linux-gnu/librte_net_memif.so.23'],
  ['cmake', '/usr/bin/cmake'],
  ['g++', '/usr/bin/g++'],
  ['clang', '/usr/bin/clang'],
  ['clang-format', '/usr/bin/clang-format'],
  ['clang-tidy', '/usr/bin/clang-tidy'],
  ['libclang-rt-14-dev', '/usr/lib/llvm-14/lib/clang'],
  ['libgtest-dev', '/usr/include/gtest/gtest.h'],
  ['valgrind', '/usr/bin/valgrind'],
  ['tshark', '/usr/bin/tshark'],
  ['iproute2', '/sbin/ip'],
  ['iputils-ping', '/usr/bin/ping'],
  ['iperf3', '/usr/bin/iperf3'],
  ['prometheus', '/usr/bin/prometheus'],
];

const args = process.argv.slice(2);
const chaptersWanted = args.filter((arg) => !arg.startsWith('-'));
let passed = 0;
let failed = 0;
let skipped = 0;
const failures = [];

const seconds = (began) => `${((performance.now() - began) / 1000).toFixed(0)} s`;

function record(name, ok, began) {
  if (ok) passed += 1;
  else {
    failed += 1;
    failures.push(name);
  }
  console.log(`${ok ? 'ok' : 'FAILED'} - ${name}${began === undefined ? '' : ` (${seconds(began)})`}`);
}

function installPackages() {
  const missing = packages.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length === 0) return;
  const debian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
  if (debian && process.getuid() === 0 && !args.includes('--no-install')) {
    console.log(`installing Debian packages for the tests: ${missing.join(' ')}`);
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    spawnSync('apt-get', ['update', '-qq'], { stdio: ['ignore', 'ignore', 'inherit'], env });
    const got = spawnSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env,
    });
    if (got.status === 0) return;
    console.log('apt-get could not install all of them; the tests that need them will be skipped');
    return;
  }
  console.log(`not installed: ${missing.join(' ')}; the tests that need them will be skipped`);
}

/** Runs a step with its output shown; resolves with its exit code and what it printed. */
function step(command, stepArgs, { quiet = false, env = process.env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, stepArgs, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], env });
    let output = '';
    const take = (chunk) => {
      output += chunk;
      if (!quiet) process.stdout.write(chunk);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', (error) => resolve({ code: 127, output: error.message }));
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

/** What `npm run lint` does, its parts side by side. */
async function lint() {
  const parts = [
    ['lint: eslint', 'eslint', '.'],
    ['lint: prettier', 'prettier', '--check', '.'],
    ['lint: clang-format, clang-tidy', undefined, 'tools/lint-native.mjs'],
  ];
  const bin = (name) => join(root, 'node_modules', name, name === 'eslint' ? 'bin/eslint.js' : 'bin/prettier.cjs');
  await Promise.all(
    parts.map(async ([name, program, ...rest]) => {
      const began = performance.now();
      const result = await step(process.execPath, program === undefined ? rest : [bin(program), ...rest], {
        quiet: true,
      });
      if (result.code !== 0 || program === undefined) process.stdout.write(result.output);
      record(name, result.code === 0, began);
    }),
  );
}

async function nativeTests() {
  if (!existsSync(join(root, 'tools/native-tests.mjs'))) return;
  const result = await step(process.execPath, ['tools/native-tests.mjs', 'all']);
  for (const [, status, name] of result.output.matchAll(/^(ok|not ok|skip) - (.*)$/gm)) {
    if (status === 'skip') skipped += 1;
    else if (status === 'ok') passed += 1;
    else {
      failed += 1;
      failures.push(name);
    }
  }
  if (result.code !== 0 && !/^not ok/m.test(result.output)) record('C++ tests ran to their end', false);
}

async function chapters() {
  const folder = join(root, 'build/js/test');
  const sources = new Set(readdirSync(join(root, 'test')).map((name) => name.replace(/\.ts$/, '.js')));
  const files = readdirSync(folder)
    .filter((name) => /^\d\d\..*\.js$/.test(name) && sources.has(name))
    .filter((name) => chaptersWanted.length === 0 || chaptersWanted.some((start) => name.startsWith(start)))
    .sort();
  if (files.length === 0) {
    // Given no file, tap would run all that looks like a test.
    record(`there is a chapter that begins with ${chaptersWanted.join(' or ')}`, false);
    return;
  }
  // The house packs and builds what the others run, so it has the machine to itself. The others run as many at a time as
  // there are processors, the large ones first.
  const alone = files.filter((name) => name.startsWith('10.'));
  for (const name of alone) await chapter(name);
  const rest = files.filter((name) => !alone.includes(name));
  rest.sort((a, b) => statSync(join(folder, b)).size - statSync(join(folder, a)).size);
  const take = async () => {
    for (let name; (name = rest.shift()) !== undefined;) await chapter(name);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, take));
}

/** Runs one chapter, then shows what its tests were called and counts what they found. */
async function chapter(name) {
  const began = performance.now();
  const tap = join(root, 'node_modules/tap/dist/esm/run.mjs');
  const result = await step(process.execPath, [tap, 'run', '--reporter=tap', `build/js/test/${name}`], { quiet: true });
  console.log(`${name.replace(/\.js$/, '')} (${seconds(began)})`);
  // One indented line per assertion; only leaves count (a subtest's own line follows its plan).
  const failedBefore = failed;
  let depthOfLastPlan = -1;
  const title = [];
  for (const line of result.output.split('\n')) {
    const plan = /^( *)1\.\.\d+/.exec(line);
    if (plan) {
      depthOfLastPlan = plan[1].length;
      continue;
    }
    const heading = /^( *)# Subtest: (.*)$/.exec(line);
    if (heading) {
      const depth = heading[1].length / 4;
      title.length = depth;
      title[depth] = heading[2];
      if (depth === 1) console.log(`  ${heading[2]}`);
      continue;
    }
    const point = /^( *)(not ok|ok) \d+(?: - (.*))?$/.exec(line);
    if (!point) continue;
    const closesSubtest = depthOfLastPlan > point[1].length;
    depthOfLastPlan = -1;
    if (/# (SKIP|skip)/.test(point[3] ?? '')) {
      skipped += 1;
      console.log(`  skipped: ${point[3]}`);
    } else if (!closesSubtest) {
      if (point[2] === 'ok') passed += 1;
      else {
        failed += 1;
        failures.push([...title, point[3]].filter(Boolean).join(' > '));
      }
    } else if (point[2] === 'not ok') failures.push(`(in) ${point[3]}`);
  }
  if (result.code !== 0) {
    process.stdout.write(
      result.output
        .split('\n')
        .filter((line) => !/^ *ok /.test(line))
        .join('\n'),
    );
    if (failed === failedBefore) record(`${name} ran to its end`, false);
  }
}

try {
  installPackages();
  await setUp({ tests: true });
  record('types: tsc over lib, test, bench and examples', true);
  if (chaptersWanted.length === 0) {
    await Promise.all([lint(), nativeTests()]);
  }
  await chapters();
} catch (error) {
  console.error(`node-vpp: ${error.message}`);
  failed += 1;
  failures.push('set-up');
}
for (const name of failures) console.log(`failed: ${name}`);
if (skipped > 0) console.log(`(${skipped} skipped, named above)`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

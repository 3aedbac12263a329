// The C++ tests: configures, builds and runs them in each variant with CMake, in build/<variant>. One line per
// GoogleTest test, `ok - NAME`, `not ok - NAME` or `skip - NAME: why`; tools/test.mjs counts these lines.
//
//   node tools/native-tests.mjs [all|plain|asan|tsan|valgrind|fuzz]...   default: all
//     --seconds N     how long each fuzzer runs (default: 20 s shared by all of them)
//     --filter TEXT   only the test files and fuzzers whose name contains TEXT
//
// plain is built through cmake-js, so it also compiles the addon and writes compile_commands.json; the other variants
// leave the addon out and need no Node headers. Valgrind runs the plain programs. As many programs run at a time as
// there are processors, while the next variant is being built.

import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  lstatSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { cleanEnvironment, findNodeDir } from '../native/build.mjs';
import { root } from './setup.mjs';

/** What each variant is built with, what its programs run under, and how long one of them may take. */
const variants = {
  plain: { folder: 'dev', type: 'RelWithDebInfo', addon: true, needs: ['cmake', 'c++'] },
  asan: { folder: 'asan', type: 'Debug', sanitize: 'address,undefined', flags: '-O1', needs: ['cmake', 'c++'] },
  tsan: { folder: 'tsan', type: 'Debug', sanitize: 'thread', flags: '-O1', needs: ['cmake', 'c++'] },
  valgrind: { same: 'plain', needs: ['cmake', 'c++', 'valgrind'] },
  fuzz: {
    folder: 'fuzz',
    type: 'Debug',
    sanitize: 'address,undefined',
    flags: '-O1',
    compiler: 'clang++',
    needs: ['cmake', 'clang++'],
  },
};

const runUnder = {
  // Every kind of leak but the still-reachable, which are what the C++ library keeps for its own use. One thread runs at a
  // time; who waits longest comes first, or one that spins would starve those it waits for.
  valgrind: [
    'valgrind',
    '-q',
    '--error-exitcode=99',
    '--leak-check=full',
    '--errors-for-leak-kinds=definite,possible',
    '--fair-sched=try',
  ],
};

/**
 * Tests that a variant's tool does not let happen: valgrind keeps the limit of descriptors for itself, has its own idea
 * of threads after a fork, lets no thread run while one is in close(2), and does not promise that an access can be
 * repeated after a handler of SIGBUS has mended what was wrong with it. The other variants run them.
 */
const leftOut = {
  valgrind: [
    'Listening.RestsWhenThereAreNoDescriptorsForANewClientAndGoesOnWhenThereAre',
    'SocketMessages.SayWhenThereWasNoRoomForADescriptorInThisProcess',
    'Doorbells.CanBeRungFromManyThreadsAndAfterAFork',
    'Attack.Number8_ARegionTruncatedUnderTraffic',
    'Attack.Number17_ADescriptorThatTakesLongToClose',
    'Bridging.EndsWhenMemoryIsTakenAwayUnderIt',
    'Guard.PutsZerosWhereAFileWasTruncatedAndRemembersIt',
    'Guard.WorksForStoresAndInEveryThread',
  ],
};

const sanitizerOptions = {
  ASAN_OPTIONS: 'detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
  TSAN_OPTIONS: 'second_deadlock_stack=1:halt_on_error=0',
};

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string' }, filter: { type: 'string', default: '' } },
});

const on = (tool) => spawnSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' }).status === 0;
let failed = false;

function report(status, name) {
  if (status === 'not ok') failed = true;
  console.log(`${status} - ${name.replaceAll('\n', ' ')}`);
}

/** Runs a program; resolves with its exit code or signal and all it printed. A late one is killed. */
function run(command, args, { timeoutMs = 1_800_000, env = process.env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
    child.once('error', (error) => {
      clearTimeout(timer);
      resolve({ ended: error.message, output });
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      const ended = late ? `no end after ${timeoutMs / 1000} s` : (signal ?? (code === 0 ? '' : `exit code ${code}`));
      resolve({ ended, output });
    });
  });
}

const sourcesIn = (folder, suffix) =>
  (existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : [])
    .filter((name) => name.endsWith(suffix))
    .map((name) => name.slice(0, -suffix.length))
    .sort();

/** Configures (once) and builds one variant; returns what went wrong, or undefined. */
async function build(variant, settings) {
  const folder = `build/${settings.folder}`;
  const nodeDir = findNodeDir();
  const definitions = {
    CMAKE_BUILD_TYPE: settings.type,
    CMAKE_CXX_FLAGS: settings.flags,
    CMAKE_CXX_COMPILER: settings.compiler,
    NODE_VPP_SANITIZE: settings.sanitize,
    NODE_VPP_TESTS: variant === 'fuzz' ? 'OFF' : 'ON',
    NODE_VPP_FUZZ: variant === 'fuzz' ? 'ON' : 'OFF',
  };
  const defined = Object.entries(definitions).filter(([, value]) => value !== undefined);
  // CMake keeps the settings of the first time; with others the folder begins anew.
  const settingsFile = join(root, folder, 'settings.json');
  const wantedSettings = JSON.stringify({ ...definitions, nodeDir, node: process.version });
  if (!existsSync(settingsFile) || readFileSync(settingsFile, 'utf8') !== wantedSettings) {
    for (const name of existsSync(join(root, folder)) ? readdirSync(join(root, folder)) : []) {
      if (name !== 'corpus') rmSync(join(root, folder, name), { recursive: true });
    }
    mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(settingsFile, wantedSettings);
  }
  let result;
  if (settings.addon && nodeDir !== undefined) {
    const cmakeJs = join(root, 'node_modules/cmake-js/bin/cmake-js');
    const custom = defined.map(([name, value]) => `--CD${name}=${value}`);
    const args = [cmakeJs, 'build', '--log-level', 'warn', '--out', folder, '--config', settings.type, ...custom];
    result = await run(process.execPath, args, { env: { ...cleanEnvironment(), npm_config_nodedir: nodeDir } });
  } else {
    if (settings.addon) console.log(`# no headers of Node ${process.version} on this machine: the addon is left out`);
    const generator = on('ninja') ? ['-G', 'Ninja'] : [];
    const custom = defined.map(([name, value]) => `-D${name}=${value}`);
    if (!existsSync(join(root, folder, 'CMakeCache.txt'))) {
      result = await run('cmake', ['-S', '.', '-B', folder, ...generator, ...custom]);
      // Half a configuration must not be taken for a whole one the next time.
      if (result.ended !== '') rmSync(join(root, folder, 'CMakeCache.txt'), { force: true });
    }
    if (result === undefined || result.ended === '') {
      result = await run('cmake', ['--build', folder, '--parallel', '2']);
    }
  }
  if (result.ended === '') {
    // Warnings are worth seeing even when nothing failed.
    if (/warning:/.test(result.output)) process.stdout.write(result.output);
    return undefined;
  }
  process.stdout.write(result.output);
  return result.ended;
}

/** The filter that leaves out what a variant's tool does not let happen. */
function leftOutOf(variant) {
  const names = leftOut[variant] ?? [];
  return names.length === 0 ? [] : [`--gtest_filter=-${names.join(':')}`];
}

/** Runs one test program and reports each of its tests. */
async function runTests(variant, settings, name) {
  const folder = join(root, 'build', settings.folder);
  const json = join(folder, 'tests', `${name}-${variant}.json`);
  const began = performance.now();
  rmSync(json, { force: true });
  const [command, ...args] = [...(runUnder[variant] ?? []), join(folder, 'tests', `test-${name}`)];
  const { ended, output } = await run(command, [...args, ...leftOutOf(variant), `--gtest_output=json:${json}`], {
    timeoutMs: 900_000,
    env: { ...process.env, ...sanitizerOptions, NODE_VPP_TEST_VARIANT: variant },
  });
  console.log(`# ${variant} ${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
  let reported = 0;
  let failures = 0;
  const tests = existsSync(json) ? JSON.parse(readFileSync(json, 'utf8')).testsuites : [];
  for (const test of tests.flatMap((suite) => suite.testsuite)) {
    const title = `${variant} ${name}: ${test.classname}.${test.name}`;
    if (test.status === 'NOTRUN') continue;
    reported += 1;
    if (test.failures !== undefined) {
      failures += 1;
      report('not ok', title);
    } else if (test.result === 'SKIPPED') {
      const why = new RegExp(`RUN +\\] ${test.classname}\\.${test.name}\\n(?:.*: Skipped\\n)?(.*)`).exec(output)?.[1];
      report('skip', `${title}: ${why ?? 'no reason given'}`);
    } else report('ok', title);
  }
  if (ended === '' && reported > 0) return;
  process.stdout.write(output);
  // A crash, a time-out, or what the sanitizer or valgrind found after the last test: more than the tests say.
  if (failures === 0) report('not ok', `${variant} ${name}: ${ended === '' ? 'no test ran' : `ended with ${ended}`}`);
}

/** Runs one fuzzer for some seconds over its kept corpus and the seeds in test/fixtures/fuzz/<name>. */
async function runFuzzer(settings, name, seconds) {
  const folder = `build/${settings.folder}`;
  const corpus = `${folder}/corpus/${name}`;
  mkdirSync(join(root, corpus), { recursive: true });
  const seeds = `test/fixtures/fuzz/${name}`;
  const args = [
    `-max_total_time=${seconds}`,
    '-timeout=10',
    '-rss_limit_mb=2048',
    '-print_final_stats=1',
    `-artifact_prefix=${folder}/crash-${name}-`,
    corpus,
    ...(existsSync(join(root, seeds)) ? [seeds] : []),
  ];
  const { ended, output } = await run(join(root, folder, 'fuzzers', `fuzz-${name}`), args, {
    timeoutMs: (seconds + 60) * 1000,
    env: { ...process.env, ...sanitizerOptions },
  });
  const executions = /number_of_executed_units: *(\d+)/.exec(output)?.[1];
  if (ended === '' && executions !== undefined) report('ok', `fuzz ${name}: ${executions} executions in ${seconds} s`);
  else {
    process.stdout.write(output);
    report('not ok', `fuzz ${name}: ended with ${ended === '' ? 'no figures' : ended}`);
  }
}

/** Programs that wait for a processor, and those that have one. */
const queue = [];
const running = new Set();

/** Runs a program as soon as fewer than there are processors are running. */
function whenThereIsRoom(program) {
  queue.push(program);
  while (queue.length > 0 && running.size < availableParallelism()) {
    const begun = queue
      .shift()()
      .finally(() => {
        running.delete(begun);
        if (queue.length > 0) whenThereIsRoom(queue.shift());
      });
    running.add(begun);
  }
}

const wanted = positionals.length === 0 || positionals.includes('all') ? Object.keys(variants) : positionals;
const built = new Map();
for (const variant of wanted) {
  if (variants[variant] === undefined) {
    console.error(`no variant ${variant}; there are: all ${Object.keys(variants).join(' ')}`);
    process.exit(2);
  }
  const buildOf = variants[variant].same ?? variant;
  const settings = { ...variants[buildOf], ...variants[variant] };
  const missing = settings.needs.filter((tool) => !on(tool));
  if (variant !== 'fuzz' && !existsSync('/usr/include/gtest/gtest.h')) missing.push('libgtest-dev');
  const names = variant === 'fuzz' ? sourcesIn('test/native/fuzz', '.fuzz.cc') : sourcesIn('test/native', '.test.cc');
  const chosen = names.filter((name) => name.includes(options.filter));
  if (missing.length > 0) {
    report('skip', `${variant}: ${missing.join(' and ')} not installed`);
    continue;
  }
  if (chosen.length === 0 && !settings.addon) continue;
  if (!built.has(buildOf)) {
    const began = performance.now();
    built.set(buildOf, await build(buildOf, settings));
    console.log(`# ${buildOf}: built in ${((performance.now() - began) / 1000).toFixed(0)} s`);
  }
  const wrong = built.get(buildOf);
  if (wrong !== undefined) {
    report('not ok', `${variant}: building in build/${settings.folder} ended with ${wrong}`);
    continue;
  }
  report('ok', `${variant}: builds in build/${settings.folder}`);
  if (variant === 'plain' && existsSync(join(root, 'build/dev/compile_commands.json'))) {
    const link = join(root, 'compile_commands.json');
    if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync('build/dev/compile_commands.json', link);
  }
  const seconds = Number(options.seconds ?? Math.max(5, Math.ceil(20 / Math.max(1, chosen.length))));
  for (const name of chosen) {
    whenThereIsRoom(() =>
      variant === 'fuzz' ? runFuzzer(settings, name, seconds) : runTests(variant, settings, name),
    );
  }
}
while (running.size > 0) await Promise.all(running);
process.exitCode = failed ? 1 : 0;

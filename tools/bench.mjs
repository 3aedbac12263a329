// `npm run bench`: sets up and runs each benchmark (bench/*.ts, compiled to build/js/bench) in a process of its own,
// one after the other, so that none sees what another did to the heap or to the compiler.
//
//   npm run bench                        all
//   npm run bench -- memif api           those whose name contains one of the words
//   npm run bench -- memif --seconds 3   what begins with the first option goes to the benchmarks

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { root, setUp } from './setup.mjs';

const args = process.argv.slice(2);
const firstOption = args.findIndex((arg) => arg.startsWith('-'));
const words = firstOption === -1 ? args : args.slice(0, firstOption);
const options = firstOption === -1 ? [] : args.slice(firstOption);

const folder = join(root, 'bench');
const all = (existsSync(folder) ? readdirSync(folder) : [])
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.replace(/\.ts$/, ''))
  .sort();
const chosen = all.filter((name) => words.length === 0 || words.some((word) => name.includes(word)));

if (chosen.length === 0) {
  console.error(`node-vpp: no benchmark ${words.join(' ')}; there are: ${all.join(' ') || 'none'}`);
  process.exitCode = 1;
} else {
  try {
    await setUp({ tests: true });
    console.log(
      `Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}`,
    );
    for (const name of chosen) {
      console.log(`\n== ${name}`);
      const script = join(root, 'build/js/bench', `${name}.js`);
      const { status, signal, error } = spawnSync(process.execPath, [script, ...options], {
        cwd: root,
        stdio: 'inherit',
      });
      if (status === 0) continue;
      console.error(`node-vpp: the benchmark ${name} ended with ${error?.message ?? signal ?? `exit code ${status}`}`);
      process.exitCode = 1;
    }
  } catch (error) {
    console.error(`node-vpp: set-up failed: ${error.message}`);
    process.exitCode = 1;
  }
}

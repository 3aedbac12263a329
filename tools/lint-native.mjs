// clang-format over the C++ sources (check, or --fix) and clang-tidy over those that do not include napi.h.
// A machine without the tools is told so; the rest of the lint still counts.

import { spawnSync } from 'node:child_process';
import { filesBelow, root } from './setup.mjs';

const fix = process.argv.includes('--fix');
const sources = [...filesBelow('native'), ...filesBelow('test/native')].filter((file) => /\.(cc|h)$/.test(file));
const has = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0;
let failed = false;

if (!has('clang-format')) console.log('clang-format is not installed: C++ layout not checked');
else {
  const args = fix ? ['-i'] : ['--dry-run', '--Werror'];
  failed = spawnSync('clang-format', [...args, ...sources], { cwd: root, stdio: 'inherit' }).status !== 0;
}

const plain = sources.filter((file) => file.endsWith('.cc') && /^native\/(?!addon)/.test(file));
if (!has('clang-tidy')) console.log('clang-tidy is not installed: C++ not analysed');
else if (!fix && plain.length > 0) {
  const flags = ['-std=c++20', '-Inative', '-D_GNU_SOURCE', '-Wall', '-Wextra'];
  const result = spawnSync('clang-tidy', ['--quiet', ...plain, '--', ...flags], { cwd: root, encoding: 'utf8' });
  if (result.status !== 0) {
    console.log(result.stdout);
    failed = true;
  }
}
process.exitCode = failed ? 1 : 0;

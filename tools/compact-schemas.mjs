// Makes the bundled schemas: reads folders of VPP's .api.json files and writes lib/api/schema/data/<release>.txt (and,
// from errors-<release>.json, errors.txt). Run by hand when a release is added, after a build:
//
//   node tools/compact-schemas.mjs SOURCE     SOURCE/<release>/*.api.json   SOURCE/errors-<release>.json
//
// Only facts are taken over: names, types, numbers, enums, options, services, checksums; no comments, no help texts.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './setup.mjs';

const source = process.argv[2];
if (source === undefined) {
  console.error('usage: node tools/compact-schemas.mjs SOURCE-FOLDER');
  process.exit(2);
}
const { readApiJson, writeCompact } = await import(join(root, 'dist/api/schema/index.js'));
const target = join(root, 'lib/api/schema/data');
mkdirSync(target, { recursive: true });

const releases = readdirSync(source, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && /^\d\d\.\d\d$/.test(entry.name))
  .map((entry) => entry.name)
  .sort();
for (const release of releases) {
  const text = writeCompact(readApiJson(join(source, release), release));
  writeFileSync(join(target, `${release}.txt`), text);
  console.log(`${release}: ${text.length} bytes`);
}

const newest = releases.at(-1);
const errors = join(source, `errors-${newest}.json`);
if (existsSync(errors)) {
  const table = JSON.parse(readFileSync(errors, 'utf8')).errors;
  const lines = table.map(({ name, value, text }) => [value, name, text ?? ''].join(' ').trimEnd());
  writeFileSync(join(target, 'errors.txt'), `node-vpp-errors 1 ${newest}\n${lines.join('\n')}\n`);
  console.log(`errors: ${lines.length}`);
}

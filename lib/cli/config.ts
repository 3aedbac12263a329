// `node-vpp config dump | diff | apply`: the configuration of a VPP as one YAML file.

import type { Command } from 'commander';
import type * as yamlModule from 'yaml';
import { readFileSync, writeFileSync } from 'node:fs';
import { DependencyError, VppTextError } from '../errors.js';
import { jsonOf } from './api.js';
import type { Change } from './vpp/apply.js';
import { asDocument, dumpDocument, type Document } from './vpp/document.js';
import { withCommon, withVpp } from './vpp/session.js';

async function yaml(): Promise<typeof yamlModule> {
  return import('yaml').catch((cause: unknown) => {
    throw new DependencyError('node-vpp config', 'yaml', { cause });
  });
}

async function read(file: string): Promise<Document> {
  const { parse } = await yaml();
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new VppTextError('ERR_VPP_CONFIG', `${file}: ${(cause as Error).message}`, { cause });
  }
  return asDocument(value, file);
}

const line = ({ type, section, key, fields }: Change): string =>
  `${type} ${section} ${key}${fields.length === 0 ? '' : `: ${fields.join(', ')}`}`;

/** Adds `node-vpp config`. */
export function register(program: Command): void {
  const config = program.command('config').description('the configuration of a VPP as one YAML file');
  withCommon(config.command('dump [file]').description('what the VPP has, to a file or to the standard output')).action(
    async (file: string | undefined, _options: object, self: Command) => {
      const text = await withVpp(self, async (vpp, { json }) => {
        const document = await dumpDocument(vpp);
        return json === true ? `${jsonOf(document)}\n` : (await yaml()).stringify(document);
      });
      if (file === undefined) process.stdout.write(text);
      else writeFileSync(file, text);
    },
  );
  withCommon(
    config.command('diff <file>').description('what apply would change; exit code 1 when there is something'),
  ).action(async (file: string, _options: object, self: Command) => {
    const { difference } = await import('./vpp/apply.js');
    const wanted = await read(file);
    await withVpp(self, async (vpp, { json }) => {
      const changes = difference(wanted, await dumpDocument(vpp));
      for (const change of changes) console.log(json === true ? jsonOf(change) : line(change));
      if (changes.length > 0) process.exitCode = 1;
    });
  });
  withCommon(config.command('apply <file>').description('make the VPP as the file says'))
    .option('--prune', 'delete what only the VPP has, in the sections of the file')
    .action(async (file: string, options: { prune?: boolean }, self: Command) => {
      const { applyDocument } = await import('./vpp/apply.js');
      const wanted = await read(file);
      await withVpp(self, async (vpp, { json }) => {
        const onChange = (change: Change): void => console.log(json === true ? jsonOf(change) : line(change));
        const changes = await applyDocument(vpp, wanted, { ...options, onChange });
        if (json !== true) console.log(`${changes.length} changes`);
      });
    });
}

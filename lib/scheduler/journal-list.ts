// A listing of a journal for people, with its secrets blotted out. Values whose descriptor is not given are not shown at
// all: nobody can say what in them is secret.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inKeySpace, type Descriptor } from './descriptor.js';
import { restore, type Frame, type StoredEntry } from './journal.js';
import { scan } from './log-file.js';
import { redact } from './redact.js';

/**
 * The lines of a journal's files, oldest first. The journal may be in use; what is being written is left out.
 *
 * @param path the journal's directory
 * @param descriptors whose schemas say what is secret
 */
export async function* listJournal(path: string, descriptors: readonly Descriptor[]): AsyncGenerator<string> {
  const names = (await readdir(path)).filter((name) => /^(log|snapshot)-\d{8}$/.test(name));
  const shown = (entry: StoredEntry): string => {
    const [key] = entry;
    const value = restore(entry);
    if (value === undefined) return `- ${key}`;
    const owner = descriptors.find((descriptor) => inKeySpace(descriptor.keys, key));
    if (owner === undefined) return `+ ${key} [no descriptor]`;
    const text = JSON.stringify(redact(owner.schema, value), (_name, field: unknown) => {
      if (typeof field === 'bigint') return field.toString();
      return field instanceof Uint8Array ? Buffer.from(field).toString('hex') : field;
    });
    return `+ ${key} ${text}`;
  };
  // log-1 was followed by snapshot-2, then log-2.
  const order = (name: string): string => `${name.slice(-8)}${name.startsWith('log') ? 1 : 0}`;
  for (const name of names.sort((a, b) => (order(a) < order(b) ? -1 : 1))) {
    const lines: string[] = [`${name}:`];
    scan(await readFile(join(path, name)), join(path, name), true, (payload) => {
      lines.push(...frameLines(JSON.parse(payload.toString('utf8')) as Frame, shown));
    });
    yield* lines;
  }
}

function frameLines(frame: Frame, shown: (entry: StoredEntry) => string): string[] {
  switch (frame[0]) {
    case 'i': {
      const [, seq, kind, startedMs, description, hold, , entries] = frame;
      const held = hold === 0 ? '' : hold === 1 ? ' atomic' : ' unconfirmed';
      const head = `  ${seq} intent ${kind}${held} ${new Date(startedMs).toISOString()} ${description ?? ''}`.trimEnd();
      return [head, ...entries.map((entry) => `    ${shown(entry)}`)];
    }
    case 'o': {
      const [, seq, kind, , endedMs, status, , , rows, errors] = frame;
      const count = rows.filter((item) => typeof item === 'number').length;
      const head = `  ${seq} outcome ${kind} ${status} ${new Date(endedMs).toISOString()} (${count} rows)`;
      return [head, ...errors.map(([, error]) => `    ! ${error}`)];
    }
    case 's':
      return [`  ${frame[1]} confirmed or taken back`];
    case 'u':
      return [`  ${frame[1]} taken back: not confirmed`];
    case 'x':
      return [`  ${frame[1]} not begun`];
    case 'c':
      return [`  checkpoint ${frame[1]}`];
    case 'd':
      return [`  checkpoint ${frame[1]} dropped`];
    case 'n':
      return [`  southbound ${frame[1]} is ${frame[2]}`];
    case 'S': {
      const [, seq, , part, entries] = frame;
      const values =
        part === 'believed' || part === 'identity'
          ? entries.map((entry) => `    ${JSON.stringify(entry)}`)
          : (entries as StoredEntry[]).map((entry) => `    ${shown(entry)}`);
      return [`  ${seq} ${part}`, ...values];
    }
  }
}

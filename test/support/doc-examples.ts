// Runs the examples of the documentation: every ```ts block of the pages, and every one under an `@example` of TSDoc.
//
//   lib/net/mac.ts   /** … @example … ```ts code ``` */ ─┐
//   docs/net.md      ```ts code ```                      ├─▶ types stripped ─▶ build/doc-examples/*.mjs ─▶ import()
//
// An example is a whole module: it imports `node-vpp/…` like a user and asserts with node:assert. The files lie below
// the package's root, so that its own name resolves. A block with anything behind `ts` (such as "ts no-run") is shown
// and not run.

import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Test } from 'tap';
import ts from 'typescript';

const root = fileURLToPath(new URL('../../../..', import.meta.url));

/** One example: where it is written and its code. */
export interface DocExample {
  /** `lib/net/mac.ts:52`: the line of the opening fence. */
  name: string;
  code: string;
}

/** The ```ts blocks of some text; `from` is the number of the line before its first one. */
function blocksOf(file: string, text: string, from: number): DocExample[] {
  const examples: DocExample[] = [];
  let begun = -1;
  let indent = '';
  let code: string[] = [];
  text.split('\n').forEach((line, index) => {
    if (begun < 0) {
      const fence = /^(\s*)```ts\s*$/.exec(line);
      if (fence === null) return;
      indent = fence[1]!;
      begun = index;
      code = [];
    } else if (line.trim() === '```') {
      examples.push({ name: `${file}:${from + begun + 1}`, code: code.join('\n') });
      begun = -1;
    } else code.push(line.startsWith(indent) ? line.slice(indent.length) : line);
  });
  if (begun >= 0) throw new Error(`${file}:${from + begun + 1}: the example has no closing fence`);
  return examples;
}

/** All examples of a page (`.md`) or of a source file (`.ts`), given by its path in the checkout. */
export function docExamples(file: string): DocExample[] {
  const text = readFileSync(join(root, file), 'utf8');
  if (file.endsWith('.md')) return blocksOf(file, text, 0);
  const examples: DocExample[] = [];
  for (const comment of text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const tag = comment[0].indexOf('@example');
    if (tag < 0) continue;
    const before = text.slice(0, comment.index + tag).split('\n').length - 1;
    const body = comment[0].slice(tag).replace(/^[ \t]*\*(?:\/| ?)/gm, '');
    examples.push(...blocksOf(file, body, before));
  }
  return examples;
}

/** Runs one example; rejects when it throws. */
export async function runDocExample(example: DocExample): Promise<void> {
  const folder = join(root, 'build/doc-examples');
  mkdirSync(folder, { recursive: true });
  const { outputText } = ts.transpileModule(example.code, {
    fileName: example.name,
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
  });
  const path = join(folder, `${example.name.replace(/[^\w.]+/g, '-')}.mjs`);
  writeFileSync(path, outputText);
  await import(`${pathToFileURL(path).href}?at=${statSync(path).mtimeMs}`);
}

/** The `.ts` files directly in or below a folder of the checkout. */
export function sourcesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** One assertion per example of the files; files without any are fine, no example at all is a failure. */
export async function testDocExamples(t: Test, files: readonly string[]): Promise<void> {
  const examples = files.flatMap(docExamples);
  t.ok(examples.length > 0, `${examples.length} examples are found`);
  for (const example of examples) {
    await t.resolves(runDocExample(example), `the example at ${example.name} runs`);
  }
}

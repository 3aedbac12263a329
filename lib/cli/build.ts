// `node-vpp build`: compiles the addon from the sources in the package, with native/build.mjs. For platforms without a
// prebuilt binary, or with an older glibc than it wants; in a checkout it does what `npm run build` does natively.

import type { Command } from 'commander';
import { fileURLToPath } from 'node:url';
import { NativeError } from '../errors.js';
import { native } from '../native.js';

/** native/build.mjs, plain JavaScript because it runs before anything is compiled. */
interface Builder {
  buildAddon: (options: { rebuild: boolean; quiet: boolean }) => Promise<string>;
}

/** Adds `build` to the command. */
export function register(program: Command): void {
  program
    .command('build')
    .description('compile the native addon from the sources in the package')
    .option('--rebuild', 'start from nothing', false)
    .option('--verbose', 'show what node-gyp does', false)
    .action(build);
}

async function build({ rebuild, verbose }: { rebuild: boolean; verbose: boolean }): Promise<void> {
  const script = new URL('../../native/build.mjs', import.meta.url);
  const { buildAddon } = (await import(script.href)) as Builder;
  let path: string;
  try {
    path = await buildAddon({ rebuild, quiet: !verbose });
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : String(cause);
    throw new NativeError(
      'ERR_VPP_NATIVE_BUILD',
      `compiling the addon in ${fileURLToPath(new URL('../..', import.meta.url))}: ${seen}`,
      { cause },
    );
  }
  console.log(`built ${path}; version ${native().version} loads`);
}

// The releases that come with the package, in compact form below lib/api/schema/data: one file per release, made by
// tools/compact-schemas.mjs from the .api.json files of that release.

import { existsSync, readFileSync } from 'node:fs';

import { ArgumentRangeError, VppSchemaError } from '../../errors.js';
import { readCompact } from './compact.js';
import type { Schema } from './schema.js';

/** The bundled releases of VPP, oldest first. */
export const bundledReleases = ['24.10', '25.10', '26.06'] as const;

/** A release of VPP whose messages come with the package. */
export type BundledRelease = (typeof bundledReleases)[number];

/** The newest bundled release. */
export const newestRelease = '26.06' satisfies BundledRelease;

const loaded = new Map<BundledRelease, Schema>();

/**
 * The schema of a bundled release: read at the first call (some milliseconds), then kept; its definitions are parsed
 * when they are asked for.
 *
 * @throws {ArgumentRangeError} when that release is not bundled
 */
export function loadBundled(release: BundledRelease): Schema {
  const known = loaded.get(release);
  if (known !== undefined) return known;
  if (!bundledReleases.includes(release)) {
    throw new ArgumentRangeError(
      `cannot load the schema of VPP ${release as string}: bundled are ${bundledReleases.join(', ')}; read others with readApiJson`,
    );
  }
  const schema = readCompact(readData(`${release}.txt`));
  loaded.set(release, schema);
  return schema;
}

let dataFolder: URL | undefined;

/** lib/api/schema/data: in the checkout and in the package alike, but this code may be in a bundle at another depth. */
function findData(): URL {
  const above = ['../', '../../', '../../../'].map((up) => new URL(`${up}lib/api/schema/data/`, import.meta.url));
  return above.find((url) => existsSync(url)) ?? above[0]!;
}

/** Reads a file of lib/api/schema/data. */
export function readData(name: string): string {
  dataFolder ??= findData();
  const url = new URL(name, dataFolder);
  try {
    return readFileSync(url, 'latin1');
  } catch (error) {
    throw new VppSchemaError(
      `cannot read the bundled schema ${name}: is the package complete? ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
}

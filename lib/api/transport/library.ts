// Where VPP's own client library is, and whether it is the one for a VPP.
//
//   libraryPath  ->  $VPP_LIB_DIR  ->  the loader's path (packages of VPP install there)
//   each: libvppapiclient.so.<version of the running VPP>, then libvppapiclient.so
//
// A library knows the layout of its own VPP's shared memory only, so that one of another version is refused: what it
// would do is write over VPP's memory.

import { join } from 'node:path';
import { VppConnectionError } from '../../errors.js';
import { native } from '../../native.js';

/** A loaded library. */
export interface ClientLibrary {
  readonly path: string;
  /** `26.06`, from its file name; undefined when the name does not say. */
  readonly version: string | undefined;
}

/** `26.06` of `26.06-rc0~12-gabcdef`; undefined when it does not begin like a version. */
export function releaseOf(version: string): string | undefined {
  return /^v?(\d+\.\d+)/.exec(version)?.[1];
}

/** Where the library of a VPP is looked for, in order. */
export function libraryCandidates(
  vppVersion: string,
  libraryPath: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  if (libraryPath !== undefined) return [libraryPath];
  const release = releaseOf(vppVersion);
  const names = [...(release === undefined ? [] : [`libvppapiclient.so.${release}`]), 'libvppapiclient.so'];
  const folder = environment['VPP_LIB_DIR'];
  const inFolder = folder === undefined || folder === '' ? [] : names.map((name) => join(folder, name));
  return [...inFolder, ...names];
}

/**
 * Loads the library for a VPP.
 *
 * @throws VppConnectionError ERR_VPP_SHM_LIBRARY, ERR_VPP_SHM_VERSION
 */
export function loadLibrary(vppVersion: string, libraryPath: string | undefined): ClientLibrary {
  const candidates = libraryCandidates(vppVersion, libraryPath);
  const { path, failure } = native().loadVppApi(candidates);
  if (path === undefined) {
    throw new VppConnectionError(
      'ERR_VPP_SHM_LIBRARY',
      `loading VPP's client library: ${failure?.text ?? 'failed'}; install VPP's packages on this machine (libvppinfra and ` +
        'vpp hold it), or name it with libraryPath or VPP_LIB_DIR',
    );
  }
  const version = /\.so\.(\d+\.\d+)/.exec(path)?.[1];
  const release = releaseOf(vppVersion);
  if (version !== undefined && release !== undefined && version !== release) {
    throw new VppConnectionError(
      'ERR_VPP_SHM_VERSION',
      `${path} is the client library of VPP ${version}, and the VPP that runs is ${vppVersion}; name the one of its own ` +
        'version (a process that has loaded another needs a restart)',
    );
  }
  return { path, version };
}

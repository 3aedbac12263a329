// The options that every `node-vpp memif` command has, and the interface they open.
//
// A secret never stands on the command line, where every user of the machine can read it: it comes from a file or from
// the environment.

import { type Command, InvalidArgumentError, Option } from 'commander';
import { readFileSync, statSync } from 'node:fs';
import { type Memif, type MemifMode, type MemifRole, type RxMode, openMemif } from '../../memif/index.js';
import { wholeNumber } from '../arguments.js';

/** Name of the environment variable that may hold the secret. */
const secretVariable = 'NODE_VPP_MEMIF_SECRET';

/** What commander makes of the common options. */
export interface InterfaceFlags {
  role?: MemifRole;
  id: number;
  mode: MemifMode;
  secretFile?: string;
  name?: string;
  queues?: number;
  ringSize: number;
  bufferSize: number;
  rxMode: RxMode;
  allowUnsealed?: boolean;
  fileMode?: number;
  json?: boolean;
}

/** Adds the common options to a subcommand; those of one role are left out where the role is fixed. */
export function addInterfaceOptions(command: Command, fixed?: MemifRole): Command {
  const octal = (text: string): number => {
    if (/^[0-7]{3,4}$/.test(text)) return parseInt(text, 8);
    throw new InvalidArgumentError('Permission bits in octal are needed, such as 0660.');
  };
  const from = (text: string, flags: string, choices: readonly string[], value: string): Option =>
    new Option(flags, text).choices(choices).default(value);
  if (fixed === undefined) command.addOption(from('which end to be', '--role <role>', ['client', 'server'], 'client'));
  command
    .option('--id <number>', 'interface id on the socket', wholeNumber(0, 0xffffffff), 0)
    .addOption(from('what a packet begins with', '--mode <mode>', ['ethernet', 'ip'], 'ethernet'))
    .option('--secret-file <file>', `file whose first line is the secret (or set ${secretVariable})`)
    .option('--name <name>', 'our interface name, shown to the peer')
    .option('--queues <number>', 'queues each way', wholeNumber(1, 255))
    .addOption(from('how to wait for packets', '--rx-mode <mode>', ['interrupt', 'adaptive', 'polling'], 'interrupt'));
  if (fixed !== 'server') {
    command
      .option('--ring-size <entries>', 'entries of each ring, a power of two (client)', wholeNumber(2, 16384), 1024)
      .option('--buffer-size <bytes>', 'bytes of each packet buffer (client)', wholeNumber(64, 65535), 2048);
  }
  if (fixed !== 'client') {
    command
      .option('--allow-unsealed', 'accept memory that its owner can shrink (server)')
      .option('--file-mode <bits>', 'permission bits of the socket file, in octal (server)', octal);
  }
  return command.option('--json', 'one JSON object per line');
}

/** The secret from the file or the environment; a readable-by-all file is said on standard error. */
function secretOf(flags: InterfaceFlags): string | undefined {
  if (flags.secretFile === undefined) return process.env[secretVariable];
  if ((statSync(flags.secretFile).mode & 0o004) !== 0) {
    console.error(
      `node-vpp: every user can read the secret in ${flags.secretFile}; run: chmod 600 ${flags.secretFile}`,
    );
  }
  return readFileSync(flags.secretFile, 'utf8').split(/\r?\n/, 1)[0]!;
}

/** Opens the interface that a command line describes. */
export function openFrom(socket: string, flags: InterfaceFlags, fixed?: MemifRole): Memif {
  const role = fixed ?? flags.role ?? 'client';
  const secret = secretOf(flags);
  const { id, mode, name, queues, rxMode, fileMode } = flags;
  return openMemif({
    socket,
    role,
    id,
    mode,
    rxMode,
    ...(secret === undefined ? {} : { secret }),
    ...(name === undefined ? {} : { name }),
    ...(queues === undefined ? {} : { queues: { rx: queues, tx: queues } }),
    ...(role === 'client' ? { ringSize: flags.ringSize, bufferSize: flags.bufferSize } : {}),
    ...(role === 'server' && flags.allowUnsealed === true ? { allowUnsealed: true } : {}),
    ...(role === 'server' && fileMode !== undefined ? { fileMode } : {}),
  });
}

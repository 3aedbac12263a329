// One scheduler at a time: a lock file that names its holder by process id and start time, so that the lock of a process
// that was killed is seen to be nobody's, even if its id has been given to another since. Its holder keeps it open: where
// it names this process, that tells a lock of another thread from one that a terminated thread has left.
//
//   lock.<pid>-<thread>-<n>.new  --link-->  lock          it is there with what it says, or it is not there
//   lock, of nobody              --lock.<what it says>--> removed, by the one who holds that second lock
//
// Invariant: a lock is removed by its holder, or by the one process that has seen it to be nobody's while no other may remove
// it; never because of what it said before.

import { createHash } from 'node:crypto';
import { link, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { JournalError } from '../errors.js';

/** Names a running process beyond doubt, or undefined if there is none with this id. */
async function processName(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // Field 22, counted behind the command in brackets, which may itself contain spaces and brackets.
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''}`;
  } catch {
    return undefined;
  }
}

/** Whether some thread of this process has a file open. */
async function isOpenHere(file: string): Promise<boolean> {
  const wanted = await stat(file).catch(() => undefined);
  if (wanted === undefined) return false;
  for (const fd of await readdir('/proc/self/fd')) {
    const other = await stat(`/proc/self/fd/${fd}`).catch(() => undefined);
    if (other?.ino === wanted.ino && other.dev === wanted.dev) return true;
  }
  return false;
}

/** Gives a lock back. */
type Release = () => Promise<void>;

let files = 0;

/** Makes the lock file, whole from the beginning; undefined: there is one. */
async function make(file: string, mine: string): Promise<Release | undefined> {
  files += 1;
  const fresh = `${file}.${process.pid}-${threadId}-${files}.new`;
  const handle = await open(fresh, 'wx', 0o600);
  try {
    await handle.writeFile(mine);
    await link(fresh, file);
  } catch (error) {
    await handle.close();
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    await rm(fresh, { force: true });
  }
  return async () => {
    await rm(file, { force: true });
    await handle.close();
  };
}

/** Who holds a lock, for people; undefined: nobody. */
async function holderOf(file: string, said: string, mine: string): Promise<string | undefined> {
  if (said === mine || said === '') {
    return (await isOpenHere(file)) ? `${process.pid} (this one, in another thread)` : undefined;
  }
  const pid = Number.parseInt(said, 10);
  return pid > 0 && (await processName(pid)) === said ? String(pid) : undefined;
}

/** Takes a lock, or says who has it. */
async function take(file: string, mine: string): Promise<Release | string> {
  const read = (): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined);
  for (;;) {
    const release = await make(file, mine);
    if (release !== undefined) return release;
    const said = await read();
    if (said === undefined) continue;
    const holder = await holderOf(file, said, mine);
    if (holder !== undefined) return holder;
    // Nobody's. Of those who find it so one at a time may look again and remove it, and nobody else ever does.
    const mark = createHash('sha256').update(said).digest('hex').slice(0, 16);
    const remover = await take(`${file}.${mark}`, mine);
    if (typeof remover === 'string') {
      await sleep(5);
      continue;
    }
    try {
      if ((await read()) === said && (await holderOf(file, said, mine)) === undefined) await rm(file, { force: true });
    } finally {
      await remover();
    }
  }
}

/** Removes what processes have left that were killed between making a lock file and linking it. */
async function sweep(file: string): Promise<void> {
  for (const name of await readdir(dirname(file))) {
    if (!name.startsWith(`${basename(file)}.`)) continue;
    const pid = /\.(\d+)-\d+-\d+\.new$/.exec(name)?.[1];
    if (pid === undefined || (await processName(Number(pid))) !== undefined) continue;
    await rm(join(dirname(file), name), { force: true });
  }
}

const held = new Set<string>();

/** Takes the lock, or throws ERR_SCHEDULER_JOURNAL_LOCKED. The answer gives it back. */
export async function lock(file: string, path: string): Promise<() => Promise<void>> {
  const refuse = (holder: string): never => {
    throw new JournalError(
      'ERR_SCHEDULER_JOURNAL_LOCKED',
      `opening the journal ${path}: process ${holder} has it open; a journal has one scheduler`,
      path,
    );
  };
  if (held.has(file)) refuse(`${process.pid} (this one)`);
  held.add(file);
  try {
    const mine = (await processName(process.pid)) ?? String(process.pid);
    const release = await take(file, mine);
    if (typeof release === 'string') return refuse(release);
    await sweep(file);
    return async () => {
      held.delete(file);
      await release();
    };
  } catch (error) {
    held.delete(file);
    throw error;
  }
}

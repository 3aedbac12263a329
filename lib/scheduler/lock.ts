// One scheduler at a time: a lock file that names its holder by process id and start time, so that the lock of a process
// that was killed is seen to be nobody's, even if its id has been given to another since. Its holder keeps it open: where
// it names this process, that tells a lock of another thread from one that a terminated thread has left.

import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
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
    for (;;) {
      try {
        const handle = await open(file, 'wx', 0o600);
        await handle.writeFile(mine).catch(async (error: unknown) => {
          await handle.close();
          await rm(file, { force: true });
          throw error;
        });
        return async () => {
          held.delete(file);
          await rm(file, { force: true });
          await handle.close();
        };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = await readFile(file, 'utf8').catch(() => '');
      const pid = Number.parseInt(holder, 10);
      if ((holder === mine || holder === '') && (await isOpenHere(file)))
        refuse(`${process.pid} (this one, in another thread)`);
      if (holder !== mine && pid > 0 && (await processName(pid)) === holder) refuse(holder.split(' ')[0]!);
      // Nobody's: move it away first, so that of two who find it so only one removes it.
      const stale = `${file}.${process.pid}`;
      await rename(file, stale).catch(() => undefined);
      await rm(stale, { force: true });
    }
  } catch (error) {
    held.delete(file);
    throw error;
  }
}

/**
 * One writer per file: a lock file beside it that holds the process id of its writer. A lock whose process is gone
 * (killed, or before a reboot) is taken over. Weakness: two processes that take over the same stale lock in the same
 * instant may both succeed; it guards against a second start by hand, not against an attack.
 *
 * @module
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Fault } from '../../faults.ts';

/** Locks of this process: its own id in a lock file may also be left from an earlier process, as in containers. */
const held = new Set<string>();

const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM'; // it lives, and belongs to someone else
  }
};

/** The process that writes a file, if one does. */
export async function writerOf(path: string): Promise<number | undefined> {
  const pid = Number.parseInt(await readFile(`${path}.lock`, 'utf8').catch(() => ''), 10);
  return pid > 0 && isAlive(pid) ? pid : undefined;
}

/** @param path absolute. @returns releases the lock. @throws {Fault} JOURNAL_LOCKED */
export async function lockFile(path: string): Promise<() => Promise<void>> {
  const lock = `${path}.lock`;
  const refuse = (owner: string): never => {
    throw new Fault('JOURNAL_LOCKED', `${owner} is writing ${path}; stop it, or delete ${lock} if it is not Murmur`);
  };
  if (held.has(lock)) refuse('this process');
  held.add(lock);
  try {
    await create(lock, refuse);
  } catch (error) {
    held.delete(lock);
    throw error;
  }
  return async () => {
    await rm(lock, { force: true });
    held.delete(lock);
  };
}

async function create(lock: string, refuse: (owner: string) => never): Promise<void> {
  const content = `${process.pid}\n`;
  try {
    await writeFile(lock, content, { flag: 'wx' });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const pid = Number.parseInt(await readFile(lock, 'utf8'), 10);
    if (pid > 0 && pid !== process.pid && isAlive(pid)) refuse(`process ${pid}`);
    await rm(lock, { force: true });
    await writeFile(lock, content, { flag: 'wx' });
  }
}

/**
 * What the system says when it will not read or write a file, as a fault that names the file and the remedy.
 *
 * @module
 */
import { Fault } from '../../faults.ts';

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'may not be used by this user; check its permissions',
  EDQUOT: 'does not fit into the quota of this user; make room, and repeat the command',
  EFBIG: 'may not grow further; raise the limit of file sizes, and repeat the command',
  EISDIR: 'is a folder; name a file',
  EMFILE: 'is one open file too many; raise the limit of open files',
  ENOSPC: 'does not fit on the disk; make room, and repeat the command',
  ENOTDIR: 'is no path here: a part of it is a file; name another',
  EPERM: 'may not be used by this user; check its permissions',
  EROFS: 'is on a disk that cannot be written; name another folder',
};

/** @param path where the error names none. @returns undefined for any other error. */
export function fileRefusal(error: unknown, path = 'a file'): Fault | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code = '', path: named = path } = error as NodeJS.ErrnoException;
  const words = Object.hasOwn(WORDS, code) ? WORDS[code] : undefined;
  return words === undefined ? undefined : new Fault('FILE_REFUSED', `${named} ${words}`, { cause: error });
}

/**
 * A child process under a memory limit that the kernel enforces: a control group of its own, which takes root on Linux.
 * Pages of files that the process read count, but are given up before anything is refused.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const V2 = '/sys/fs/cgroup';
const V1 = '/sys/fs/cgroup/memory';

/** Where limits are written: version 2 of control groups, or 1. */
const KINDS = [
  { folder: V2, when: () => /\bmemory\b/.test(read(`${V2}/cgroup.subtree_control`)), limit: 'memory.max' },
  { folder: V1, when: () => existsSync(`${V1}/memory.limit_in_bytes`), limit: 'memory.limit_in_bytes' },
];

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');

/**
 * @param bytes that processes of the group may have together.
 * @returns words to put before a command, and what takes the group away; undefined where no limit can be set.
 */
export function memoryCap(bytes) {
  const kind = KINDS.find(({ when }) => when());
  if (!kind) return undefined;
  const folder = join(kind.folder, `murmur-bench-${process.pid}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, kind.limit), String(bytes));
  } catch {
    return undefined;
  }
  const enter = `echo $$ > ${join(folder, 'cgroup.procs')} && exec "$@"`;
  return { words: ['/bin/sh', '-c', enter, 'sh'], remove: () => rmdirSync(folder) };
}

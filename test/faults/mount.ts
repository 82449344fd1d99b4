/** Small disks of their own, where the system lets us have them. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const mount = (options: string, folder: string): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status === 0;
const unmount = (folder: string): boolean => spawnSync('umount', ['-l', folder]).status === 0;

export function canMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-mount-'));
  try {
    return mount('size=64k', folder) && unmount(folder);
  } finally {
    rmdirSync(folder);
  }
}

export interface Disk {
  readonly folder: string;
  /** With other options: a size, `ro`. */
  remount(options: string): void;
}

/** A disk of so many kB, until the test is over. */
export function disk(kilobytes: number): Disk {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-disk-'));
  mount(`size=${kilobytes}k`, folder);
  onTestFinished(() => {
    unmount(folder);
    rmdirSync(folder);
  });
  return { folder, remount: (options) => void spawnSync('mount', ['-o', `remount,${options}`, folder]) };
}

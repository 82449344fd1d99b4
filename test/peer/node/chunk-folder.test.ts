import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { chunkFolder } from '../../../src/peer/node/chunk-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'murmur-chunks-')), 'offers');
});
afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }));

const nameOf = (number: number): string => number.toString(16).padStart(64, '0');
const [A, B, C] = [nameOf(10), nameOf(11), nameOf(12)];
const bytesOf = (value: number, length = 1000): Uint8Array => new Uint8Array(length).fill(value);

/** Files of the folder that this process has open. Linux alone tells. */
async function openFiles(): Promise<string[]> {
  const handles = await readdir('/proc/self/fd');
  const targets = await Promise.all(handles.map((fd) => readlink(join('/proc/self/fd', fd)).catch(() => '')));
  return targets.filter((target) => target.startsWith(folder));
}
const onLinux = test.skipIf(process.platform !== 'linux');

test('what was put is there, as it was, and what was not is not', async () => {
  const store = await chunkFolder(folder);
  expect([store.has(A), await store.get(A)]).toEqual([false, undefined]);
  await store.put(A, bytesOf(1));
  await store.put(B, bytesOf(2, 0));
  expect([store.has(A), store.has(B), store.has(C)]).toEqual([true, true, false]);
  expect(await store.get(A)).toEqual(bytesOf(1));
  expect(await store.get(B)).toEqual(new Uint8Array(0));
  expect((await readdir(folder)).sort()).toEqual([A, B]);
  await store.sync();
});

test('what is given out is a copy of its own', async () => {
  const store = await chunkFolder(folder);
  await store.put(A, bytesOf(1));
  await store.sync();
  (await store.get(A))!.fill(9);
  expect(await store.get(A)).toEqual(bytesOf(1));
});

test('what is put again is not written again', async () => {
  const store = await chunkFolder(folder);
  await store.put(A, bytesOf(1));
  await store.put(A, bytesOf(2));
  await store.sync();
  await store.put(A, bytesOf(3));
  expect(await store.get(A)).toEqual(bytesOf(1));
});

test('what was dropped is gone, also from the disk, and may be put again', async () => {
  const store = await chunkFolder(folder);
  await store.put(A, bytesOf(1));
  await store.sync();
  await store.put(B, bytesOf(2));
  await store.drop(A);
  await store.drop(B);
  await store.drop(C);
  expect([store.has(A), store.has(B), await store.get(A), await store.get(B)]).toEqual([
    false,
    false,
    undefined,
    undefined,
  ]);
  expect(await readdir(folder)).toEqual([]);
  await store.put(A, bytesOf(3));
  expect(await store.get(A)).toEqual(bytesOf(3));
  await store.sync();
});

describe('handles', () => {
  onLinux('are open until a chunk is synced', async () => {
    const store = await chunkFolder(folder);
    await store.put(A, bytesOf(1));
    await store.put(B, bytesOf(2));
    expect((await openFiles()).sort()).toEqual([join(folder, A), join(folder, B)]);
    await store.sync();
    expect(await openFiles()).toEqual([]);
    await store.sync();
  });

  onLinux('of a chunk that is dropped before that are closed', async () => {
    const store = await chunkFolder(folder);
    await store.put(A, bytesOf(1));
    await store.drop(A);
    expect(await openFiles()).toEqual([]);
    await store.sync();
  });

  onLinux('of a chunk that is dropped while it is written or synced as well', async () => {
    const store = await chunkFolder(folder);
    const put = store.put(A, bytesOf(1, 1_000_000));
    await Promise.all([put, store.drop(A)]);
    await store.put(B, bytesOf(2, 1_000_000));
    await Promise.all([store.sync(), store.drop(B)]);
    expect([store.has(A), store.has(B)]).toEqual([false, false]);
    expect(await readdir(folder)).toEqual([]);
    expect(await openFiles()).toEqual([]);
  });

  onLinux('are one for a chunk that two put at the same time', async () => {
    const store = await chunkFolder(folder);
    await Promise.all([store.put(A, bytesOf(1)), store.put(A, bytesOf(1)), store.put(A, bytesOf(1))]);
    expect(await openFiles()).toEqual([join(folder, A)]);
    await store.sync();
    expect(await openFiles()).toEqual([]);
    expect(await store.get(A)).toEqual(bytesOf(1));
  });

  onLinux('are closed when a second sync resolves that began during a first', async () => {
    const store = await chunkFolder(folder);
    await store.put(A, bytesOf(1, 4_000_000));
    const first = store.sync();
    await store.sync();
    expect(await openFiles()).toEqual([]);
    await first;
  });
});

describe('a folder that is opened again', () => {
  test('has what was synced', async () => {
    const before = await chunkFolder(folder);
    await before.put(A, bytesOf(1));
    await before.put(B, bytesOf(2));
    await before.sync();
    await before.drop(B);
    const store = await chunkFolder(folder);
    expect([store.has(A), store.has(B)]).toEqual([true, false]);
    expect(await store.get(A)).toEqual(bytesOf(1));
    await store.drop(A);
    expect(await readdir(folder)).toEqual([]);
  });

  test('files of others are ignored, and left alone', async () => {
    await chunkFolder(folder);
    const foreign = ['notes.txt', A.slice(1), `${A}0`, A.toUpperCase(), `${A}.part`];
    for (const name of foreign) await writeFile(join(folder, name), name);
    const store = await chunkFolder(folder, new Set());
    for (const name of foreign)
      expect([name, store.has(name), await store.get(name)]).toEqual([name, false, undefined]);
    expect((await readdir(folder)).sort()).toEqual([...foreign].sort());
    expect(await readFile(join(folder, 'notes.txt'), 'utf8')).toBe('notes.txt');
  });

  test('a file that a crash tore is written again when it is put', async () => {
    await chunkFolder(folder);
    await writeFile(join(folder, A), bytesOf(1).subarray(0, 10));
    await writeFile(join(folder, B), bytesOf(2));
    const store = await chunkFolder(folder);
    await store.put(A, bytesOf(1));
    await store.put(B, bytesOf(2));
    await store.sync();
    expect(await store.get(A)).toEqual(bytesOf(1));
    expect(await store.get(B)).toEqual(bytesOf(2));
  });

  test('what nobody wants any more is removed', async () => {
    const before = await chunkFolder(folder);
    for (const [i, name] of [A, B, C].entries()) await before.put(name, bytesOf(i));
    await before.sync();
    const store = await chunkFolder(folder, new Set([B, nameOf(99)]));
    expect([A, B, C, nameOf(99)].map((name) => store.has(name))).toEqual([false, true, false, false]);
    expect(await readdir(folder)).toEqual([B]);
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { openFileStore } from '../../src/peer/node/store.ts';
import { storeSuite } from '../suites/store.ts';

let folder: string;
let count = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'murmur-store-'));
});
afterAll(() => rm(folder, { recursive: true }));
const fresh = () => join(folder, `${count++}`, 'journal.bin');

storeSuite('memory', async () => {
  const store = memoryStore();
  return { store, reopen: async () => store.crash() };
});

storeSuite('file', async () => {
  const path = fresh();
  return { store: await openFileStore(path), reopen: () => openFileStore(path) };
});

describe('a memory store', () => {
  test('loses on a crash what was not synced, or only a tail of it', async () => {
    for (const kept of [0, 1, 2]) {
      const store = memoryStore();
      await store.append(Uint8Array.of(1, 2));
      await store.sync();
      await store.append(Uint8Array.of(3, 4));
      const after = store.crash(kept);
      expect([...(await after.read())]).toEqual([1, 2, 3, 4].slice(0, 2 + kept));
      await expect(store.read()).rejects.toThrow();
    }
  });
});

describe('a file store', () => {
  const stopped: ChildProcess[] = [];
  afterAll(() => stopped.forEach((child) => void child.kill('SIGKILL')));
  /** Another process, alive until it is killed. */
  const process = async () => {
    const child = spawn(globalThis.process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)']);
    stopped.push(child);
    await once(child.stdout, 'data');
    return child;
  };

  test('has one writer: a second in this process is refused until the first closes', async () => {
    const path = fresh();
    const store = await openFileStore(path);
    await expect(openFileStore(path)).rejects.toMatchObject({ code: 'JOURNAL_LOCKED' });
    await store.close();
    expect(existsSync(`${path}.lock`)).toBe(false);
    await (await openFileStore(path)).close();
  });

  test('is refused while another process lives, and taken over once that was killed', async () => {
    const path = fresh();
    await (await openFileStore(path)).close();
    const other = await process();
    await writeFile(`${path}.lock`, `${other.pid}\n`);
    const refusal = await openFileStore(path).catch((error: Error) => error);
    expect(refusal).toMatchObject({ code: 'JOURNAL_LOCKED' });
    expect((refusal as Error).message).toContain(`process ${other.pid} is writing ${path}`);
    other.kill('SIGKILL');
    await once(other, 'exit');
    const store = await openFileStore(path);
    expect(await readFile(`${path}.lock`, 'utf8')).toBe(`${globalThis.process.pid}\n`);
    await store.close();
  });

  test('a lock that an earlier process with our id left, or that was never filled, is taken over', async () => {
    for (const content of [`${globalThis.process.pid}\n`, '']) {
      const path = fresh();
      await (await openFileStore(path)).close();
      await writeFile(`${path}.lock`, content);
      await (await openFileStore(path)).close();
    }
  });
});

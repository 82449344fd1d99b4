import { describe, expect, test } from 'vitest';
import { openJournal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import type { Entry } from '../../src/nouns.ts';
import { type MemoryStore, memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import type { Store } from '../../src/ports.ts';
import { bytesFrom, ENTRIES, journalOf, MANIFEST, SECRET } from './fixture.ts';

const open = (store: Store) => openJournal(store, nodeCrypto, SECRET);
const entriesOf = async (store: Store) => (await open(store)).records.map(({ entry }) => entry);
const digest: Entry = { type: 'digest', round: 2, root: bytesFrom(7, 32) };

describe('the journal on a store', () => {
  test('what append resolved to survives a crash, whatever part of the next append does', async () => {
    for (let done = 1; done < ENTRIES.length; done++) {
      const whole = await journalOf(ENTRIES.slice(0, done + 1));
      const { length } = await journalOf(ENTRIES.slice(0, done));
      for (const kept of [0, 1, 7, 8, 9, 40, whole.length - length - 1, whole.length - length]) {
        const store = memoryStore();
        const journal = await open(store);
        await journal.appendAll(ENTRIES.slice(0, done));
        await store.append(whole.subarray(length));
        const after = store.crash(kept);
        const reopened = await open(after);
        const all = kept === whole.length - length;
        expect(reopened.records.length, `${done} ${kept}`).toBe(all ? done + 1 : done);
        expect(reopened.cut).toBe(all ? 0 : kept);
        await reopened.append(all ? (ENTRIES[done + 1] ?? digest) : ENTRIES[done]!);
        verifyJournal(await after.read(), nodeCrypto);
      }
    }
  });

  test('append waits for the sync', async () => {
    const inner = memoryStore();
    const log: string[] = [];
    const store: Store = {
      ...inner,
      append: (bytes) => inner.append(bytes).then(() => void log.push('append')),
      sync: () => inner.sync().then(() => void log.push('sync')),
    };
    const journal = await open(store);
    await journal.append(ENTRIES[0]!).then(() => log.push('done'));
    await journal.appendAll(ENTRIES.slice(1, 4)).then(() => log.push('done'));
    expect(log).toEqual(['append', 'sync', 'done', 'append', 'sync', 'done']);
  });

  test('appends that do not wait for each other keep their order', async () => {
    const store = memoryStore();
    const journal = await open(store);
    const written = await Promise.all(ENTRIES.map((entry) => journal.append(entry)));
    expect(written.map(({ index }) => index)).toEqual(ENTRIES.map((_, i) => i));
    expect(written.map(({ entry }) => entry)).toEqual(ENTRIES);
    await journal.close();
    expect(journal.records).toEqual(written);
  });

  test('the bytes do not depend on how entries are batched', async () => {
    const journal = await open(memoryStore());
    for (const entry of ENTRIES) await journal.append(entry);
    expect(await journal.read()).toEqual(await journalOf());
  });

  test('an entry that may not stand there is refused, its batch with it, and the next may come', async () => {
    const store = memoryStore();
    const journal = await open(store);
    await expect(journal.append(ENTRIES[1]!)).rejects.toMatchObject({ code: 'JOURNAL_ORDER' });
    await journal.append(ENTRIES[0]!);
    const before = await store.read();
    await expect(journal.appendAll([ENTRIES[1]!, ENTRIES[1]!])).rejects.toMatchObject({ code: 'JOURNAL_ORDER' });
    const long: Entry = { type: 'admit', slot: 0, key: new Uint8Array(32), name: 'x'.repeat(65) };
    await expect(journal.append(long)).rejects.toThrow(RangeError);
    expect(await store.read()).toEqual(before);
    expect(journal.records.length).toBe(1);
    await journal.appendAll(ENTRIES.slice(1));
    expect(await store.read()).toEqual(await journalOf());
  });

  test.each(['append', 'sync'] as const)('a store that fails to %s leaves no half record behind', async (step) => {
    const inner = memoryStore();
    let fails = 0;
    const store: Store = {
      ...inner,
      async append(bytes) {
        await inner.append(step === 'append' && fails > 0 ? bytes.subarray(0, 30) : bytes);
        if (step === 'append' && fails-- > 0) throw new RangeError('disk full');
      },
      async sync() {
        await inner.sync();
        if (step === 'sync' && fails-- > 0) throw new RangeError('disk full');
      },
    };
    const journal = await open(store);
    await journal.appendAll(ENTRIES.slice(0, 2));
    const before = await inner.read();
    fails = 1;
    await expect(journal.append(ENTRIES[2]!)).rejects.toThrow('disk full');
    expect(await inner.read()).toEqual(before);
    expect(journal.records.length).toBe(2);
    await journal.appendAll(ENTRIES.slice(2));
    expect(await inner.read()).toEqual(await journalOf());
  });

  test('when not even cutting back works, nothing more is written', async () => {
    const inner = memoryStore();
    let broken = false;
    const fail = async () => Promise.reject(new RangeError('disk gone'));
    const store: Store = {
      ...inner,
      append: (bytes) => (broken ? inner.append(bytes.subarray(0, 9)).then(fail) : inner.append(bytes)),
      truncate: (length) => (broken ? fail() : inner.truncate(length)),
    };
    const journal = await open(store);
    await journal.appendAll(ENTRIES.slice(0, 2));
    broken = true;
    await expect(journal.append(ENTRIES[2]!)).rejects.toThrow('disk gone');
    broken = false;
    await expect(journal.append(ENTRIES[2]!)).rejects.toThrow('disk gone');
    expect(await entriesOf(inner)).toEqual(ENTRIES.slice(0, 2));
  });

  test('another key neither begins nor resumes it', async () => {
    const stranger = bytesFrom(1, 32);
    const fresh = await openJournal(memoryStore(), nodeCrypto, stranger);
    await expect(fresh.append({ type: 'manifest', manifest: MANIFEST })).rejects.toThrow(/coordinator/);
    const store: MemoryStore = memoryStore(await journalOf());
    await expect(openJournal(store, nodeCrypto, stranger)).rejects.toMatchObject({ code: 'JOURNAL_FOREIGN' });
  });

  test('a damaged journal is refused on opening and left as it is', async () => {
    const damaged = (await journalOf()).with(40, 0xff);
    const store = memoryStore(damaged);
    await expect(open(store)).rejects.toMatchObject({ code: 'JOURNAL_CORRUPT' });
    expect(await store.read()).toEqual(damaged);
  });
});

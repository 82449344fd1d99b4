import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { openJournal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import { fromHex, toHex } from '../../src/numeric/bytes.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { make, plain } from '../golden/journal-v1/make.ts';
import { make as makeTakenBack } from '../golden/journal-v1-taken-back/make.ts';
import { SECRET } from './fixture.ts';

/** Folder → what made it. */
const MADE = { 'journal-v1': make, 'journal-v1-taken-back': makeTakenBack };

describe.each(Object.entries(MADE))('%s', (folder, remake) => {
  const golden = (name: string) => readFile(new URL(`../golden/${folder}/${name}`, import.meta.url));

  test('a journal of format version 1 reads today as it did when it was written', async () => {
    if (process.env['MAKE_GOLDEN'] === folder) await remake();
    const bytes = new Uint8Array(await golden('journal.bin'));
    const expected = JSON.parse(String(await golden('expected.json')));
    const { position, records } = verifyJournal(bytes, nodeCrypto, fromHex(expected.run));
    expect(toHex(position.head)).toBe(expected.head);
    expect(toHex(position.anchor)).toBe(expected.anchor);
    expect(position.length).toBe(expected.length);
    const read = records.map(({ offset, hash, entry }) => ({ offset, hash: toHex(hash), entry: plain(entry) }));
    expect(read).toEqual(expected.records);
  });

  test('a journal of format version 1 can be resumed, and its entries still encode to its bytes', async () => {
    const bytes = new Uint8Array(await golden('journal.bin'));
    const old = await openJournal(memoryStore(bytes), nodeCrypto, SECRET);
    await old.append({ type: 'digest', round: 1, root: new Uint8Array(32) });
    const store = memoryStore();
    const again = await openJournal(store, nodeCrypto, SECRET);
    await again.appendAll(old.records.slice(0, -1).map(({ entry }) => entry));
    expect(await store.read()).toEqual(bytes);
  });
});

import { describe, expect, test } from 'vitest';
import { partingOf } from '../../src/journal/fork.ts';
import { openJournal } from '../../src/journal/journal.ts';
import { type JournalRecord, verifyJournal } from '../../src/journal/reader.ts';
import { journalMessage, signatureOf } from '../../src/journal/record.ts';
import type { Entry } from '../../src/nouns.ts';
import { fromHex } from '../../src/numeric/bytes.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { contributionMessage } from '../../src/wire/signed.ts';
import { ENTRIES, MANIFEST, SECRET } from './fixture.ts';

/** A copy of the journal that the coordinator signed, as somebody has verified it. */
async function signed(entries: readonly Entry[]) {
  const journal = await openJournal(memoryStore(), nodeCrypto, SECRET);
  for (const entry of entries) await journal.append(entry);
  const { records } = verifyJournal(await journal.read(), nodeCrypto);
  return { records, position: journal.position };
}
const admit = (slot: number, name: string): Entry => ({
  type: 'admit',
  slot,
  key: new Uint8Array(32).fill(slot + 7),
  name,
});
const manifest: Entry = { type: 'manifest', manifest: MANIFEST };
const history = (...names: readonly string[]): Entry[] => [manifest, ...names.map((name, slot) => admit(slot, name))];

describe('two copies of one journal', () => {
  test('agree where one continues the other', async () => {
    const { records } = await signed(ENTRIES);
    for (let length = 1; length <= records.length; length++) {
      expect(partingOf(records, records.slice(0, length))).toBeUndefined();
      expect(partingOf(records.slice(0, length), records)).toBeUndefined();
    }
  });

  test.each([1, 2, 3, 4, 5])(
    'that part at record %i are found out there, with two signatures that both verify',
    async (at) => {
      const names = ['a', 'b', 'c', 'd', 'e'];
      const one = (await signed(history(...names))).records;
      const two = (await signed(history(...names.with(at - 1, 'x'), 'f'))).records;
      expect(partingOf(one, two)).toBe(at);
      expect(partingOf(two, one)).toBe(at);
      const proves = ({ hash, bytes }: JournalRecord): boolean =>
        nodeCrypto.verify(fromHex(MANIFEST.coordinator), journalMessage(hash), signatureOf(bytes));
      expect([one[at]!, two[at]!].map(proves)).toEqual([true, true]);
      expect(one[at]!.hash).not.toEqual(two[at]!.hash);
    },
  );

  test('of two runs are not compared', async () => {
    const [one, two] = [
      await signed([manifest]),
      await signed([{ type: 'manifest', manifest: { ...MANIFEST, seed: 77 } }]),
    ];
    expect(() => partingOf(one.records, two.records)).toThrow(/^JOURNAL_FOREIGN/);
  });
});

test('what a peer signed in one history is no contribution in another', async () => {
  const peer = new Uint8Array(32).fill(9);
  const round = (code: number): Entry => ({
    type: 'round',
    round: {
      header: { round: 0, usable: 1, gain: 0.5, scale: MANIFEST.initial_scale, clip: 127 },
      segments: [{ slot: 0, from: 0, codes: Int8Array.of(code) }],
    },
  });
  const [shown, hidden] = [
    (await signed([...history('a'), round(3)])).position,
    (await signed([...history('a'), round(4)])).position,
  ];
  const codes = Int8Array.of(1, 2);
  const signature = nodeCrypto.sign(peer, contributionMessage(shown.run!, 1, shown.anchor, 0, codes));
  const holds = (anchor: Uint8Array): boolean =>
    nodeCrypto.verify(nodeCrypto.publicKey(peer), contributionMessage(shown.run!, 1, anchor, 0, codes), signature);
  expect([holds(shown.anchor), holds(hidden.anchor)]).toEqual([true, false]);
});

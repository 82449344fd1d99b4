/**
 * Made journal.bin and expected.json, once, when a journal of format version 1 could first take things back: entries of
 * types 8 and 9. They are never made again, as `../journal-v1`.
 *
 *     MAKE_GOLDEN=journal-v1-taken-back npx vitest run test/journal/golden.test.ts
 */
import { writeFile } from 'node:fs/promises';
import { readJournal } from '../../../src/journal/reader.ts';
import type { Entry } from '../../../src/nouns.ts';
import { toHex } from '../../../src/numeric/bytes.ts';
import { nodeCrypto } from '../../../src/peer/node/crypto.ts';
import { ENTRIES, journalOf } from '../../journal/fixture.ts';
import { plain } from '../journal-v1/make.ts';

/** Slot 0 was evicted after round 0; round 1 is made once more. */
const TAKEN_BACK: readonly Entry[] = [
  ...ENTRIES,
  { type: 'revoke', slot: 0, from: 0, to: 2 },
  { type: 'rewind', round: 1 },
  ENTRIES.find((entry) => entry.type === 'round' && entry.round.header.round === 1)!,
  { type: 'revoke', slot: 1, from: 1, to: 2 },
];

export async function make(): Promise<void> {
  const bytes = await journalOf(TAKEN_BACK);
  const { position, records } = readJournal(bytes, nodeCrypto);
  const expected = {
    run: toHex(position.run!),
    head: toHex(position.head),
    anchor: toHex(position.anchor),
    length: position.length,
    records: records.map(({ offset, hash, entry }) => ({ offset, hash: toHex(hash), entry: plain(entry) })),
  };
  await writeFile(new URL('journal.bin', import.meta.url), bytes);
  await writeFile(new URL('expected.json', import.meta.url), `${JSON.stringify(expected, null, 2)}\n`);
}

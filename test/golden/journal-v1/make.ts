/**
 * Made journal.bin and expected.json, once, with format version 1. They are never made again: a journal that was
 * written must stay readable. A new format gets a new folder, and this one stays.
 *
 *     MAKE_GOLDEN=journal-v1 npx vitest run test/journal/golden.test.ts
 */
import { writeFile } from 'node:fs/promises';
import { readJournal } from '../../../src/journal/reader.ts';
import { toHex } from '../../../src/numeric/bytes.ts';
import { nodeCrypto } from '../../../src/peer/node/crypto.ts';
import { journalOf } from '../../journal/fixture.ts';

/** Entries as JSON has them: bytes as hexadecimal text, codes as lists. */
export const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, part) =>
      part instanceof Uint8Array ? toHex(part) : part instanceof Int8Array ? [...part] : part,
    ),
  );

export async function make(): Promise<void> {
  const bytes = await journalOf();
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

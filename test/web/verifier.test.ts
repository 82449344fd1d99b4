import { describe, expect, test } from 'vitest';
import { journalStart, readJournal } from '../../src/journal/reader.ts';
import { crc32c } from '../../src/numeric/crc32c.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { verifiedReader } from '../../src/web/verifier.ts';
import { journalOf } from '../journal/fixture.ts';

describe('reading a journal', () => {
  const ways = [
    ['by WebCrypto', globalThis.crypto.subtle],
    ['without WebCrypto', undefined],
  ] as const;

  test.each(ways)('%s gives what the reader gives', async (_, subtle) => {
    const bytes = await journalOf();
    const read = await verifiedReader(subtle);
    expect(await read(bytes, journalStart())).toEqual(readJournal(bytes, nodeCrypto));
  });

  test.each(ways)('%s names the record whose signature is wrong, wherever that is', async (_, subtle) => {
    const read = await verifiedReader(subtle);
    const bytes = await journalOf();
    for (const { offset, bytes: record, index } of readJournal(bytes, nodeCrypto).records) {
      const forged = bytes.slice();
      // The last byte of the signature, and the checksum of the record made right again.
      const at = offset + record.length - 1;
      forged[at]! ^= 1;
      const content = forged.subarray(offset + 8, at + 1);
      new DataView(forged.buffer).setUint32(offset + 4, crc32c(content), true);
      await expect(read(forged, journalStart())).rejects.toThrow(`SIGNATURE_WRONG: record ${index} `);
    }
  });
});

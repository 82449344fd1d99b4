import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { journalStart, readJournal } from '../../src/journal/reader.ts';
import { crc32c } from '../../src/numeric/crc32c.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { verifiedReader, verifier } from '../../src/web/verifier.ts';
import { journalOf } from '../journal/fixture.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

test('hashes parts as node:crypto does', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (parts) => {
      expect(verifier.sha256(...parts)).toEqual(nodeCrypto.sha256(...parts));
    }),
  );
});

test('believes what node:crypto signed, and nothing else', () => {
  fc.assert(
    fc.property(bytes(32), fc.uint8Array({ minLength: 1 }), fc.nat({ max: 63 }), (secret, message, at) => {
      const key = nodeCrypto.publicKey(secret);
      const signature = nodeCrypto.sign(secret, message);
      expect(verifier.verify(key, message, signature)).toBe(true);
      expect(verifier.verify(key, Uint8Array.of(...message, 0), signature)).toBe(false);
      const damaged = signature.slice();
      damaged[at]! ^= 1;
      expect(verifier.verify(key, message, damaged)).toBe(false);
    }),
    { numRuns: 20 },
  );
});

test('a key or a signature of a wrong length is no exception but a no', () => {
  expect(verifier.verify(new Uint8Array(31), new Uint8Array(1), new Uint8Array(64))).toBe(false);
  expect(verifier.verify(new Uint8Array(32).fill(255), new Uint8Array(1), new Uint8Array(3))).toBe(false);
});

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

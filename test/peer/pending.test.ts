import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '../../src/numeric/bytes.ts';
import { encodeKept, readKept } from '../../src/peer/pending.ts';
import type { Kept } from '../../src/peer/state.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const contribution: fc.Arbitrary<Kept> = fc.record({
  slot: u32,
  round: u32,
  from: u32,
  signature: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  codes: fc.int8Array({ minLength: 1, maxLength: 20 }),
});
const some = fc.array(contribution, { minLength: 1, maxLength: 4 });
const fileOf = (kept: readonly Kept[]): Uint8Array => concatBytes(...kept.map(encodeKept));

describe('contributions of the open round', () => {
  test('are read as they were kept; one that was torn at the end is left out, wherever it was torn', () => {
    fc.assert(
      fc.property(
        some,
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        fc.nat(5000),
        (kept, at, zeros) => {
          expect(readKept(fileOf(kept))).toEqual(kept);
          const last = encodeKept(kept.at(-1)!);
          const torn = concatBytes(fileOf(kept.slice(0, -1)), last.subarray(0, Math.floor(at * last.length)));
          expect(readKept(torn)).toEqual(kept.slice(0, -1));
          // A file system may have made the file longer, and not have got to what it is to hold.
          expect(readKept(concatBytes(fileOf(kept), new Uint8Array(zeros)))).toEqual(kept);
        },
      ),
    );
  });

  test('are refused by name if one before the last does not decode any more', () => {
    fc.assert(
      fc.property(some, some, fc.integer({ min: 0x10100, max: 0xffffffff }), (before, behind, length) => {
        const bytes = fileOf([...before, ...behind]);
        new DataView(bytes.buffer).setUint32(fileOf(before).length, length, true);
        expect(() => readKept(bytes)).toThrow(
          expect.objectContaining({
            code: 'JOURNAL_CORRUPT',
            detail: expect.stringMatching(`contribution ${before.length} `),
          }),
        );
      }),
    );
  });
});

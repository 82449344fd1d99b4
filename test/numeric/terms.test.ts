/** Terms along one direction are one term: the same bits, and no more of them than directions. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DirectionKey } from '../../src/nouns.ts';
import type { Term } from '../../src/numeric/kernels.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { merged } from '../../src/numeric/terms.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { coefficient, integers, kind, rank } from './arbitrary.ts';

/** Few values of each word, so that keys meet, and differ in one word only. */
const few = fc.nat(1);
const key: fc.Arbitrary<DirectionKey> = fc.record(
  { round: few, run: fc.constant(5), sample: few, slot: few, columns: few },
  { requiredKeys: ['round', 'run', 'sample', 'slot'] },
);
const terms: fc.Arbitrary<Term[]> = fc.array(fc.record({ key, c: coefficient }), { maxLength: 60 });

test('merged or not, the same weights, through any wrap of the sums', async () => {
  const wasm = await wasmKernels({ bytes: 2 ** 16 });
  const q = wasm.i32(15 * 14);
  fc.assert(
    fc.property(terms, kind, rank, fc.integer(), (records, k, r, seed) => {
      const tensor = { id: 3, shape: [15, 14] };
      const expected = integers(q.length, seed);
      q.set(expected);
      const own = expected.slice();
      const sums = merged(records);
      referenceKernels().apply(expected, tensor, k, r, records);
      referenceKernels().apply(own, tensor, k, r, sums);
      wasm.apply(q, tensor, k, r, sums);
      expect(own).toEqual(expected);
      expect(q).toEqual(expected);
      const names = sums.map((term) => JSON.stringify({ ...term.key, columns: term.key.columns ?? term.key.round }));
      expect(new Set(names).size).toBe(sums.length);
    }),
  );
});

test('a record that is taken back leaves nothing', () => {
  fc.assert(
    fc.property(terms, (records) => {
      expect(merged([...records, ...records.map((term) => ({ ...term, c: -term.c }))])).toEqual([]);
    }),
  );
});

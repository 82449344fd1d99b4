/** Which direction a record measures. The vectors of golden.test.ts say which; here what they amount to. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { recordKey } from '../../src/apply/apply.ts';
import { POOL_SLOT } from '../../src/nouns.ts';
import { directionKey } from '../../src/numeric/names.ts';
import { rademacher } from '../../src/numeric/reference/direction.ts';
import { u32 } from './arbitrary.ts';

const RUN = 0x51ab_1e55;
const own = (round: number, record: number) => recordKey(RUN, round, record);

test('a record of its own direction is named as it always was', () => {
  fc.assert(
    fc.property(u32, u32, u32, (run, round, record) => {
      const key = recordKey(run, round, record);
      expect(directionKey({ direction: {} }, key)).toEqual(key);
    }),
  );
});

test('lazy: columns last for a window of rounds and are new in the next, rows are new in each', () => {
  const lazy = 3;
  const factor = (stream: 1 | 2, round: number) =>
    rademacher(directionKey({ direction: { lazy } }, own(round, 4)), stream, 0, 9, 128).join();
  for (const round of [0, 3, 6]) {
    expect(factor(2, round + 1)).toBe(factor(2, round));
    expect(factor(2, round + 2)).toBe(factor(2, round));
    expect(factor(2, round + 3)).not.toBe(factor(2, round));
    expect(new Set([0, 1, 2].map((k) => factor(1, round + k))).size).toBe(3);
  }
  const other = directionKey({ direction: { lazy } }, own(1, 5));
  expect(rademacher(other, 2, 0, 9, 128).join(), 'records have columns of their own').not.toBe(factor(2, 1));
});

test('shared: records P apart measure one direction, others do not; another round has others', () => {
  const key = (round: number, record: number) =>
    directionKey({ direction: {}, directions: { shared: 3 } }, own(round, record));
  for (const record of [0, 1, 2, 3, 7, 65_535]) expect(key(5, record)).toEqual(own(5, record % 3));
  expect(key(5, 1)).not.toEqual(key(6, 1));
});

test('pool: over 20,000 records of many rounds each of 16 directions is drawn as often as chance has it', () => {
  const counts = new Array<number>(16).fill(0);
  for (let i = 0; i < 20_000; i++) {
    const key = directionKey({ direction: {}, directions: { pool: 16 } }, own(Math.floor(i / 40), i % 40));
    expect(key).toEqual({ round: 0, run: RUN, sample: key.sample, slot: POOL_SLOT });
    counts[key.sample]! += 1;
  }
  // Chi-square of 15 degrees of freedom: 37.7 is passed once in a thousand draws; this one is always the same.
  expect(counts.reduce((sum, n) => sum + (n - 1250) ** 2 / 1250, 0)).toBeLessThan(37.7);
});

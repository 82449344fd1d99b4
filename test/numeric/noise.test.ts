import { expect, test } from 'vitest';
import type { DirectionKey } from '../../src/nouns.ts';
import { roundingWord } from '../../src/numeric/noise.ts';
import { permutation } from '../../src/numeric/permutation.ts';
import { direction } from '../../src/numeric/reference/direction.ts';

const key: DirectionKey = { round: 4, run: 0x1234567, sample: 2, slot: 1 };
const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0) / x.length;
const square = (x: Int16Array): number[] => Array.from(x, (z) => z * z);

/** Five standard errors: a seed is fixed, so this fails for a reason or never. */
const near = (got: number, expected: number, stdDev: number, n: number) =>
  expect(Math.abs(got - expected)).toBeLessThan((5 * stdDev) / Math.sqrt(n));

const N = 40_000;
test.each([
  { kind: 'rademacher', shape: [N], rank: 1, variance: 1, fourth: 1 },
  { kind: 'binomial', shape: [N], rank: 1, variance: 4, fourth: 46 }, // 3σ⁴ - 2σ⁴/16: 16 fair bits
] as const)('$kind noise has mean 0, variance $variance and the fourth moment of its law', (law) => {
  const z = direction({ id: 3, shape: law.shape }, law.kind, law.rank, key);
  near(mean(z), 0, Math.sqrt(law.variance), N);
  near(mean(square(z)), law.variance, Math.sqrt(law.fourth - law.variance ** 2) + 1e-9, N);
  near(mean(square(z).map((x) => x * x)), law.fourth, 200, N);
});

test.each([1, 2, 4])('rank %i noise has mean 0 and variance rank', (rank) => {
  // Elements of one outer product depend on each other: average over many small directions.
  const draws = Array.from({ length: 400 }, (_, sample) =>
    direction({ id: 3, shape: [9, 11] }, 'lowrank', rank, { ...key, sample }),
  );
  near(mean(draws.map(mean)), 0, Math.sqrt(rank / 99), 400);
  near(mean(draws.map((z) => mean(square(z)))), rank, rank, 400);
});

test('every part of a name matters: other round, run, sample, slot or tensor, other signs', () => {
  const tensor = { id: 3, shape: [4096] };
  const z = direction(tensor, 'rademacher', 1, key);
  const others = (['round', 'run', 'sample', 'slot'] as const).map((part) =>
    direction(tensor, 'rademacher', 1, { ...key, [part]: key[part] + 1 }),
  );
  for (const other of [...others, direction({ ...tensor, id: 4 }, 'rademacher', 1, key)])
    near(mean(z.map((x, i) => x * other[i]!)), 0, 1, 4096);
});

test('factors, dense signs and rounding words of one name are unrelated', () => {
  const shape = [64, 64];
  const dense = direction({ id: 3, shape }, 'rademacher', 1, key);
  const low = direction({ id: 3, shape }, 'lowrank', 1, key);
  near(mean(dense.map((x, i) => x * low[i]!)), 0, 1, 4096);
  expect(roundingWord(key, 3)).not.toBe(roundingWord(key, 4));
});

test('an epoch visits every sample once, in another order than the next epoch and run', () => {
  for (const n of [0, 1, 2, 3, 1000]) {
    const order = permutation(n, 0, 7);
    expect([...order].sort((a, b) => a - b)).toEqual([...Array(n).keys()]);
  }
  expect(permutation(1000, 0, 7)).not.toEqual(permutation(1000, 1, 7));
  expect(permutation(1000, 0, 7)).not.toEqual(permutation(1000, 0, 8));
});

test('all orders of three samples are equally frequent', () => {
  const counts = new Map<string, number>();
  for (let epoch = 0; epoch < 6000; epoch++) {
    const order = permutation(3, epoch, 99).join();
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(6);
  for (const count of counts.values()) near(count / 6000, 1 / 6, 0.373, 6000);
});

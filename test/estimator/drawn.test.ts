/**
 * What slope · z is on average, for every way of drawing directions. On a quadratic the two-sided difference is the slope
 * itself, g = ∇L · z, so that all there is left is the draw.
 */
import { describe, expect, test } from 'vitest';
import { recordKey } from '../../src/apply/apply.ts';
import type { Direction } from '../../src/nouns.ts';
import { elementMask, isMoved } from '../../src/numeric/element-mask.ts';
import type { TensorNoise } from '../../src/numeric/kernels.ts';
import { type Drawing, directionKey } from '../../src/numeric/names.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { integers } from '../numeric/arbitrary.ts';

const EPS = 2 ** -10;
const SHAPE = [6, 5];
const N = 30;
const part = (seed: number, i: number): number => (integers(N, seed)[i]! / 2 ** 31) * 2;
const theta = Float64Array.from({ length: N }, (_, i) => part(3, i));
const curvature = Float64Array.from({ length: N }, (_, i) => 1 + Math.abs(part(4, i)));
/** L = Σ a w² / 2. */
const loss = (w: Float64Array): number => w.reduce((sum, x, i) => sum + (curvature[i]! * x * x) / 2, 0);
const gradient = theta.map((x, i) => x * curvature[i]!);
const norm2 = gradient.reduce((sum, x) => sum + x * x, 0);

/** What one record says of the gradient: its slope times its direction. */
function slopeTimesZ(tensor: TensorNoise, direction: Direction, drawing: Drawing, own: ReturnType<typeof recordKey>) {
  const z = Float64Array.from(noise(tensor, direction.kind, direction.rank, directionKey(drawing, own)));
  const unit = z.map((x) => x * direction.scale);
  const at = (sign: number) => loss(theta.map((x, i) => x + sign * EPS * unit[i]!));
  const slope = (at(1) - at(-1)) / (2 * EPS);
  return unit.map((x) => x * slope);
}

/**
 * Means over groups of records that may share directions; groups are independent, so their scatter says how far the mean
 * of all may be from what it estimates.
 */
function estimate(groups: number, size: number, of: (group: number, i: number) => Float64Array) {
  const sums = new Float64Array(N);
  const squares = new Float64Array(N);
  for (let g = 0; g < groups; g++) {
    const mean = new Float64Array(N);
    for (let i = 0; i < size; i++) for (const [k, x] of of(g, i).entries()) mean[k]! += x / size;
    for (const [k, x] of mean.entries()) {
      sums[k]! += x;
      squares[k]! += x * x;
    }
  }
  const means = sums.map((x) => x / groups);
  const deviations = means.map((m, k) => Math.sqrt((squares[k]! / groups - m * m) / groups));
  return { means, deviations };
}

const GROUPS = 3000;
const DENSE: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
const BELL: Direction = { kind: 'binomial', rank: 1, scale: 0.5 };
const tensor: TensorNoise = { id: 4, shape: SHAPE };
const RUN = 0x5eed;

function expectMeans({ means, deviations }: ReturnType<typeof estimate>, expected: ArrayLike<number>): void {
  // Thirty means: five deviations are passed by chance once in sixty thousand such tests, and this draw is fixed.
  for (const [k, m] of means.entries())
    expect(Math.abs(m - expected[k]!), `element ${k}`).toBeLessThanOrEqual(5 * deviations[k]! + 1e-9);
  // And the test sees something: deviations are small beside the gradient.
  expect(Math.max(...deviations)).toBeLessThan(0.1 * Math.sqrt(norm2));
}

describe('slope · z is the gradient on average', () => {
  test.each([
    ['rank 2, columns for 4 rounds', { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2, lazy: 4 }, {}, 4, 1],
    ['rank 1, columns for 4 rounds', { kind: 'lowrank', rank: 1, scale: 1, lazy: 4 }, {}, 4, 1],
    ['2 directions a round, of 4 records', DENSE, { directions: { shared: 2 } }, 1, 4],
    ['2 bells a round, of 4 records', BELL, { directions: { shared: 2 } }, 1, 4],
  ] as const)('over rounds: %s', (_, direction, drawing, rounds, records) => {
    const found = estimate(GROUPS, rounds * records, (g, i) => {
      const own = recordKey(RUN, g * rounds + Math.floor(i / records), i % records);
      return slopeTimesZ(tensor, direction, { direction, ...drawing }, own);
    });
    expectMeans(found, gradient);
  });

  test('over runs: a pool of 3 directions', () => {
    const drawing: Drawing = { direction: DENSE, directions: { pool: 3 } };
    const found = estimate(GROUPS, 6, (g, i) => slopeTimesZ(tensor, DENSE, drawing, recordKey(g, i, 0)));
    expectMeans(found, gradient);
  });
});

test('within a run, a small pool is what it is: its mean stays in the span of its directions, off the gradient', () => {
  const drawing: Drawing = { direction: DENSE, directions: { pool: 3 } };
  const { means } = estimate(400, 1, (g) => slopeTimesZ(tensor, DENSE, drawing, recordKey(RUN, g, 0)));
  const off = means.reduce((sum, m, k) => sum + (m - gradient[k]!) ** 2, 0);
  expect(off).toBeGreaterThan(norm2);
});

describe('under a mask slope · z is the gradient where elements move, and nothing elsewhere', () => {
  test.each(['magnitude', 'random'] as const)('%s', (by) => {
    const q = Int32Array.from(theta, (x) => Math.round(x * 2 ** 20));
    const moved = elementMask({ by, kept: 1, of: 3 }, tensor, q, RUN);
    for (const direction of [DENSE, BELL]) {
      const found = estimate(2 * GROUPS, 1, (g) =>
        slopeTimesZ({ ...tensor, moved }, direction, { direction }, recordKey(RUN, g, 0)),
      );
      const expected = gradient.map((x, i) => (isMoved(moved, i) ? x : 0));
      expect(expected.filter((x) => x !== 0).length).toBeGreaterThan(4);
      expectMeans(found, expected);
    }
  });
});

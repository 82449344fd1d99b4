/**
 * slope · z is the gradient on average, for every kind of direction and through the byte and the integer coefficient: on a
 * quadratic, of which the gradient is known. And what ZO-Bench's published code gets wrong (a seed anew for
 * every tensor, an accumulator that is reset, a mask that is not applied), as variants that these checks must refuse.
 */
import { describe, expect, test } from 'vitest';
import { applyRound, recordKey } from '../../src/apply/apply.ts';
import { size } from '../../src/graph/shape.ts';
import { type Direction, NO_LOSS, type Round } from '../../src/nouns.ts';
import { decodeSlope, encodeSlope } from '../../src/numeric/byte.ts';
import { coefficient } from '../../src/numeric/coefficient.ts';
import { isMatrix, roundingWord } from '../../src/numeric/noise.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';
import { uniform } from '../suites/arrays.ts';

const RUN = 0xbead;
const EPS = 1e-3;
const SHAPES: readonly (readonly number[])[] = [[5, 4], [6], [3, 3]];
const DIRECTIONS: readonly Direction[] = [
  { kind: 'rademacher', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'lowrank', rank: 4, scale: 0.5 },
];
const EXPONENT = -27;
const SCALE = 2 ** 29;

/** L(w) = ½ Σ h w², tensor by tensor. */
const W = SHAPES.map((shape, id) => Float64Array.from(uniform(3 + id, size(shape))));
const H = SHAPES.map((shape, id) => Float64Array.from(uniform(30 + id, size(shape)), (x) => 1 + x));
const GRADIENT = W.map((w, id) => w.map((x, i) => H[id]![i]! * x));

const lossAt = (shift: readonly (readonly number[] | Float64Array)[], by: number): number =>
  W.reduce((sum, w, id) => w.reduce((s, x, i) => s + (H[id]![i]! * (x + by * shift[id]![i]!) ** 2) / 2, sum), 0);

/** z of a record on every tensor, in units of direction.scale. */
const zOf = ({ kind, rank, scale }: Direction, sample: number, id: (tensor: number) => number = (tensor) => tensor) =>
  SHAPES.map((shape, tensor) =>
    Array.from(noise({ id: id(tensor), shape }, kind, rank, recordKey(RUN, 0, sample)), (z) => scale * z),
  );

/** A way from a measured slope to the step of a record: per tensor, in units of the gradient. */
type Update = (direction: Direction, sample: number, slope: number) => number[][];

const exactly: Update = (direction, sample, slope) => zOf(direction, sample).map((z) => z.map((x) => slope * x));

/** By byte and coefficient, with a gain so small that most of it is the rounding. */
function inIntegers(word: (id: number, sample: number, code: number) => number): Update {
  return (direction, sample, slope) => {
    const gain = 2 ** EXPONENT * 0.35;
    const code = encodeSlope(slope, SCALE, 127);
    return zOf(direction, sample).map((z, id) => {
      const c = coefficient({ gain, scale: SCALE, clip: 127 }, code, EXPONENT, word(id, sample, code));
      return z.map((x) => ((-c * 2 ** EXPONENT) / gain) * x);
    });
  };
}
const words = (id: number, sample: number): number => roundingWord(recordKey(RUN, 0, sample), id);

/** Makes every coefficient smaller: a word of 0 rounds up, the largest down. */
const towardZero = (_id: number, _sample: number, code: number): number => (code > 0 ? 0 : 0xffff_ffff);

/** Of z, in units of direction.scale: 1, but for vectors beside matrices of more than one outer product. */
const variance = ({ kind, scale }: Direction, shape: readonly number[]): number =>
  kind === 'lowrank' && !isMatrix(shape) ? scale * scale : 1;

const N = 3000;

/** Whether the mean step is within four standard errors of the gradient, at every element. */
function unbiased(direction: Direction, update: Update): boolean {
  const sums = GRADIENT.map((g) => new Float64Array(g.length));
  const squares = GRADIENT.map((g) => new Float64Array(g.length));
  for (let sample = 0; sample < N; sample++) {
    const z = zOf(direction, sample);
    const slope = (lossAt(z, EPS) - lossAt(z, -EPS)) / (2 * EPS);
    for (const [id, step] of update(direction, sample, slope).entries())
      for (const [i, x] of step.entries()) {
        sums[id]![i]! += x;
        squares[id]![i]! += x * x;
      }
  }
  return GRADIENT.every((gradient, id) =>
    gradient.every((g, i) => {
      const mean = sums[id]![i]! / N;
      const error = Math.sqrt((squares[id]![i]! / N - mean * mean) / N);
      return Math.abs(mean - variance(direction, SHAPES[id]!) * g) <= 4 * error;
    }),
  );
}

describe.each(DIRECTIONS)('SPSA along $kind noise of rank $rank', (direction) => {
  test('slope · z is the gradient on average', () => {
    expect(unbiased(direction, exactly)).toBe(true);
  });

  test('and so is what is left of it after the byte and the rounding of coefficients', () => {
    expect(unbiased(direction, inIntegers(words))).toBe(true);
    expect(unbiased(direction, inIntegers(towardZero))).toBe(false);
  });

  test('but not if every tensor is seeded anew, and the update is not along what was probed', () => {
    const reseeded: Update = (own, sample, slope) => zOf(own, sample, () => 0).map((z) => z.map((x) => slope * x));
    expect(unbiased(direction, reseeded)).toBe(false);
  });
});

const CODES = [40, -7, 99, NO_LOSS, -120];
const roundOf = (codes: readonly number[], from = 0, gain = 1e-4): Round => ({
  header: { round: 0, usable: codes.length, gain, scale: 2 ** 32, clip: 127 },
  segments: [{ slot: 0, from, codes: Int8Array.from(codes) }],
});

type Apply = typeof applyRound;

/** Integers after a round, less those before. */
async function moved(apply: Apply, round: Round, kept?: (id: number) => boolean): Promise<Int32Array[]> {
  const tensors = SHAPES.map((shape, id) => ({ name: `t${id}`, shape, id }));
  const weights = await weightsIn(
    referenceKernels(),
    { tensors, blocks: [] },
    (name) => Float32Array.from(W[Number(name[1])]!),
    0,
  );
  const before = await integersOf(weights);
  await apply(weights, DIRECTIONS[0]!, RUN, round, kept);
  return (await integersOf(weights)).map((q, id) => q.map((x, i) => x - before[id]![i]!));
}

describe('a round', () => {
  /** Whether it is the sum of what its records do alone. */
  async function addsUp(apply: Apply): Promise<boolean> {
    const whole = await moved(apply, roundOf(CODES));
    const sum = whole.map((q) => new Int32Array(q.length));
    for (const [from, code] of CODES.entries())
      for (const [id, q] of (await moved(applyRound, roundOf([code], from))).entries())
        for (const [i, x] of q.entries()) sum[id]![i]! += x;
    return JSON.stringify(sum.map((q) => [...q])) === JSON.stringify(whole.map((q) => [...q]));
  }

  test('is the sum of its records; not with an accumulator that is reset for each of them', async () => {
    expect(await addsUp(applyRound)).toBe(true);
    const reset: Apply = (weights, direction, run, round) =>
      applyRound(weights, direction, run, roundOf(CODES.slice(-1), CODES.length - 1, round.header.gain));
    expect(await addsUp(reset)).toBe(false);
  });

  /** Whether nothing moves but what is kept. */
  async function staysInside(apply: Apply): Promise<boolean> {
    const changes = await moved(apply, roundOf(CODES), (id) => id === 1);
    return changes.every((q, id) => q.some((x) => x !== 0) === (id === 1));
  }

  test('moves what its mask keeps; not with a mask that the update ignores', async () => {
    expect(await staysInside(applyRound)).toBe(true);
    const ignoring: Apply = (weights, direction, run, round) => applyRound(weights, direction, run, round);
    expect(await staysInside(ignoring)).toBe(false);
  });

  test('a record moves weights by -gain · its slope · z', async () => {
    const [q] = await moved(applyRound, roundOf([40]));
    const z = noise({ id: 0, shape: SHAPES[0]! }, 'rademacher', 1, recordKey(RUN, 0, 0));
    for (const [i, x] of q!.entries())
      expect(Math.abs(x * 2 ** EXPONENT + 1e-4 * decodeSlope(40, 2 ** 32) * z[i]!)).toBeLessThanOrEqual(2 ** EXPONENT);
  });
});

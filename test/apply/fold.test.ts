/** Coordinate Adam: against floats, and what it keeps of the promises of sums. */
import { describe, expect, test } from 'vitest';
import { type AdamRules, adamStep, foldRound, type Moments } from '../../src/apply/fold.ts';
import type { Direction, Round } from '../../src/nouns.ts';
import { SCALE_UNIT } from '../../src/numeric/byte.ts';
import { MAX_BASE_Q } from '../../src/numeric/fixed.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';
import { uniform } from '../suites/arrays.ts';

const RUN = 77;
const RULES: AdamRules = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, unit: 0 };
const SHAPES = [[6, 5], [7]];
const DIRECTION: Direction = { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 };
const SCALE = 2 ** 28;

const small = () => {
  const tensors = SHAPES.map((shape, id) => ({ name: `t${id}`, shape, id }));
  return weightsIn(
    referenceKernels(),
    { tensors, blocks: [] },
    (name) => uniform(Number(name[1]), 30).slice(0, name === 't0' ? 30 : 7),
    0,
  );
};

const roundOf = (round: number, codes: readonly number[]): Round => ({
  header: { round, usable: codes.length, gain: 1e-2, scale: SCALE, clip: 100 },
  segments: [{ slot: 0, from: 0, codes: Int8Array.from(codes) }],
});
const CODES = [
  [5, -90, 127],
  [33, 1, -7, 60],
  [-128, 20],
  [4, 4, -50],
];

async function folded(rounds: readonly Round[], kept: (id: number, round: Round) => boolean = () => true) {
  const weights = await small();
  const moments = new Map<number, Moments>();
  for (const round of rounds) {
    const n = round.segments.reduce((sum, { codes }) => sum + codes.filter((code) => code !== -128).length, 0);
    const rules = { ...RULES, unit: (DIRECTION.scale * (SCALE * SCALE_UNIT)) / n };
    await foldRound(weights, DIRECTION, RUN, round, rules, moments, (id) => kept(id, round));
  }
  return { weights, moments, q: await integersOf(weights) };
}

test('is Adam of the textbook on the mean of g z, within half a unit a round', async () => {
  const { weights, q } = await folded(CODES.map((codes, t) => roundOf(t, codes)));
  const before = await integersOf(await small());
  for (const { id, shape, exponent } of weights.tensors) {
    const n = shape.reduce((a, b) => a * b);
    const [w, m, v] = [
      Float64Array.from(before[id]!, (x) => x * 2 ** exponent),
      new Float64Array(n),
      new Float64Array(n),
    ];
    for (const [t, codes] of CODES.entries()) {
      const usable = codes.filter((code) => code !== -128);
      const estimate = new Float64Array(n);
      for (const [sample, code] of codes.entries()) {
        if (code === -128) continue;
        const z = noise({ id, shape }, 'lowrank', 2, { round: t, run: RUN, sample, slot: 0xffff_fffe });
        const g = Math.min(code, 100) * SCALE * SCALE_UNIT;
        for (let i = 0; i < n; i++) estimate[i]! += (g * DIRECTION.scale * z[i]!) / usable.length;
      }
      for (let i = 0; i < n; i++) {
        m[i] = 0.9 * m[i]! + 0.1 * estimate[i]!;
        v[i] = 0.99 * v[i]! + 0.01 * estimate[i]! ** 2;
        w[i]! -= (1e-2 * (m[i]! / (1 - 0.9 ** (t + 1)))) / (Math.sqrt(v[i]! / (1 - 0.99 ** (t + 1))) + 1e-8);
      }
    }
    for (let i = 0; i < n; i++)
      expect(Math.abs(q[id]![i]! - w[i]! / 2 ** exponent)).toBeLessThanOrEqual(CODES.length * 0.501);
  }
});

describe('promises', () => {
  test('inside a round order is nothing', async () => {
    const [codes] = CODES;
    const turned: Round = {
      ...roundOf(0, codes!),
      segments: codes!.map((code, from) => ({ slot: from, from, codes: Int8Array.of(code) })).toReversed(),
    };
    expect((await folded([turned])).q).toEqual((await folded([roundOf(0, codes!)])).q);
  });

  test('between rounds it is something, which is why the algebra is fold', async () => {
    const rounds = CODES.slice(0, 2).map((codes, t) => roundOf(t, codes));
    expect((await folded(rounds.toReversed())).q).not.toEqual((await folded(rounds)).q);
  });

  test('a tensor that a round leaves out keeps its weights and its moments', async () => {
    const rounds = CODES.map((codes, t) => roundOf(t, codes));
    const some = await folded(rounds, (id, { header }) => id === 0 || header.round !== 1);
    const without = await folded(rounds.filter(({ header }) => header.round !== 1));
    expect(some.q[1]).toEqual(without.q[1]);
    expect(some.moments.get(1)).toEqual(without.moments.get(1));
    expect(some.q[0]).not.toEqual(without.q[0]);
  });
});

test('a weight that leaves its range ends the run', async () => {
  const weights = await small();
  const huge = { ...roundOf(0, [50]), header: { ...roundOf(0, [50]).header, gain: 1e6 } };
  await expect(foldRound(weights, DIRECTION, RUN, huge, { ...RULES, unit: 1 }, new Map())).rejects.toThrow(/^RANGE: /);
});

test('a step that no number describes is capped, not wrapped', () => {
  const moments: Moments = { m: new Float64Array(1), v: new Float64Array(1), left1: 1, left2: 1 };
  const [q] = adamStep(moments, Int32Array.of(5), Int32Array.of(MAX_BASE_Q), -27, 1e9, { ...RULES, unit: 1 });
  expect(q).toBe(MAX_BASE_Q - 2 ** 30);
});

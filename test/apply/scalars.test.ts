import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyRound } from '../../src/apply/apply.ts';
import { scalarsOf } from '../../src/apply/scalars.ts';
import { type Direction, NO_LOSS, type Round, type ScalarAggregation, type Segment } from '../../src/nouns.ts';
import { roundingWord } from '../../src/numeric/noise.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';

const P = 3;
const rules = fc.constantFrom<ScalarAggregation['rule']>('median', 'trimmed_mean', 'nna');
const code = fc.integer({ min: -127, max: 127 });

const roundOf = (segments: readonly Segment[], clip = 127): Round => ({
  header: { round: 5, usable: segments.length, gain: 1e-7, scale: 2 ** 32, clip },
  segments,
});

/** Peer s measures every direction once. */
const segmentOf = (codes: readonly number[], slot: number): Segment => ({
  slot,
  from: slot * P,
  codes: Int8Array.from(codes),
});

/** Honest peers and f liars, fewer than half of them. */
const crowd = fc.integer({ min: 1, max: 3 }).chain((f) =>
  fc.record({
    f: fc.constant(f),
    honest: fc.array(fc.array(code, { minLength: P, maxLength: P }), { minLength: f + 1, maxLength: 7 }),
    liars: fc.array(fc.array(fc.oneof(code, fc.constant(NO_LOSS)), { minLength: P, maxLength: P }), {
      minLength: f,
      maxLength: f,
    }),
  }),
);

describe('votes on shared directions', () => {
  test('are the same in any order of segments', () =>
    fc.assert(
      fc.property(rules, crowd, fc.infiniteStream(fc.nat()), (rule, { f, honest, liars }, random) => {
        const segments = [...honest, ...liars].map(segmentOf);
        const keyed = segments.map((segment) => ({ segment, at: random.next().value }));
        const shuffled = keyed.sort((a, b) => a.at - b.at).map(({ segment }) => segment);
        const by = { rule, byzantine: f };
        expect(scalarsOf(by, P, roundOf(shuffled))).toEqual(scalarsOf(by, P, roundOf(segments)));
      }),
    ));

  test.each(['median', 'trimmed_mean'] as const)(
    '%s: f liars move no direction out of the range of honest votes',
    (rule) =>
      fc.assert(
        fc.property(crowd, ({ f, honest, liars }) => {
          const segments = [...honest, ...liars].map(segmentOf);
          const heard = (direction: number) => segments.filter(({ codes }) => codes[direction] !== NO_LOSS).length;
          for (const { direction, amount } of scalarsOf({ rule, byzantine: f }, P, roundOf(segments))) {
            const votes = honest.map((codes) => codes[direction]!);
            const value = amount / heard(direction);
            expect(value).toBeGreaterThanOrEqual(Math.min(...votes) - 1e-9);
            expect(value).toBeLessThanOrEqual(Math.max(...votes) + 1e-9);
          }
        }),
      ),
  );

  test('nna: peers that lie on every direction, far from all others, count for nothing', () =>
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: 20, max: 40 }), { minLength: P, maxLength: P }), {
          minLength: 5,
          maxLength: 8,
        }),
        (honest) => {
          const lies = [0, 1].map(() => new Array<number>(P).fill(-127));
          const by = { rule: 'nna', byzantine: 2 } as const;
          const n = honest.length;
          const all = scalarsOf(by, P, roundOf([...honest, ...lies].map(segmentOf)));
          for (const [direction, { amount }] of all.entries()) {
            const mean = honest.reduce((sum, codes) => sum + codes[direction]!, 0) / n;
            expect(amount / (n + 2)).toBeCloseTo(mean, 9);
          }
        },
      ),
    ));

  test('a direction with 2f votes or fewer is left out, however many codes they are of', () => {
    const by = { rule: 'median', byzantine: 1 } as const;
    const two = [segmentOf([9, 9, 9], 0), { slot: 1, from: 3, codes: new Int8Array(30).fill(9) }];
    expect(scalarsOf(by, P, roundOf(two))).toEqual([]);
    const third: Segment = { slot: 2, from: 33, codes: Int8Array.from([5, NO_LOSS]) };
    expect(scalarsOf(by, P, roundOf([...two, third]))).toEqual([{ direction: 0, amount: 9 * 12 }]);
  });

  test('a peer has one vote, the mean of its codes inside the clip', () => {
    const many: Segment = { slot: 0, from: 0, codes: Int8Array.from([127, 0, 0, 40, 0, 0, -10, 0, 0]) };
    const others = [
      { slot: 1, from: 9, codes: Int8Array.of(10) },
      { slot: 2, from: 12, codes: Int8Array.of(90) },
    ];
    const by = { rule: 'median', byzantine: 1 } as const;
    expect(scalarsOf(by, P, roundOf([many, ...others], 60))).toEqual([{ direction: 0, amount: 30 * 5 }]);
  });

  test('become one coefficient a direction, rounded by the word of the record of its number', async () => {
    const direction: Direction = { kind: 'lowrank', rank: 1, scale: 1 };
    const kernels = referenceKernels();
    const tensor = { name: 'w', shape: [4, 6], id: 0 };
    const base = () =>
      weightsIn(
        kernels,
        { tensors: [tensor], blocks: [] },
        () => Float32Array.from({ length: 24 }, (_, i) => i / 24),
        0,
      );
    const round = roundOf([segmentOf([10, -20, 0], 4), segmentOf([20, -20, 7], 5), segmentOf([127, 127, 9], 6)]);
    const weights = await base();
    const by = { rule: 'median', byzantine: 1 } as const;
    await applyRound(weights, direction, 77, round, undefined, 0, { shared: P }, by);
    const [before] = await integersOf(await base());
    const { exponent } = weights.tensors[0]!;
    const expected = Int32Array.from(before!);
    for (const [j, code] of [60, -60, 21].entries()) {
      const key = { round: 5, run: 77, sample: j, slot: 0xffff_fffe };
      const x = -(1e-7 * code) * 2 ** -exponent;
      const c = Math.floor(x) + (roundingWord(key, 0) < (x - Math.floor(x)) * 2 ** 32 ? 1 : 0);
      for (const [i, z] of noise(tensor, 'lowrank', 1, key).entries()) expected[i]! += c * z;
    }
    expect([...(await integersOf(weights))[0]!]).toEqual([...expected]);
  });
});

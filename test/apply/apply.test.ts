/** Journal → weights: the only arithmetic that every replica must repeat to the bit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyRound, contributions, termsOf } from '../../src/apply/apply.ts';
import { checksum, root } from '../../src/apply/digest.ts';
import type { Tensor, Weights } from '../../src/model/weights.ts';
import { type Direction, NO_LOSS, type Round, type Segment } from '../../src/nouns.ts';
import { SCALE_UNIT } from '../../src/numeric/byte.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { integers } from '../numeric/arbitrary.ts';

const RUN = 0xfeed_beef;
const SHAPES: readonly (readonly number[])[] = [[7], [12, 5], [1, 9], [33, 130]];

/** Weights of a few tensors, anywhere in the range of a base. */
function weightsOf(kernels: Kernels, exponent = -27): Weights {
  const tensors = SHAPES.map((shape, id): Tensor => {
    const q = kernels.i32(shape.reduce((a, b) => a * b));
    integers(q.length, 5 + id).forEach((x, i) => {
      q[i] = x >> 3;
    });
    return { name: `tensor${id}`, shape, id, exponent: exponent + id, q };
  });
  return { kernels, tensors, byName: (name) => tensors.find((t) => t.name === name)! };
}

const bits = ({ tensors }: Weights): number[][] => tensors.map(({ q }) => [...q]);

const codes = fc.oneof({ weight: 8, arbitrary: fc.integer({ min: -127, max: 127 }) }, fc.constant(NO_LOSS));
const directions = fc.constantFrom<Direction>(
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'lowrank', rank: 3, scale: 3 ** -0.5 },
  { kind: 'rademacher', rank: 1, scale: 1 },
  { kind: 'binomial', rank: 1, scale: 0.5 },
);
const header = (round: number, usable: number, gain = 1e-7) => ({ round, usable, gain, scale: 2 ** 32, clip: 100 });

/** The codes of a round, cut into segments at the given places, of peers in any order. */
function roundOf(round: number, all: readonly number[], cuts: readonly number[] = [], slot = (n: number) => n): Round {
  const ends = [...new Set([...cuts.map((cut) => cut % (all.length + 1)), all.length])].sort((a, b) => a - b);
  const segments: Segment[] = [];
  let from = 0;
  for (const end of ends) {
    if (end > from) segments.push({ slot: slot(segments.length), from, codes: Int8Array.from(all.slice(from, end)) });
    from = end;
  }
  return { header: header(round, all.filter((code) => code !== NO_LOSS).length), segments };
}

function applied(kernels: Kernels, direction: Direction, rounds: readonly Round[]): Weights {
  const weights = weightsOf(kernels);
  for (const round of rounds) applyRound(weights, direction, RUN, round);
  return weights;
}

const wasm = () => wasmKernels({ bytes: 2 ** 16 });

describe('one round', () => {
  const arbitrary = fc.record({
    direction: directions,
    all: fc.array(codes, { minLength: 1, maxLength: 20 }),
    cuts: fc.array(fc.nat(20), { maxLength: 4 }),
    seed: fc.integer(),
  });

  test('who measured a record, and in which order they come, changes nothing: M peers with K are one with M·K', () =>
    fc.assert(
      fc.property(arbitrary, ({ direction, all, cuts, seed }) => {
        const one = roundOf(4, all);
        const many = roundOf(4, all, cuts, (n) => (n * 7 + seed) >>> 0);
        const turned = { ...many, segments: many.segments.toReversed() };
        const expected = bits(applied(referenceKernels(), direction, [one]));
        expect(bits(applied(referenceKernels(), direction, [many]))).toEqual(expected);
        expect(bits(applied(referenceKernels(), direction, [turned]))).toEqual(expected);
      }),
      { numRuns: 40 },
    ));

  test('is the sum of its records, one at a time', () =>
    fc.assert(
      fc.property(arbitrary, ({ direction, all }) => {
        const singles = all.map((code, from): Round => {
          const { header } = roundOf(4, all);
          return { header, segments: [{ slot: 0, from, codes: Int8Array.of(code) }] };
        });
        const together = applied(referenceKernels(), direction, [roundOf(4, all)]);
        expect(bits(applied(referenceKernels(), direction, singles.toReversed()))).toEqual(bits(together));
      }),
      { numRuns: 40 },
    ));

  test('a record without a loss counts for nothing, and keeps its place', () => {
    const direction: Direction = { kind: 'lowrank', rank: 1, scale: 1 };
    const { header, segments } = roundOf(2, [5, NO_LOSS, -9]);
    expect(contributions(RUN, { header, segments }).map(({ key, code }) => [key.sample, code])).toEqual([
      [0, 5],
      [2, -9],
    ]);
    const apart = [
      { slot: 1, from: 0, codes: Int8Array.of(5) },
      { slot: 1, from: 2, codes: Int8Array.of(-9) },
    ];
    expect(bits(applied(referenceKernels(), direction, [{ header, segments: apart }]))).toEqual(
      bits(applied(referenceKernels(), direction, [{ header, segments }])),
    );
    const nothing = applied(referenceKernels(), direction, [roundOf(2, [NO_LOSS, NO_LOSS])]);
    expect(bits(nothing)).toEqual(bits(weightsOf(referenceKernels())));
  });

  test('weights move by -gain · slope · z, within the rounding of one unit a record', () =>
    fc.assert(
      fc.property(arbitrary, ({ direction, all }) => {
        const round = roundOf(9, all);
        const before = weightsOf(referenceKernels());
        const after = applied(referenceKernels(), direction, [round]);
        const { gain, scale, clip } = round.header;
        for (const [t, tensor] of before.tensors.entries()) {
          const unit = 2 ** tensor.exponent;
          const expected = new Float64Array(tensor.q.length);
          let reach = 0;
          for (const { key, code } of contributions(RUN, round)) {
            const slope = Math.max(-clip, Math.min(clip, code)) * scale * SCALE_UNIT;
            const z = noise(tensor, direction.kind, direction.rank, key);
            reach += z.reduce((most, x) => Math.max(most, Math.abs(x)), 0) * unit;
            z.forEach((x, i) => {
              expected[i]! -= gain * slope * x;
            });
          }
          after.tensors[t]!.q.forEach((q, i) => {
            const moved = (q - tensor.q[i]!) * unit;
            expect(Math.abs(moved - expected[i]!)).toBeLessThanOrEqual(reach);
          });
        }
      }),
      { numRuns: 40 },
    ));
});

describe('several rounds', () => {
  test('both kernels, the same weights, checksums and roots', () =>
    fc.assert(
      fc.asyncProperty(
        directions,
        fc.array(fc.array(codes, { minLength: 1, maxLength: 70 }), { minLength: 1, maxLength: 4 }),
        async (direction, rounds) => {
          const committed = rounds.map((all, round) => roundOf(round, all, [3, 11]));
          const a = applied(referenceKernels(), direction, committed);
          const b = applied(await wasm(), direction, committed);
          expect(bits(b)).toEqual(bits(a));
          for (const round of [0, 1, rounds.length]) expect(checksum(b, round, RUN)).toEqual(checksum(a, round, RUN));
          expect(root(b.tensors, nodeCrypto)).toEqual(root(a.tensors, nodeCrypto));
        },
      ),
      { numRuns: 25 },
    ));

  test('the number of the round is in the noise and in the checksum', () => {
    const direction: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
    const at = (round: number) => applied(referenceKernels(), direction, [roundOf(round, [50])]);
    expect(bits(at(1))).not.toEqual(bits(at(2)));
    expect(checksum(at(1), 1, RUN)).not.toEqual(checksum(at(1), 2, RUN));
    expect(checksum(at(1), 1, RUN)).not.toEqual(checksum(at(1), 1, RUN + 1));
  });
});

describe('digests', () => {
  test('one changed bit anywhere changes both', () =>
    fc.assert(
      fc.property(fc.nat(SHAPES.length - 1), fc.nat(), fc.nat(30), (t, i, bit) => {
        const weights = weightsOf(referenceKernels());
        const before = [checksum(weights, 3, RUN), root(weights.tensors, nodeCrypto)];
        const { q } = weights.tensors[t]!;
        q[i % q.length]! ^= 1 << Math.min(bit, 27);
        expect(checksum(weights, 3, RUN)).not.toEqual(before[0]);
        expect(root(weights.tensors, nodeCrypto)).not.toEqual(before[1]);
      }),
    ));

  test('an element counts where it is: tensors of equal contents may not be swapped', () => {
    const q = Int32Array.of(1, 2, 3);
    const pair = (a: Int32Array, b: Int32Array): Weights => ({
      ...weightsOf(referenceKernels()),
      tensors: [a, b].map((values, id) => ({ name: `t${id}`, shape: [3], id, exponent: -27, q: values })),
    });
    const [a, b] = [pair(q, Int32Array.of(3, 2, 1)), pair(Int32Array.of(3, 2, 1), q)];
    expect(checksum(a, 0, RUN)).not.toEqual(checksum(b, 0, RUN));
  });
});

describe('RANGE', () => {
  const direction: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
  /** One record moves an element by 2^28: the largest weight of a base by its own size. */
  const large = (round: number): Round => ({
    header: { ...header(round, 1, 2), scale: 2 ** 32, clip: 127 },
    segments: [{ slot: 0, from: 0, codes: Int8Array.of(1) }],
  });

  test.each(['reference', 'wasm'])(
    'ends the run by the name of the tensor, in the round it happens (%s)',
    async (which) => {
      const kernels = which === 'wasm' ? await wasm() : referenceKernels();
      const weights = weightsOf(kernels, -27);
      // 2^1 / 2^-27 = 2^28 a round for tensor 0, half of it for the next.
      let rounds = 0;
      expect(() => {
        for (; rounds < 100; rounds++) applyRound(weights, direction, RUN, large(rounds));
      }).toThrow(/^RANGE: tensor "tensor\d" reached \|q\| = \d+; lower the learning rate or the clip$/);
      expect(rounds).toBeGreaterThan(2);
      expect(() => checksum(weights, rounds, RUN)).toThrow(/^RANGE: tensor "tensor\d"/);
    },
  );
});

test('terms that round to zero are left out', () => {
  const [tensor] = weightsOf(referenceKernels()).tensors;
  const set = contributions(RUN, roundOf(0, [1, 2, 3]));
  const words = referenceKernels().roundingWords(tensor!.id, set);
  expect(termsOf(tensor!, { ...header(0, 3), gain: 0 }, set, words)).toEqual([]);
  expect(termsOf(tensor!, { ...header(0, 3), gain: 1 }, set, words).map(({ c }) => c)).toEqual([
    -(2 ** 27),
    -(2 ** 28),
    -3 * 2 ** 27,
  ]);
});

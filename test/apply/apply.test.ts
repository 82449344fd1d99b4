/** Journal → weights: the only arithmetic that every replica must repeat to the bit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { applyRound, contributions, termsOf } from '../../src/apply/apply.ts';
import { checksum, root } from '../../src/apply/digest.ts';
import { size } from '../../src/graph/shape.ts';
import type { Weights } from '../../src/model/weights.ts';
import { type Direction, NO_LOSS, type Round, type Segment } from '../../src/nouns.ts';
import { SCALE_UNIT } from '../../src/numeric/byte.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { maskOf } from '../../src/numeric/mask.ts';
import { direction as noise } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';
import { integers } from '../numeric/arbitrary.ts';

const RUN = 0xfeed_beef;
const SHAPES: readonly (readonly number[])[] = [[7], [12, 5], [1, 9], [33, 130]];

/** Weights of a few tensors, anywhere in the range of a base. */
async function weightsOf(kernels: Kernels): Promise<Weights> {
  const model = { tensors: SHAPES.map((shape, id) => ({ name: `tensor${id}`, shape, id })), blocks: [] };
  return weightsIn(
    kernels,
    model,
    (name) => {
      const id = Number(name.at(-1));
      return Float32Array.from(integers(size(SHAPES[id]!), 5 + id), (x) => (x >> 3) * 2 ** (id - 27));
    },
    0,
  );
}

const bits = async (weights: Weights): Promise<number[][]> => (await integersOf(weights)).map((q) => [...q]);

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

async function applied(kernels: Kernels, direction: Direction, rounds: readonly Round[]): Promise<Weights> {
  const weights = await weightsOf(kernels);
  for (const round of rounds) await applyRound(weights, direction, RUN, round);
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
      fc.asyncProperty(arbitrary, async ({ direction, all, cuts, seed }) => {
        const one = roundOf(4, all);
        const many = roundOf(4, all, cuts, (n) => (n * 7 + seed) >>> 0);
        const turned = { ...many, segments: many.segments.toReversed() };
        const expected = await bits(await applied(referenceKernels(), direction, [one]));
        expect(await bits(await applied(referenceKernels(), direction, [many]))).toEqual(expected);
        expect(await bits(await applied(referenceKernels(), direction, [turned]))).toEqual(expected);
      }),
      { numRuns: 40 },
    ));

  test('is the sum of its records, one at a time', () =>
    fc.assert(
      fc.asyncProperty(arbitrary, async ({ direction, all }) => {
        const singles = all.map((code, from): Round => {
          const { header } = roundOf(4, all);
          return { header, segments: [{ slot: 0, from, codes: Int8Array.of(code) }] };
        });
        const together = await applied(referenceKernels(), direction, [roundOf(4, all)]);
        expect(await bits(await applied(referenceKernels(), direction, singles.toReversed()))).toEqual(
          await bits(together),
        );
      }),
      { numRuns: 40 },
    ));

  test('a record without a loss counts for nothing, and keeps its place', async () => {
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
    expect(await bits(await applied(referenceKernels(), direction, [{ header, segments: apart }]))).toEqual(
      await bits(await applied(referenceKernels(), direction, [{ header, segments }])),
    );
    const nothing = await applied(referenceKernels(), direction, [roundOf(2, [NO_LOSS, NO_LOSS])]);
    expect(await bits(nothing)).toEqual(await bits(await weightsOf(referenceKernels())));
  });

  test('weights move by -gain · slope · z, within the rounding of one unit a record', () =>
    fc.assert(
      fc.asyncProperty(arbitrary, async ({ direction, all }) => {
        const round = roundOf(9, all);
        const { tensors } = await weightsOf(referenceKernels());
        const before = await integersOf(await weightsOf(referenceKernels()));
        const after = await integersOf(await applied(referenceKernels(), direction, [round]));
        const { gain, scale, clip } = round.header;
        for (const [t, tensor] of tensors.entries()) {
          const unit = 2 ** tensor.exponent;
          const expected = new Float64Array(before[t]!.length);
          let reach = 0;
          for (const { key, code } of contributions(RUN, round)) {
            const slope = Math.max(-clip, Math.min(clip, code)) * scale * SCALE_UNIT;
            const z = noise(tensor, direction.kind, direction.rank, key);
            reach += z.reduce((most, x) => Math.max(most, Math.abs(x)), 0) * unit;
            z.forEach((x, i) => {
              expected[i]! -= gain * slope * x;
            });
          }
          after[t]!.forEach((q, i) => {
            const moved = (q - before[t]![i]!) * unit;
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
          const a = await applied(referenceKernels(), direction, committed);
          const b = await applied(await wasm(), direction, committed);
          expect(await bits(b)).toEqual(await bits(a));
          for (const round of [0, 1, rounds.length])
            expect(await checksum(b, round, RUN)).toEqual(await checksum(a, round, RUN));
          expect(await root(b, nodeCrypto)).toEqual(await root(a, nodeCrypto));
        },
      ),
      { numRuns: 25 },
    ));

  test('owed and added in one go, or one by one: the same weights', () =>
    fc.assert(
      fc.asyncProperty(
        directions,
        fc.array(fc.array(codes, { minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 6 }),
        fc.array(fc.nat(SHAPES.length - 1), { maxLength: 6 }),
        async (direction, rounds, looks) => {
          const committed = rounds.map((all, round) => roundOf(round, all));
          const [owing, paying] = [await weightsOf(referenceKernels()), await weightsOf(referenceKernels())];
          for (const [i, round] of committed.entries()) {
            await applyRound(owing, direction, RUN, round);
            const look = looks[i];
            if (look !== undefined) await owing.visit(`tensor${look}`, ({ tensor }) => void tensor(`tensor${look}`));
            await applyRound(paying, direction, RUN, round);
            while (await paying.settleOne());
          }
          expect(await bits(owing)).toEqual(await bits(paying));
        },
      ),
      { numRuns: 40 },
    ));

  test('the number of the round is in the noise and in the checksum', async () => {
    const direction: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
    const at = (round: number) => applied(referenceKernels(), direction, [roundOf(round, [50])]);
    const [one, two] = [await at(1), await at(2)];
    expect(await bits(one)).not.toEqual(await bits(two));
    expect(await checksum(one, 1, RUN)).not.toEqual(await checksum(one, 2, RUN));
    expect(await checksum(one, 1, RUN)).not.toEqual(await checksum(one, 1, RUN + 1));
  });
});

describe('digests', () => {
  test('one changed bit anywhere changes both', () =>
    fc.assert(
      fc.asyncProperty(fc.nat(SHAPES.length - 1), fc.nat(), fc.nat(30), async (t, i, bit) => {
        const weights = await weightsOf(referenceKernels());
        const before = [await checksum(weights, 3, RUN), await root(weights, nodeCrypto)];
        await weights.visit(`tensor${t}`, ({ tensor }) => {
          const { q } = tensor(`tensor${t}`);
          q[i % q.length]! ^= 1 << Math.min(bit, 27);
        });
        expect(await checksum(weights, 3, RUN)).not.toEqual(before[0]);
        expect(await root(weights, nodeCrypto)).not.toEqual(before[1]);
      }),
    ));

  test('an element counts where it is: tensors of equal contents may not be swapped', async () => {
    const pair = (...values: readonly number[][]): Promise<Weights> => {
      const tensors = values.map((_, id) => ({ name: `t${id}`, shape: [3], id }));
      const weight = (name: string) => Float32Array.from(values[Number(name.at(-1))]!);
      return weightsIn(referenceKernels(), { tensors, blocks: [] }, weight, 0);
    };
    const [a, b] = [await pair([1, 2, 3], [3, 2, 1]), await pair([3, 2, 1], [1, 2, 3])];
    expect(await checksum(a, 0, RUN)).not.toEqual(await checksum(b, 0, RUN));
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
      const weights = await weightsOf(kernels);
      // 2^1 / 2^-27 = 2^28 a round for tensor 0, half of it for the next.
      let rounds = 0;
      const endless = async () => {
        for (; rounds < 100; rounds++) await applyRound(weights, direction, RUN, large(rounds));
      };
      await expect(endless()).rejects.toThrow(
        /^RANGE: tensor "tensor\d" reached \|q\| = \d+; lower the learning rate or the clip$/,
      );
      expect(rounds).toBeGreaterThan(2);
      await expect(checksum(weights, rounds, RUN)).rejects.toThrow(/^RANGE: tensor "tensor\d"/);
    },
  );
});

test('terms that round to zero are left out', async () => {
  const [tensor] = (await weightsOf(referenceKernels())).tensors;
  const set = contributions(RUN, roundOf(0, [1, 2, 3]));
  const words = referenceKernels().roundingWords(tensor!.id, set);
  expect(termsOf(tensor!, { ...header(0, 3), gain: 0 }, set, words)).toEqual([]);
  expect(termsOf(tensor!, { ...header(0, 3), gain: 1 }, set, words).map(({ c }) => c)).toEqual([
    -(2 ** 27),
    -(2 ** 28),
    -3 * 2 ** 27,
  ]);
});

test('a masked round is the whole round on the tensors it keeps, and leaves the others as they were', async () => {
  for (const kernels of [referenceKernels(), await wasm()]) {
    for (const direction of [
      { kind: 'lowrank', rank: 1, scale: 1 },
      { kind: 'binomial', rank: 1, scale: 0.5 },
    ] as const) {
      const round = roundOf(6, [5, NO_LOSS, -9, 77]);
      const before = await bits(await weightsOf(referenceKernels()));
      const whole = await bits(await applied(referenceKernels(), direction, [round]));
      const ids = SHAPES.map((_, id) => id);
      const kept = maskOf({ kept: 1, of: 2 }, ids, 6, RUN);
      expect(ids.filter(kept)).toHaveLength(2);
      const weights = await weightsOf(kernels);
      await applyRound(weights, direction, RUN, round, kept);
      expect(await bits(weights)).toEqual(ids.map((id) => (kept(id) ? whole[id] : before[id])));
      for (const id of ids) expect(whole[id]).not.toEqual(before[id]);
    }
  }
});

test('records along one direction are rounded each by a word of its own: their sum is what they add up to', async () => {
  const direction: Direction = { kind: 'rademacher', rank: 1, scale: 1 };
  const count = 400;
  const round: Round = {
    header: { ...header(5, count, 0.3 * 2 ** -27), scale: 2 ** 32 },
    segments: [{ slot: 0, from: 0, codes: new Int8Array(count).fill(1) }],
  };
  for (const directions of [{ pool: 1 }, { shared: 1 }]) {
    const before = await integersOf(await weightsOf(referenceKernels()));
    const weights = await weightsOf(referenceKernels());
    expect(weights.tensors[0]!.exponent).toBe(-27);
    await applyRound(weights, direction, RUN, round, undefined, 0, directions);
    const [moved] = (await integersOf(weights)).map((q, t) => q.map((x, i) => Math.abs(x - before[t]![i]!)));
    expect(new Set(moved).size).toBe(1);
    // Each adds 0 or 1, so that one word for all would make it 0 or 400: five deviations of sqrt(400 · 0.3 · 0.7).
    expect(Math.abs(moved![0]! - 0.3 * count)).toBeLessThan(46);
  }
});

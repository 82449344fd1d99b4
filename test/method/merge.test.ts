/** What shares come to: outer steps, steps of the optimizer, and ACCO's two halves, against plain references. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addFlat, type Flat, flatOf } from '../../src/apply/flat.ts';
import { innerRate, mergeRate } from '../../src/method/exchange.ts';
import { chunksOf, type Given, type MergeState, mergeState, mixShares, valuesOf } from '../../src/method/merge.ts';
import { addToMomentum, halfStep } from '../../src/method/monna.ts';
import { CHUNK_WEIGHTS, type Exchange, type FirstOrder, type Format } from '../../src/nouns.ts';
import { adamw, nextPowers, noPowers } from '../../src/optimizer/adamw.ts';
import { clipFactor, globalNorm } from '../../src/optimizer/clip.ts';
import { sgd } from '../../src/optimizer/sgd.ts';
import { mergeShares } from './merge-whole.ts';

const SGD: FirstOrder = { kind: 'sgd', momentum: 0 };
const ADAMW: FirstOrder = { kind: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 };

const exchange = (changed: Partial<Exchange>): Exchange => ({
  kind: 'diloco',
  optim: SGD,
  ...{ weight_decay: 0, max_grad_norm: 0, per_device_train_batch_size: 1, gradient_accumulation_steps: 1 },
  ...{ steps: 64, outer_learning_rate: 0.5, outer_momentum: 0.5, format: 'f32' },
  ...{ fragments: 1, overlap: 0, mixing: 0, data_parts: 1, dropped: 0 },
  ...changed,
});

/** One tensor that is not decayed, in steps of 2^exponent. */
const vector = (n: number, exponent = -20): Flat => flatOf([{ name: 'v', shape: [n], id: 0, exponent }]);

const given = (slot: number, values: readonly number[], count = 1, format: Format = 'f32'): Given => ({
  slot,
  count,
  chunks: chunksOf(format, Float32Array.from(values)),
});

/** The change that a merge gives, as numbers. */
function changeOf(
  run: Exchange,
  flat: Flat,
  shares: readonly Given[],
  state: MergeState,
  { round = 0, rate = 0, q = new Int32Array(flat.length) } = {},
): number[] {
  const { chunks } = mergeShares(run, flat, q, shares, state, { round, rate });
  return [...valuesOf(run.format, chunks, flat.length)];
}

describe('the outer step of DiLoCo', () => {
  test('three rounds worked out by hand: u ← μ u + Δ, θ ← θ - η (Δ + μ u)', () => {
    const run = exchange({ outer_learning_rate: 0.5, outer_momentum: 0.5 });
    const flat = vector(2);
    const state = mergeState(run, 2);
    const round = (number: number, ...shares: number[][]) =>
      changeOf(
        run,
        flat,
        shares.map((values, slot) => given(slot, values)),
        state,
        { round: number },
      );
    // Means (2, 8), (4, 0), (-4, -8). u: (2, 8), (5, 4), (-1.5, -6).
    expect(round(0, [1, 8], [3, 8])).toEqual([-1.5, -6]); // -(2 + 1)/2, -(8 + 4)/2
    expect(round(1, [4, 0])).toEqual([-3.25, -1]); // -(4 + 2.5)/2, -(0 + 2)/2
    expect(round(2, [-6, -9], [-3, -9], [-3, -6])).toEqual([2.375, 5.5]); // (4 + 0.75)/2, (8 + 3)/2
    expect([...state.moments[0]!]).toEqual([-1.5, -6]);
  });

  test('without momentum and at rate 1, weights become the mean of those that peers came to', () => {
    const run = exchange({ outer_learning_rate: 1, outer_momentum: 0 });
    const change = changeOf(run, vector(2), [given(0, [1, -2]), given(1, [3, 6])], mergeState(run, 2));
    expect(change).toEqual([-2, -2]);
  });

  test('the mean is over the shares that came, each for one whatever its steps', () => {
    const run = exchange({ outer_learning_rate: 1, outer_momentum: 0 });
    const shares = [given(1, [4], 60), given(4, [8], 1), given(9, [0], 3)];
    expect(changeOf(run, vector(1), shares, mergeState(run, 1))).toEqual([-4]);
    expect(changeOf(run, vector(1), shares.slice(0, 2), mergeState(run, 1))).toEqual([-6]);
    expect(changeOf(run, vector(1), shares.slice(1, 2), mergeState(run, 1))).toEqual([-8]);
  });

  test('it is the same for AdamW inside: the inner optimizer is no part of it', () => {
    const run = exchange({ optim: ADAMW, weight_decay: 0.5, max_grad_norm: 1 });
    const flat = flatOf([{ name: 'm', shape: [1, 2], id: 0, exponent: -20 }]);
    const q = Int32Array.of(2 ** 20, 2 ** 20);
    expect(changeOf(run, flat, [given(0, [30, 40])], mergeState(run, 2), { q, rate: 9 })).toEqual([-22.5, -30]);
  });
});

describe('shares', () => {
  const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 3, maxLength: 3 });
  const shares = fc.uniqueArray(fc.record({ slot: fc.nat(500), count: fc.integer({ min: 1, max: 64 }), values }), {
    selector: ({ slot }) => slot,
    minLength: 1,
    maxLength: 6,
  });
  const kinds = fc.constantFrom<Exchange>(
    exchange({}),
    exchange({ kind: 'ddp', optim: ADAMW }),
    exchange({ kind: 'acco', optim: { kind: 'sgd', momentum: 0.9 } }),
  );

  test('come in any order: the change is the same to the bit', () => {
    fc.assert(
      fc.property(shares, kinds, fc.nat(1000), fc.nat(1), (all, run, seed, round) => {
        const list = all.map((share) => given(share.slot, share.values, share.count));
        const shuffled = list.map((share, i) => ({ share, key: ((i + 1) * (seed + 1) * 7919) % 1009 }));
        shuffled.sort((a, b) => a.key - b.key);
        const go = (order: readonly Given[]) =>
          mergeShares(run, vector(3), new Int32Array(3), order, mergeState(run, 3), { round, rate: 0.1 }).chunks;
        expect(go(shuffled.map(({ share }) => share))).toEqual(go(list));
      }),
    );
  });

  test('are added in the order of slots, where it is the order that decides', () => {
    const run = exchange({ outer_learning_rate: 1, outer_momentum: 0 });
    const [huge, one, back] = [given(1, [2 ** 60]), given(5, [3]), given(9, [-(2 ** 60)])];
    // 2^60 + 3 is 2^60 in doubles: what lies between two that cancel each other is lost.
    for (const order of [
      [huge, one, back],
      [one, back, huge],
      [back, huge, one],
    ])
      expect(changeOf(run, vector(1), order, mergeState(run, 1)).map(Math.abs)).toEqual([0]);
    expect(changeOf(run, vector(1), [huge, { ...one, slot: 10 }, back], mergeState(run, 1))).toEqual([-1]);
  });

  const wrong: readonly [string, Given][] = [
    ['too short', { slot: 3, count: 9, chunks: chunksOf('f32', new Float32Array(2)) }],
    ['too long', { slot: 3, count: 9, chunks: chunksOf('f32', new Float32Array(4)) }],
    ['of no chunks', { slot: 3, count: 9, chunks: [] }],
    ['with a value that is no number', { slot: 3, count: 9, chunks: [nanChunk()] }],
  ];
  /** (1, NaN, 1) in f32, plane by plane. */
  function nanChunk(): Uint8Array {
    const bytes = new Uint8Array(Float32Array.of(1, Number.NaN, 1).buffer);
    return Uint8Array.from({ length: 12 }, (_, i) => bytes[4 * (i % 3) + Math.floor(i / 3)]!);
  }

  test.each(wrong)('one %s is refused by slot, and the others count as if it had not come', (_, bad) => {
    for (const run of [exchange({}), exchange({ kind: 'ddp' }), exchange({ kind: 'acco' })]) {
      const good = [given(7, [1, 2, 3], 2), given(1, [5, 4, 3], 3)];
      const state = mergeState(run, 3);
      const mixed = mergeShares(run, vector(3), new Int32Array(3), [good[0]!, bad, good[1]!], state, {
        ...{ round: 1, rate: 1 },
      });
      const clean = mergeShares(run, vector(3), new Int32Array(3), good, mergeState(run, 3), { round: 1, rate: 1 });
      expect(clean.refused).toEqual([]);
      expect(mixed).toEqual({ chunks: clean.chunks, refused: [3] });
    }
  });

  test('where all are refused there is no change, and nothing is remembered of it', () => {
    for (const run of [exchange({}), exchange({ kind: 'ddp', optim: ADAMW }), exchange({ kind: 'acco' })])
      for (const round of [0, 1]) {
        const state = mergeState(run, 3);
        const all = wrong.map(([, bad], slot) => ({ ...bad, slot }));
        expect(mergeShares(run, vector(3), new Int32Array(3), all, state, { round, rate: 1 })).toEqual({
          chunks: [],
          refused: [0, 1, 2, 3],
        });
        expect(state).toEqual(mergeState(run, 3));
      }
  });

  test('a vector of several chunks is whole again', () => {
    const x = Float32Array.from({ length: CHUNK_WEIGHTS + 3 }, (_, i) => i);
    const chunks = chunksOf('f32', x);
    expect(chunks.map(({ length }) => length)).toEqual([4 * CHUNK_WEIGHTS, 12]);
    expect(Buffer.compare(new Uint8Array(valuesOf('f32', chunks, x.length).buffer), new Uint8Array(x.buffer))).toBe(0);
    expect(() => valuesOf('f32', chunks.slice(0, 1), x.length)).toThrow(
      expect.objectContaining({ code: 'SHARE_INVALID' }),
    );
  });

  test('a change that is not finite ends the run by name', () => {
    const run = exchange({ outer_learning_rate: 1e10 });
    const go = () => changeOf(run, vector(1), [given(0, [3e38])], mergeState(run, 1));
    expect(go).toThrow(expect.objectContaining({ code: 'DIVERGED' }));
  });
});

describe('error feedback', () => {
  /** Largest error of one change, as a part of the largest value of it. */
  const STEP: Readonly<Record<'int8' | 'e3m0', number>> = { int8: 1 / 127, e3m0: 1 / 3 };

  test.each(['int8', 'e3m0'] as const)(
    '%s: over many rounds what was given stays within one step of what was meant',
    (format) => {
      const value = fc.double({ min: -1, max: 1, noNaN: true });
      fc.assert(
        fc.property(fc.array(fc.tuple(value, value, value), { minLength: 20, maxLength: 60 }), (rounds) => {
          // Shares in int8 or e3m0 are what their decoded values are; the exact sum is of those.
          const run = exchange({ format, outer_learning_rate: 1, outer_momentum: 0 });
          const state = mergeState(run, 3);
          const exact = [0, 0, 0];
          const sum = [0, 0, 0];
          let step = 0;
          for (const [round, values] of rounds.entries()) {
            const share = given(0, values, 1, format);
            const meant = [...valuesOf(format, share.chunks, 3)].map((x) => -x);
            const peak = Math.max(...meant.map((x, i) => Math.abs(x + state.residue[i]!)));
            const change = changeOf(run, vector(3), [share], state, { round });
            step = STEP[format] * peak;
            for (let i = 0; i < 3; i++) {
              exact[i]! += meant[i]!;
              sum[i]! += change[i]!;
              expect(Math.abs(sum[i]! - exact[i]!)).toBeLessThanOrEqual(step + 1e-5);
              expect(state.residue[i]).toBeCloseTo(exact[i]! - sum[i]!, 5);
            }
          }
        }),
        { numRuns: 30 },
      );
    },
  );

  test.each(['int8', 'e3m0'] as const)(
    '%s: what is too small to be sent at once is sent when it has added up',
    (format) => {
      const run = exchange({ format, outer_learning_rate: 1, outer_momentum: 0 });
      const state = mergeState(run, 2);
      const small = 2 ** -10;
      let sum = 0;
      for (let round = 0; round < 256; round++) {
        // Two blocks of a share with scales of their own would be exact; the change has one.
        const shares: Given[] = [given(0, [2, 0], 1, format), given(1, [0, 2 * small], 1, format)];
        const [large, tiny] = changeOf(run, vector(2), shares, state, { round });
        expect(large).toBe(-1);
        sum += tiny!;
      }
      expect(Math.abs(sum + 256 * small)).toBeLessThanOrEqual(2 ** -6);
    },
  );

  test('an exact format keeps nothing', () => {
    expect(mergeState(exchange({ format: 'f32' }), 5).residue).toHaveLength(0);
    expect(mergeState(exchange({ format: 'f16' }), 5).residue).toHaveLength(5);
  });

  test('a tentative merge takes nothing of it, and adds nothing to it', () => {
    const run = exchange({ kind: 'acco', format: 'int8' });
    const state = mergeState(run, 2);
    state.residue.set([0.25, -0.5]);
    changeOf(run, vector(2), [given(0, [1, 0.3], 1, 'int8')], state, { round: 0, rate: 1 });
    expect([...state.residue]).toEqual([0.25, -0.5]);
  });
});

/** A matrix, which is decayed, and a vector, which is not. */
const EXPONENT = -24;
const BOTH = flatOf([
  { name: 'matrix', shape: [1, 2], id: 0, exponent: EXPONENT },
  { name: 'bias', shape: [2], id: 1, exponent: EXPONENT },
]);
const UNIT = 2 ** EXPONENT;

/** State of an optimizer as a paper has it: nothing is shared with what is tested but the step of one array. */
interface Moments {
  readonly m: Float32Array;
  readonly v: Float32Array;
  powers: { readonly beta1: number; readonly beta2: number };
}
const moments = (n: number): Moments => ({ m: new Float32Array(n), v: new Float32Array(n), powers: noPowers });
const copied = ({ m, v, powers }: Moments): Moments => ({ m: m.slice(), v: v.slice(), powers });

/** θ after a step along a mean gradient. @param w in units of weights */
function stepped(run: Exchange, w: readonly number[], mean: readonly number[], state: Moments, rate: number): number[] {
  const g = Float64Array.from(mean);
  const factor = clipFactor(globalNorm([g]), run.max_grad_norm);
  for (let i = 0; i < g.length; i++) g[i]! *= factor;
  if (run.optim.kind === 'adamw') {
    state.powers = nextPowers(state.powers, run.optim);
    adamw(g, state.m, state.v, run.optim, state.powers, rate);
  } else sgd(g, state.m, run.optim.momentum, rate);
  const change = g.map((x, i) => x - (i < 2 ? rate * run.weight_decay * w[i]! : 0));
  // As a change travels, in f32, and as weights are, in whole steps.
  return w.map((x, i) => x + Math.floor(Math.fround(change[i]!) / UNIT + 0.5) * UNIT);
}

const integersOf = (w: readonly number[]) => Int32Array.from(w, (x) => x / UNIT);
const weightsOf = (q: Int32Array): number[] => [...q].map((x) => x * UNIT);

/** Σ count · gradient / Σ count, over shares of both halves in the order in which they are added. */
function meanOf(...halves: readonly (readonly { readonly count: number; readonly values: readonly number[] }[])[]) {
  const total = halves.flat().reduce((sum, { count }) => sum + count, 0);
  return [0, 1, 2, 3].map((i) => {
    const sums = halves.map((half) =>
      half.reduce((sum, { count, values }) => sum + count * Math.fround(values[i]!), 0),
    );
    return sums.reduce((a, b) => a + b, 0) / total;
  });
}

const START = [0.5, -0.25, 1, -0.75];
const OPTIMS: readonly [string, Partial<Exchange>][] = [
  ['SGD', { optim: SGD }],
  ['SGD with momentum', { optim: { kind: 'sgd', momentum: 0.9 }, weight_decay: 0.1 }],
  ['AdamW', { optim: ADAMW, weight_decay: 0.1 }],
  ['AdamW, clipped', { optim: ADAMW, weight_decay: 0.1, max_grad_norm: 0.25 }],
  ['SGD, clipped', { optim: SGD, max_grad_norm: 0.25 }],
];

describe('gradients', () => {
  test.each(OPTIMS)('ddp: a step of %s along the mean over batches, three rounds', (_, changed) => {
    const run = exchange({ kind: 'ddp', ...changed });
    const state = mergeState(run, 4);
    const q = integersOf(START);
    const expected = moments(4);
    let w = START;
    for (let round = 0; round < 3; round++) {
      const shares = [1, 3, 4].map((count, slot) => ({ slot, count, values: w.map((x) => x + (slot - 1) / 4) }));
      const list = shares.map(({ slot, count, values }) => given(slot, values, count));
      const rate = 0.125 / (round + 1);
      addFlat(BOTH, q, Float32Array.from(changeOf(run, BOTH, list, state, { round, rate, q })));
      w = stepped(run, w, meanOf(shares), expected, rate);
      expect(weightsOf(q)).toEqual(w);
    }
  });

  test('the mean counts batches: three of one peer for three, one of another for one', () => {
    const run = exchange({ kind: 'ddp' });
    const change = changeOf(run, vector(1), [given(0, [4], 3), given(1, [-8], 1)], mergeState(run, 1), { rate: 1 });
    expect(change).toEqual([-1]);
  });

  test('decay is for matrices, and is of the weights before the step', () => {
    const run = exchange({ kind: 'ddp', weight_decay: 0.5 });
    const q = integersOf([1, -2, 1, -2]);
    const zeros = given(0, [0, 0, 0, 0]);
    const change = changeOf(run, BOTH, [zeros], mergeState(run, 4), { rate: 0.25, q });
    expect(change.map((x) => x + 0)).toEqual([-0.125, 0.25, 0, 0]);
  });

  test('clipping is of the norm of the mean, over all tensors', () => {
    const run = exchange({ kind: 'ddp', max_grad_norm: 1 });
    const change = changeOf(run, BOTH, [given(0, [6, 0, 0, 8]), given(1, [0, 0, 0, 0])], mergeState(run, 4), {
      rate: 1,
    });
    expect(change[0]).toBeCloseTo(-0.6, 6);
    expect(change[3]).toBeCloseTo(-0.8, 6);
  });

  test.each(OPTIMS)('dpu merges as ddp does: %s', (_, changed) => {
    const [ddp, dpu] = [exchange({ kind: 'ddp', ...changed }), exchange({ kind: 'dpu', ...changed })];
    const [a, b] = [mergeState(ddp, 4), mergeState(dpu, 4)];
    const q = integersOf(START);
    for (let round = 0; round < 4; round++) {
      const shares = [given(0, [round, 1, -1, 0.5], 2), given(5, [1, -round, 0.5, 2], 1)];
      const options = { round, rate: 0.125 };
      expect(mergeShares(dpu, BOTH, q, shares, b, options)).toEqual(mergeShares(ddp, BOTH, q, shares, a, options));
    }
    expect(b).toEqual(a);
  });
});

describe('ACCO on f(w) = |w|²/2, whose gradient is w', () => {
  /** Two peers, the second at a fixed distance from the first: what they find differs, and so do their counts. */
  const half = (w: readonly number[], round: number, counts: readonly number[]) =>
    counts.map((count, slot) => ({ slot, count, values: w.map((x, i) => x + (slot * (i - 1) * (round + 1)) / 16) }));
  const COUNTS = [
    [1, 5],
    [3, 2],
    [1, 1],
    [5, 2],
    [2, 7],
    [1, 6],
  ];
  const schedule = { learning_rate: 0.25, lr_scheduler_type: 'linear', warmup_steps: 0, max_steps: 8 } as const;

  test.each(OPTIMS)('three steps of %s: a guess from the first half, taken back; a step along both', (_, changed) => {
    const run = exchange({ kind: 'acco', ...changed });
    const state = mergeState(run, 4);
    const q = integersOf(START); // of the journal: θ
    const expected = moments(4);
    let theta = START;
    let guess = START; // where the first half is computed: θ̃, and θ^0 at first
    let local = q.slice();
    for (let t = 0; t < 3; t++) {
      const [first, second] = [half(guess, 2 * t, COUNTS[2 * t]!), half(theta, 2 * t + 1, COUNTS[2 * t + 1]!)];
      const rate = (0.25 * (4 - t)) / 4;
      // A: tentative, from a copy of the optimizer.
      guess = stepped(run, theta, meanOf(first), copied(expected), rate);
      // B: real, along both halves.
      theta = stepped(run, theta, meanOf(first, second), expected, rate);

      for (const [i, shares] of [first, second].entries()) {
        const round = 2 * t + i;
        expect(mergeRate(schedule as never, run, round)).toBe(rate);
        const list = shares.map(({ slot, count, values }) => given(slot, values, count));
        const change = Float32Array.from(changeOf(run, BOTH, list, state, { round, rate, q }));
        if (i === 0) {
          local = q.slice();
          addFlat(BOTH, local, change);
          expect(weightsOf(local)).toEqual(guess);
        } else {
          addFlat(BOTH, q, change);
          expect(weightsOf(q)).toEqual(theta);
        }
      }
      // The first step of AdamW is the rate against the sign, of whatever gradient.
      if (t > 0 || run.optim.kind === 'sgd') expect(guess).not.toEqual(theta);
    }
    const [m, v] = state.moments;
    expect(m).toEqual(expected.m);
    if (v) expect(v).toEqual(expected.v);
    expect(state.powers).toEqual(expected.powers);
  });

  test.each(OPTIMS)('a guess leaves the optimizer as it was, the very first as well: %s', (_, changed) => {
    const run = exchange({ kind: 'acco', ...changed });
    const state = mergeState(run, 4);
    changeOf(run, BOTH, [given(0, START, 3)], state, { round: 0, rate: 0.1, q: integersOf(START) });
    const { held, ...rest } = state;
    expect(held).toBeDefined();
    expect(rest).toEqual(mergeState(run, 4));
  });

  test('clipping and decay are of the guess too', () => {
    const run = exchange({ kind: 'acco', max_grad_norm: 1, weight_decay: 0.5 });
    const q = integersOf([1, 0, 1, 0]);
    const change = changeOf(run, BOTH, [given(0, [0, 0, 30, 40])], mergeState(run, 4), { round: 0, rate: 0.5, q });
    expect(change[0]).toBe(-0.25);
    expect(change[2]).toBeCloseTo(-0.3, 6);
    expect(change[3]).toBeCloseTo(-0.4, 6);
  });

  test('counts are of all peers and both halves', () => {
    const run = exchange({ kind: 'acco' });
    const state = mergeState(run, 1);
    const at = (round: number) => ({ round, rate: 1 });
    expect(changeOf(run, vector(1), [given(0, [8], 1), given(1, [0], 3)], state, at(0))).toEqual([-2]);
    // (8 + 0 + 4·5 + 2·6) / (1 + 3 + 4 + 2): neither the mean of halves nor that of peers.
    expect(changeOf(run, vector(1), [given(0, [5], 4), given(1, [6], 2)], state, at(1))).toEqual([-4]);
  });

  test('the halves of one step are no part of the next', () => {
    const run = exchange({ kind: 'acco' });
    const state = mergeState(run, 1);
    for (const [round, value] of [64, 64, 1, 3].entries()) {
      const change = changeOf(run, vector(1), [given(0, [value])], state, { round, rate: 1 });
      expect(change).toEqual([[-64], [-64], [-1], [-2]][round]);
    }
    expect(state.held).toBeUndefined();
  });

  /** θ of ACCO with one half as it is and the other of `count` batches of zeros. */
  function halved(zeros: 'first' | 'second', count: number, changed: Partial<Exchange>) {
    const run = exchange({ kind: 'acco', ...changed });
    const state = mergeState(run, 4);
    const q = integersOf(START);
    for (let round = 0; round < 6; round++) {
      const isZero = (round % 2 === 0) === (zeros === 'first');
      const share = isZero ? given(0, [0, 0, 0, 0], count) : given(0, weightsOf(q), 2 ** 20);
      const change = changeOf(run, BOTH, [share], state, { round, rate: 0.125, q });
      if (round % 2 === 1) addFlat(BOTH, q, Float32Array.from(change));
    }
    return weightsOf(q);
  }
  function plain(part: number, changed: Partial<Exchange>): number[] {
    const run = exchange({ kind: 'ddp', ...changed });
    const state = moments(4);
    let w = START;
    for (let t = 0; t < 3; t++)
      w = stepped(
        run,
        w,
        w.map((x) => part * x),
        state,
        0.125,
      );
    return w;
  }

  test.each(['first', 'second'] as const)('a %s half that is nearly empty leaves plain SGD', (zeros) => {
    for (const changed of [{ optim: SGD }, { optim: { kind: 'sgd', momentum: 0.9 } as const }]) {
      const found = halved(zeros, 1, changed);
      for (const [i, x] of plain(1, changed).entries()) expect(Math.abs(found[i]! - x)).toBeLessThan(1e-5);
    }
  });

  test.each(['first', 'second'] as const)('a %s half of as many zeros halves the gradient, exactly', (zeros) => {
    expect(halved(zeros, 2 ** 20, { optim: SGD })).toEqual(plain(0.5, { optim: SGD }));
    expect(halved(zeros, 2 ** 20, { optim: ADAMW })).toEqual(plain(0.5, { optim: ADAMW }));
  });

  test.each(OPTIMS)('without a first half, as after a host that came back, a step is that of ddp: %s', (_, changed) => {
    const [acco, ddp] = [exchange({ kind: 'acco', ...changed }), exchange({ kind: 'ddp', ...changed })];
    const shares = [given(0, [1, 2, -3, 0.5], 5), given(1, [0, 1, 1, -1], 2)];
    const go = (run: Exchange, round: number) =>
      changeOf(run, BOTH, shares, mergeState(run, 4), { round, rate: 0.1, q: integersOf(START) });
    expect(go(acco, 1)).toEqual(go(ddp, 1));
  });
});

describe('shares of which some lie', () => {
  const flat = vector(3);
  const honest = [
    [1, 2, 3],
    [1.5, 2.5, 2.5],
    [0.5, 1.5, 3.5],
    [1, 2, 3],
  ];
  const lies = [[1e30, -1e30, 1e30]];
  const run = (aggregation?: Exchange['aggregation']) =>
    exchange({ outer_learning_rate: 1, outer_momentum: 0, ...(aggregation ? { aggregation } : {}) });
  const merged = (own: Exchange, values: readonly (readonly number[])[]) =>
    changeOf(
      own,
      flat,
      values.map((each, slot) => given(slot, each)),
      mergeState(own, 3),
    );

  test('the mean goes where one of them says', () => {
    expect(Math.abs(merged(run(), [...honest, ...lies])[0]!)).toBeGreaterThan(1e29);
  });

  test.each(['median', 'trimmed_mean', 'geometric_median', 'krum', 'multi_krum', 'mda'] as const)(
    '%s stays among the honest ones',
    (by) => {
      const change = merged(run({ by, byzantine: 1 }), [...honest, ...lies]);
      for (const [i, x] of change.entries()) {
        const column = honest.map((values) => values[i]!);
        expect(-x).toBeGreaterThanOrEqual(Math.min(...column));
        expect(-x).toBeLessThanOrEqual(Math.max(...column));
      }
    },
  );

  test('where few came, as many may lie as leave a majority; a single share is what counts', () => {
    const own = run({ by: 'trimmed_mean', byzantine: 2 });
    expect(merged(own, [[1, 2, 3]])).toEqual([-1, -2, -3]);
    expect(merged(own, [...honest.slice(0, 2), ...lies])).toEqual([-1.5, -2, -3]);
  });

  test('a share of many steps counts for no more than another', () => {
    const own = exchange({ kind: 'ddp', aggregation: { by: 'median', byzantine: 1 } });
    const shares = [given(0, [1, 1, 1], 64), given(1, [2, 2, 2]), given(2, [3, 3, 3])];
    expect(changeOf(own, flat, shares, mergeState(own, 3), { rate: 1 })).toEqual([-2, -2, -2]);
  });
});

describe('MoNNA', () => {
  const run = exchange({ kind: 'monna', aggregation: { by: 'nna', byzantine: 1 } });
  const chunked = (...values: number[]) => chunksOf('f32', Float32Array.from(values));

  test('a peer goes on from the mean of what lies nearest to its own share, which is among it', () => {
    const others = [chunked(4, 0), chunked(100, 0)];
    expect([...mixShares(run, Float32Array.of(1, 0), others)]).toEqual([2.5, 0]);
    expect([...mixShares(run, Float32Array.of(90, 0), others)]).toEqual([95, 0]);
  });

  test('a share that is no vector counts as not arrived; of two, neither can be told to lie', () => {
    const others = [chunked(4), [Uint8Array.of(1)], [Uint8Array.of(0, 0, 0xc0, 0x7f)]];
    expect([...mixShares(run, Float32Array.of(1), others)]).toEqual([2.5]);
    expect([...mixShares(run, Float32Array.of(1), [])]).toEqual([1]);
  });

  test('what is published is the mean of what lies nearest to the median, whatever one of them says', () => {
    const shares = [given(0, [1]), given(1, [2]), given(2, [1e30])];
    expect(changeOf(run, vector(1), shares, mergeState(run, 1))[0]).toBeCloseTo(-(1 + 2 + 2) / 3, 6);
  });

  test('its momentum is damped: steps are those of the paper', () => {
    const keys = { max_steps: 10, learning_rate: 0.75, warmup_steps: 0, lr_scheduler_type: 'constant' };
    const beta = 0.9;
    const theta = Float64Array.of(1, -2);
    const own: Record<'theta' | 'm', Float64Array> = { theta: Float64Array.from(theta), m: new Float64Array(2) };
    const ours = { theta: Float64Array.from(theta), m: new Float64Array(2) };
    for (let t = 0; t < 5; t++) {
      const g = Float64Array.of(Math.sin(t), 1 / (t + 1));
      addToMomentum(own.m, g, beta);
      own.theta = halfStep(own.theta, own.m, 0.75);
      const rate = innerRate(keys as never, exchange({ kind: 'monna', optim: { kind: 'sgd', momentum: beta } }), t);
      sgd(g, ours.m, beta, rate);
      ours.theta.forEach((w, i) => void (ours.theta[i] = w + g[i]!));
    }
    expect([...ours.theta]).toEqual([...own.theta].map((w) => expect.closeTo(w, 12)));
  });
});

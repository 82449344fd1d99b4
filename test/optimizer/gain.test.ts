/** Steps by optimizer, against what their papers say in floats. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Manifest, NO_LOSS, type Optimizer, type Round } from '../../src/nouns.ts';
import { decodeSlope, SCALE_UNIT } from '../../src/numeric/byte.ts';
import { coefficient } from '../../src/numeric/coefficient.ts';
import { squareRoot } from '../../src/numeric/root.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { codeSums, type HeaderState, nextState, spread } from '../../src/optimizer/gain.ts';
import { checkHeader, type HeaderRules, headerOf, usableCodes } from '../../src/optimizer/header.ts';
import { checkRecent, recentOf, stepsOf, windowOf } from '../../src/optimizer/steps.ts';

const RULES: HeaderRules = {
  learning_rate: 1e-2,
  lr_scheduler_type: 'constant',
  warmup_steps: 0,
  max_steps: 1000,
  direction: { kind: 'rademacher', rank: 1, scale: 1 },
  reduction: 'mean',
  clip: 100,
};
const SCALE = 2 ** 27;

const withOptimizer = (optimizer: Optimizer): HeaderRules => ({ ...RULES, optimizer });
const segmentsOf = (codes: readonly number[]): Round['segments'] => [
  { slot: 0, from: 0, codes: Int8Array.from(codes) },
];

/** A journal of these codes, the header of every round made as a host makes it. */
function journalOf(rules: HeaderRules, codes: readonly (readonly number[])[]): Round[] {
  let state: HeaderState = scaleState(SCALE);
  return codes.map((own, t) => {
    const segments = segmentsOf(own);
    const header = headerOf(rules, state, t, usableCodes(segments), codeSums(segments, rules.clip));
    const round = { header, segments };
    checkHeader(rules, state, t, round);
    state = nextState(rules, state, round);
    return round;
  });
}

/** Slopes of a round as they count. */
const slopesOf = ({ header, segments }: Round): number[] =>
  segments.flatMap(({ codes }) =>
    [...codes].flatMap((code) =>
      code === NO_LOSS ? [] : [decodeSlope(Math.max(-header.clip, Math.min(header.clip, code)), header.scale)],
    ),
  );

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const close = (found: number, wanted: number, relative = 1e-9): void =>
  expect(Math.abs(found - wanted), `${found} for ${wanted}`).toBeLessThanOrEqual(relative * Math.abs(wanted));

const code = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: -127, max: 127 }) }, fc.constant(NO_LOSS));
const rounds = fc.array(fc.array(code, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 });

test('the square root of + and / is that of the library, to a bit of the last place', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-200, max: 1e200, noNaN: true }), (x) => {
      close(squareRoot(x), Math.sqrt(x), 2 ** -52);
    }),
    { numRuns: 2000 },
  );
  expect([squareRoot(0), squareRoot(1), squareRoot(4), squareRoot(2 ** -60)]).toEqual([0, 1, 2, 2 ** -30]);
});

describe('sign', () => {
  const rules = withOptimizer({ kind: 'sign' });

  test('a record moves by the rate, whatever its code and the scale', () => {
    const [round] = journalOf(rules, [[3, -100, 127, 0, NO_LOSS]]);
    const [step] = stepsOf(rules, round!, []);
    const moved = [3, -100, 127, 0, NO_LOSS].map((own) => coefficient(step!.round.header, own, -27, 0) * 2 ** -27);
    for (const [i, sign] of [1, -1, 1, 0, 0].entries()) expect(moved[i]).toBeCloseTo((-sign * 1e-2) / 4, 7);
    expect(stepsOf(rules, round!, [])).toHaveLength(1);
  });
});

describe('normalised', () => {
  const rules = withOptimizer({ kind: 'normalised' });

  test('slopes are divided by the standard deviation of the round', () => {
    fc.assert(
      fc.property(fc.array(code, { minLength: 2, maxLength: 40 }), (codes) => {
        const [round] = journalOf(rules, [codes]);
        const slopes = slopesOf(round!);
        const variance = slopes.reduce((sum, g) => sum + (g - mean(slopes)) ** 2, 0) / (slopes.length - 1);
        fc.pre(slopes.length > 1 && variance > 0);
        close(round!.header.gain, 1e-2 / slopes.length / Math.sqrt(variance), 1e-3);
      }),
    );
  });

  test('so a loss that is seven times as steep gives the same step', () => {
    const step = (scale: number) => {
      const header = headerOf(rules, scaleState(scale), 0, 3, codeSums(segmentsOf([9, -40, 77]), 100));
      return header.gain * header.scale;
    };
    close(step(7 * SCALE), step(SCALE), 1e-14);
    // Plain SGD's does not stay.
    const plain = (scale: number) => headerOf(RULES, scaleState(scale), 0, 3).gain * scale;
    expect(plain(7 * SCALE)).toBeGreaterThan(6 * plain(SCALE));
  });

  test('with one code a round, by the root mean square of the window and itself', () => {
    const journal = journalOf(rules, [[30], [-40], [50]]);
    for (const [t, { header }] of journal.entries()) {
      const seen = journal.slice(0, t + 1).flatMap(slopesOf);
      close(header.gain, 1e-2 / Math.sqrt(mean(seen.map((g) => g * g))), 1e-6);
    }
  });

  test('nothing to divide by is no step, and no number that is none', () => {
    expect(journalOf(rules, [[0, 0, 0], [NO_LOSS], [0]]).map(({ header }) => header.gain)).toEqual([0, 0, 0]);
    expect(spread(scaleState(SCALE), codeSums([], 100))).toBe(0);
    expect(journalOf(rules, [[7, 7, 7]])[0]!.header.gain).toBeGreaterThan(0);
  });
});

/** Of each record of each round, what it moves in round t: effective slope factor by (t, s). */
function factors(rules: HeaderRules & Pick<Manifest, 'optimizer'>, journal: readonly Round[]): number[][] {
  return journal.map((round, t) => {
    const row = new Array<number>(t + 1).fill(0);
    for (const { round: step, age } of stepsOf(rules, round, recentOf(rules, journal, t)))
      row[t - age] = step.header.gain;
    return row;
  });
}

describe('momentum', () => {
  const optimizer = { kind: 'momentum', beta: 0.8, window: 4 } as const;

  test('is m = beta m + g of the mean slopes, cut after its window (MeZO 2.1; torch SGD)', () => {
    fc.assert(
      fc.property(rounds, fc.constantFrom('mean', 'sqrt', 'sum'), (codes, reduction) => {
        const rules = { ...withOptimizer(optimizer), reduction };
        const journal = journalOf(rules, codes);
        const divided = { mean: (n: number) => n, sqrt: Math.sqrt, sum: () => 1 }[reduction];
        for (const [t, row] of factors(rules, journal).entries())
          for (const [s, found] of row.entries()) {
            const [now, then] = [journal[t]!.header.usable, journal[s]!.header.usable];
            const wanted = now === 0 || then === 0 || t - s >= 4 ? 0 : (1e-2 * 0.8 ** (t - s)) / divided(then);
            expect(found).toBeCloseTo(wanted, 6);
          }
      }),
    );
  });

  test('and needs the rounds of its window, no more, no less, in order', () => {
    const rules = withOptimizer(optimizer);
    const journal = journalOf(rules, [[1], [2], [3], [4], [5], [6]]);
    expect(windowOf(rules)).toBe(4);
    expect(recentOf(rules, journal, 5).map(({ header }) => header.round)).toEqual([2, 3, 4]);
    expect(recentOf(rules, journal, 1).map(({ header }) => header.round)).toEqual([0]);
    checkRecent(rules, journal.slice(2, 5), 5);
    for (const wrong of [[], journal.slice(3, 5), journal.slice(1, 4), journal.slice(1, 5)])
      expect(() => checkRecent(rules, wrong, 5)).toThrow('"recent" expected the 3 rounds before round 5');
    expect(() => stepsOf(rules, journal[5]!, [])).toThrow(RangeError);
  });
});

describe('scalar Adam', () => {
  const optimizer = { kind: 'scalar_adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-3, window: 1024 } as const;
  const adam = (journal: readonly Round[]) => {
    let [m, v] = [0, 0];
    return journal.map((round, t) => {
      const slopes = slopesOf(round);
      m = 0.9 * m + 0.1 * mean(slopes);
      v = 0.99 * v + 0.01 * mean(slopes.map((g) => g * g));
      return { m: m / (1 - 0.9 ** (t + 1)), root: Math.sqrt(v / (1 - 0.99 ** (t + 1))) + 1e-3 };
    });
  };
  const usable = fc.array(fc.array(fc.integer({ min: -127, max: 127 }), { minLength: 1, maxLength: 6 }), {
    minLength: 1,
    maxLength: 12,
  });

  test('is Adam on the history of slopes: m and v with bias correction', () => {
    fc.assert(
      fc.property(usable, (codes) => {
        fc.pre(codes[0]!.some((one) => one !== 0));
        const rules = withOptimizer(optimizer);
        const journal = journalOf(rules, codes);
        const wanted = adam(journal);
        for (const [t, row] of factors(rules, journal).entries()) {
          // Along one direction that all records share, the step is that of Adam on the mean slope.
          const step = row.reduce((sum, gain, s) => sum + gain * slopesOf(journal[s]!).reduce((a, b) => a + b, 0), 0);
          expect(step).toBeCloseTo((1e-2 * wanted[t]!.m) / wanted[t]!.root, 10);
        }
      }),
    );
  });

  test('with signs for noise and one record a round its v is the second moment of every coordinate, as z² = 1', () => {
    const rules = withOptimizer({ ...optimizer, beta1: 0 });
    const journal = journalOf(rules, [[20], [-60], [5], [90], [-1]]);
    const signs = [1, -1, -1, 1, -1];
    let v = 0;
    for (const [t, round] of journal.entries()) {
      const estimate = slopesOf(round)[0]! * signs[t]!; // of the gradient, at a coordinate
      v = 0.99 * v + 0.01 * estimate * estimate;
      close(round.header.gain, 1e-2 / (Math.sqrt(v / (1 - 0.99 ** (t + 1))) + 1e-3), 1e-9);
    }
  });

  test('a first round without slopes is no step', () => {
    const rules = withOptimizer(optimizer);
    const gains = journalOf(rules, [[0, 0], [NO_LOSS], [4, 4]]).map(({ header }) => header.gain);
    expect(gains.slice(0, 2)).toEqual([0, 0]);
    expect(gains[2]! * SCALE * SCALE_UNIT).toBeGreaterThan(0);
  });
});

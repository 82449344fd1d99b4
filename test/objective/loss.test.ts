import { describe, expect, test } from 'vitest';
import type { Batch } from '../../src/nouns.ts';
import { crossEntropy, predictions, sequenceLosses } from '../../src/objective/loss.ts';
import { CHOICE } from './models.ts';

/** Two sequences of two scored positions, the last of them padding. */
const batch: Batch = {
  sequences: 2,
  tokens: 4,
  scored: 2,
  ids: new Int32Array(8),
  at: new Int32Array(4),
  targets: Int32Array.of(2, 0, 1, 1),
  weights: Float32Array.of(1, 1, 1, 0),
  lengths: Int32Array.of(4, 4),
  members: Int32Array.of(0, 1),
};

describe('language modelling', () => {
  test('a loss is the sum of its token losses over the window, padding left out', () => {
    const losses = sequenceLosses({ kind: 'lm', window: 4 }, batch, Float32Array.of(1, 2.5, 3, 1000));
    expect([...losses]).toEqual([(1 + 2.5) / 4, 3 / 4]);
  });

  test('NaN at a padded position does not show, at a scored one it does', () => {
    const lm = { kind: 'lm', window: 4 } as const;
    expect([...sequenceLosses(lm, batch, Float32Array.of(1, 1, 1, Number.NaN))]).toEqual([0.5, 0.25]);
    expect(sequenceLosses(lm, batch, Float32Array.of(1, Number.NaN, 1, 1))[0]).toBeNaN();
  });
});

describe('choice', () => {
  const one: Batch = { ...batch, scored: 1, targets: Int32Array.of(2, 0), weights: Float32Array.of(1, 1) };
  const scores = Float32Array.of(1, 0, 3, 0.5, 2, -1);

  test('a loss is the cross entropy over the label words', () => {
    const logSumExp = (xs: readonly number[]) => Math.log(xs.reduce((sum, x) => sum + Math.exp(x), 0));
    const expected = [logSumExp([1, 0, 3]) - 3, logSumExp([0.5, 2, -1]) - 0.5];
    sequenceLosses(CHOICE, one, scores).forEach((loss, i) => {
      expect(loss).toBeCloseTo(expected[i]!, 12);
    });
  });

  test('the highest score is the prediction, the first of several', () => {
    expect([...predictions(CHOICE, one, scores)]).toEqual([2, 1]);
    expect([...predictions(CHOICE, one, Float32Array.of(7, 7, 7, 1, 2, 2))]).toEqual([0, 1]);
  });

  test('cross entropy survives scores that overflow exp', () => {
    expect(crossEntropy(Float32Array.of(1e4, 0), 0)).toBe(0);
    expect(crossEntropy(Float32Array.of(1e4, 0), 1)).toBe(1e4);
    expect(crossEntropy(Float32Array.of(Number.NaN, 0), 1)).toBeNaN();
  });
});

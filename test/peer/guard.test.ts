/** A run that makes no sense any more is told so, with what to try; one that does is left alone. */
import { describe, expect, test } from 'vitest';
import { lossesOf, verdict } from '../../src/peer/guard.ts';

const RUN = { max_steps: 100, learning_rate: 1e-3 };
const curve = (losses: readonly number[], each = 5) => losses.map((loss, i) => ({ round: i * each, loss }));

describe('a run', () => {
  test('that learns is left alone, and so is one that climbs a little before it does', () => {
    expect(verdict(curve([0.7, 0.6, 0.5, 0.4]), RUN)).toBeUndefined();
    expect(verdict(curve([5, 5.9, 5.2, 4.8]), RUN)).toBeUndefined();
    expect(verdict(curve([5, 9, 4.9, 9, 4.8]), RUN)).toBeUndefined();
  });
  test('twice in a row far above its base has diverged, and is told a lower rate', () => {
    expect(verdict(curve([0.7, 0.9, 2.1]), RUN)).toBeUndefined();
    expect(verdict(curve([0.7, 0.9, 2.1, 2.2]), RUN)).toMatchObject({
      code: 'DIVERGED',
      detail: expect.stringMatching(/after 15 rounds is 2\.2, from 0\.7 at the base; try --learning_rate 0\.00025$/),
    });
    expect(verdict(curve([5, 7.4, 7.4]), RUN)).toBeUndefined();
    expect(verdict(curve([5, 7.6, 7.6]), RUN)?.code).toBe('DIVERGED');
  });
  test('whose loss is not a number has diverged at once', () => {
    expect(verdict(curve([0.7, Number.NaN]), RUN)?.code).toBe('DIVERGED');
  });
  test('that has not moved at half its rounds is told a higher rate, not before', () => {
    const still = (n: number) => Array.from({ length: n }, (_, i) => 0.7 + (i % 2) * 1e-4);
    expect(verdict(curve(still(9), 5), RUN)).toBeUndefined();
    expect(verdict(curve(still(11), 5), RUN)).toMatchObject({
      code: 'STALLED',
      detail: expect.stringMatching(/after 50 rounds is still 0\.7, .*try --learning_rate 0\.01,/),
    });
    expect(verdict(curve(still(4), 25), RUN)).toBeUndefined();
    expect(verdict(curve([...still(10), 0.69], 5), RUN)).toBeUndefined();
  });
  test('that was not judged at its base is not judged at all', () => {
    expect(verdict([{ round: 5, loss: Number.NaN }], RUN)).toBeUndefined();
    expect(verdict([], RUN)).toBeUndefined();
  });
});

test('losses come out of evaluations by round, and out of those that have one', () => {
  const evaluated = new Map([
    [10, { 'eval/loss': 2 }],
    [0, { 'eval/loss': 3 }],
    [5, { 'eval/accuracy': 1 }],
  ]);
  expect(lossesOf(evaluated)).toEqual([
    { round: 0, loss: 3 },
    { round: 10, loss: 2 },
  ]);
});

/** How the time of a step follows from what is timed: what is spared, and what is added again. */
import { describe, expect, test } from 'vitest';
import { viewOf, windowsOf } from '../../../src/model/view.ts';
import { referenceKernels } from '../../../src/numeric/reference/reference.ts';
import { isWritten, meanWindow, stillBlocks } from '../../../src/peer/node/estimate.ts';
import { extrapolated, leastSeconds } from '../../../src/peer/node/excerpt.ts';
import { fixture } from '../../objective/models.ts';

test('a window of momentum fills: so many rounds are added in the mean of a run', () => {
  const mean = (window: number, max_steps: number) =>
    meanWindow({ optimizer: { kind: 'momentum', beta: 0.9, window }, max_steps });
  const counted = (window: number, rounds: number) =>
    Array.from({ length: rounds }, (_, t) => Math.min(t + 1, window)).reduce((a, b) => a + b) / rounds;
  for (const [window, rounds] of [
    [1, 5],
    [3, 5],
    [66, 1000],
    [66, 10],
  ] as const)
    expect(mean(window, rounds)).toBeCloseTo(counted(window, rounds), 9);
  expect(meanWindow({ max_steps: 100 })).toBe(1);
  expect(meanWindow({ max_steps: 100, optimizer: { kind: 'sign' } })).toBe(1);
});

describe('blocks', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const task = { kind: 'choice', prompt: '{text}', label_column: 'label', labels: [] } as const;
  const subject = {
    manifest: { task },
    model: { ...model, blocks: Array.from({ length: 10 }, () => model.blocks[0]!) },
  };

  test('before all that moves are still, in the mean over windows', () => {
    const all = viewOf(model, 'full');
    expect(stillBlocks(model, [all])).toBe(0);
    expect(stillBlocks(model, [viewOf(model, { last_blocks: 1 })])).toBe(1);
    expect(stillBlocks(model, windowsOf(model, all, 1))).toBe(1 / 2);
    expect(stillBlocks(model, [[]])).toBe(model.blocks.length);
  });

  test('each adds what two more took, unless it is spared', () => {
    expect(extrapolated([1, 5, 1], subject, 0)).toBeCloseTo(1 + 9 * 2, 12);
    expect(extrapolated([1, 5, 1], subject, 3)).toBeCloseTo(1 + 6 * 2, 12);
    expect(extrapolated([1, 0.9, 0.8], subject, 0), 'noise takes no time away').toBe(1);
  });
});

test('of repetitions the quickest counts, the first does not, and none begins when patience is over', async () => {
  const ms = [9000, 50, 20, 30, 7000, 1, 1, 1];
  let clock = 0;
  let calls = 0;
  const work = async () => {
    clock += ms[calls++]!;
  };
  expect(await leastSeconds([work], () => clock)).toEqual([0.05]);
  expect(calls).toBe(2);
  clock = 0;
  calls = 1;
  expect(await leastSeconds([work], () => clock)).toEqual([0.02]);
  expect(calls).toBe(5);
});

test('texts are what f1 and rewards are measured on', () => {
  expect([undefined, 'accuracy' as const, 'f1' as const].map(isWritten)).toEqual([false, false, true]);
  expect(isWritten({ reward: { path: 'r.ts', bytes: 1, sha256: '' } })).toBe(true);
});

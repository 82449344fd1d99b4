/**
 * A loss is a fact about a sample: what else is in the call, and in which order, must not show in a single bit, or two
 * peers would send different bytes for the same record. Held against ONNX Runtime, through `batchExamples`.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { type Measurement, type Probe, spsa } from '../../src/estimator/spsa.ts';
import type { Direction, Example, Task } from '../../src/nouns.ts';
import { createForward, type Forward, headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import { CHOICE, CHOICES, fixture, key, LM, promptOf, type Small, smallKernels, windowOf } from './models.ts';

const V = 64;
/** Long enough to fill several groups of batches, of several shapes. */
const EXAMPLES: readonly (readonly [Task['kind'], Task, readonly Example[]])[] = [
  ['lm', LM, Array.from({ length: 150 }, (_, i) => windowOf(i, V, 6 + (i % 3)))],
  ['choice', CHOICE, Array.from({ length: 150 }, (_, i) => promptOf(i, V, 1 + ((7 * i) % 30)))],
];
const DIRECTIONS: readonly Direction[] = [
  { kind: 'lowrank', rank: 1, scale: 1 },
  { kind: 'lowrank', rank: 2, scale: Math.SQRT1_2 },
  { kind: 'rademacher', rank: 1, scale: 1 },
];

/** A fixed shuffle. */
const shuffled = <T>(list: readonly T[]): T[] =>
  list
    .map((item, i) => [(i * 37 + 11) % 151, item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);

describe.each(['opt-tied', 'llama-untied-grouped-linear', 'gpt2', 'bert', 'roberta'])('%s', (name) => {
  let small: Small;
  let forward: Forward;
  beforeAll(async () => {
    small = await fixture(name, await smallKernels());
    forward = createForward(small.model, small.weights, nodeEngine({ threads: 1 }));
  });
  afterAll(() => forward.release());

  const measurement = (task: Task): Measurement => ({ forward, task, choices: CHOICES, positions: 48 });

  async function losses(task: Task, examples: readonly Example[]): Promise<Map<Example, number>> {
    const batches = batchExamples(examples, 48);
    const [outputs] = await forward.run(batches, headOf(task), { kind: 'none' }, CHOICES);
    const found = new Map<Example, number>();
    for (const [i, batch] of batches.entries())
      sequenceLosses(task, batch, outputs![i]!).forEach((loss, s) => {
        found.set(examples[batch.members[s]!]!, loss);
      });
    return found;
  }

  test.each(EXAMPLES)('the loss of a sample, task %s', async (_, task, examples) => {
    const together = await losses(task, examples);
    expect(together.size).toBe(examples.length);
    expect(new Set(together.values()).size, 'the losses differ, so a mix-up would show').toBeGreaterThan(130);
    const mixed = await losses(task, shuffled(examples));
    for (const example of examples) expect(mixed.get(example)).toBe(together.get(example));
    for (const example of examples.slice(0, 12))
      expect((await losses(task, [example])).get(example)).toBe(together.get(example));
  });

  describe.each(DIRECTIONS)('the slope of a probe, $kind of rank $rank', (direction) => {
    test.each(EXAMPLES)('task %s', async (_, task, examples) => {
      const probes = examples.slice(0, 80).map((example, i): Probe => ({ key: key(i), examples: [example] }));
      const together = await spsa(measurement(task), direction, 1e-3, probes);
      expect(new Set(together).size).toBeGreaterThan(60);
      const order = shuffled(probes);
      const mixed = await spsa(measurement(task), direction, 1e-3, order);
      for (const [i, probe] of order.entries()) expect(mixed[i]).toBe(together[probes.indexOf(probe)]);
      for (const [i, probe] of probes.slice(0, 6).entries())
        expect((await spsa(measurement(task), direction, 1e-3, [probe]))[0]).toBe(together[i]);
    });

    test('of many samples, whose lengths are grouped otherwise in other company', async () => {
      const lengths = [3, 20, 9, 30, 2, 17, 12, 28, 8];
      const own = lengths.map((length, i) => promptOf(i, V, length));
      const probe: Probe = { key: key(7), examples: own };
      const [alone] = await spsa(measurement(CHOICE), direction, 1e-3, [probe]);
      for (const first of [20, 30, 9]) {
        const company: Probe = { key: key(8), examples: [promptOf(50, V, first)] };
        const [, slope] = await spsa(measurement(CHOICE), direction, 1e-3, [company, probe]);
        expect(slope).toBe(alone);
      }
    });
  });
});

import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Weights } from '../../src/model/weights.ts';
import { everything } from '../../src/numeric/mask.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { ALIGN, floatsOf, padded, scratchOf } from '../../src/numeric/scratch.ts';
import { createBackward } from '../../src/objective/backward.ts';
import { createForward, headOf, scratchLength } from '../../src/objective/forward.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { createTangent, tangentScratch } from '../../src/objective/tangent.ts';
import { CHOICE, CHOICES, FIXTURES, fixture, key, LM, promptOf, windowOf } from './models.ts';

const kept = everything;
const PERTURBATIONS: readonly Perturbation[] = [
  { kind: 'none' },
  { kind: 'dense', noise: 'binomial', rank: 1, delta: 0.01, keys: [key(0)], kept },
  { kind: 'sided', rank: 1, delta: 0.01, keys: [[key(0)]], kept },
  { kind: 'sided', rank: 3, delta: 0.01, keys: [[key(0)]], kept },
  { kind: 'none', precision: 'int8' },
  { kind: 'sided', rank: 2, delta: 0.01, keys: [[key(0)]], kept, precision: 'int8' },
];
const TASKS = [
  [LM, [windowOf(1, 64, 5)]],
  [CHOICE, [promptOf(1, 64, 5)]],
] as const;

describe('scratchLength is what a call takes, to the float', () => {
  test.each(FIXTURES)('%s', async (name) => {
    const { model } = await fixture(name, referenceKernels());
    for (const [task, examples] of TASKS)
      for (const perturbation of PERTURBATIONS) {
        const batches = batchExamples(perturbation.kind === 'sided' ? [examples[0], examples[0]] : examples);
        const run = async (floats: number) => {
          const { weights } = await fixture(name, referenceKernels(), floats);
          return createForward(model, weights, interpreter).run(batches, headOf(task), perturbation, CHOICES);
        };
        const length = scratchLength(model, [{ dims: batches[0]!, head: headOf(task), perturbation }]);
        await expect(run(length), `${task.kind}, ${perturbation.kind}`).resolves.toBeDefined();
        await expect(run(length - ALIGN)).rejects.toThrow(/scratch holds \d+ floats, \d+ were asked for/);
      }
  });

  test('of several plans, the largest counts', async () => {
    const { model } = await fixture('opt-tied', referenceKernels());
    const plan = (tokens: number) => ({
      dims: { sequences: 2, tokens, scored: 1 },
      head: { kind: 'logits' } as const,
      perturbation: { kind: 'none' } as const,
    });
    expect(scratchLength(model, [plan(8), plan(48), plan(16)])).toBe(scratchLength(model, [plan(48)]));
    expect(scratchLength(model, [])).toBe(0);
  });
});

test.each(FIXTURES)('%s: a backward pass takes what a plain call does, a tangent has room enough', async (name) => {
  const { model } = await fixture(name, referenceKernels());
  for (const [task, examples] of TASKS) {
    const batches = batchExamples(examples);
    const call = { dims: batches[0]!, head: headOf(task) };
    const plain = scratchLength(model, [{ ...call, perturbation: { kind: 'none' } }]);
    const back = async (floats: number) => {
      const { weights } = await fixture(name, referenceKernels(), floats);
      return createBackward(model, weights, interpreter).gradient(batches, { task, choices: CHOICES }, kept);
    };
    await expect(back(plain)).resolves.toBeDefined();
    await expect(back(plain - ALIGN)).rejects.toThrow(/scratch holds/);
    for (const kind of ['rademacher', 'lowrank'] as const) {
      const { weights } = await fixture(name, referenceKernels(), tangentScratch(model, [call]));
      const tangent = createTangent(model, weights, interpreter);
      const moves = { direction: { kind, rank: 1, scale: 1 }, keys: [key(0)], kept };
      await expect(tangent.slopes(batches, task, CHOICES, moves)).resolves.toHaveLength(1);
    }
  }
});

test('scratch is handed out aligned, side by side, and again after a release', () => {
  const scratch = scratchOf(referenceKernels(), 32);
  const first = scratch.take(5);
  const mark = scratch.mark();
  const second = scratch.take(4);
  expect(second.byteOffset - first.byteOffset).toBe(4 * padded(5));
  scratch.release(mark);
  expect(scratch.take(7).byteOffset).toBe(second.byteOffset);
  expect(() => scratch.take(40)).toThrow(RangeError);
});

test('bytes are lent of the same memory, as many floats as they need and no more', () => {
  const scratch = scratchOf(referenceKernels(), 16);
  const before = scratch.take(1);
  const bytes = scratch.bytes(17);
  expect([bytes.length, bytes.buffer === before.buffer]).toEqual([17, true]);
  const after = scratch.take(4);
  expect(bytes.byteOffset - before.byteOffset).toBe(4 * padded(1));
  expect(after.byteOffset - bytes.byteOffset).toBe(4 * floatsOf(17));
  expect(floatsOf(17)).toBe(8);
  bytes.fill(-1);
  expect([before[0], ...after]).toEqual([0, 0, 0, 0, 0]);
  expect(() => scratch.bytes(1)).toThrow('scratch holds 16 floats, 20 were asked for');
});

test('after a run that broke off, scratch is whole again', async () => {
  const { model } = await fixture('opt-tied', referenceKernels());
  const batches = batchExamples([windowOf(1, 64)]);
  const none = { kind: 'none' } as const;
  const length = scratchLength(model, [{ dims: batches[0]!, head: headOf(LM), perturbation: none }]);
  const { weights } = await fixture('opt-tied', referenceKernels(), length);
  const forward = createForward(model, weights, interpreter);
  const broken = [{ ...batches[0]!, at: Int32Array.from(batches[0]!.at, () => 64) }];
  for (let n = 0; n < 3; n++) await expect(forward.run(broken, headOf(LM), none)).rejects.toThrow(/no index 64/);
  await expect(forward.run(batches, headOf(LM), none)).resolves.toHaveLength(1);
  const stray = [{ ...batches[0]!, targets: Int32Array.from(batches[0]!.targets, () => 64) }];
  await expect(forward.run(stray, headOf(LM), none)).rejects.toThrow(/"targets" expected tokens 0 … 63, got 64/);
});

test('a matrix too thin for low-rank noise is refused: apply would read other noise', async () => {
  const { model, weights } = await fixture('opt-tied', referenceKernels());
  const thin: Weights = {
    ...weights,
    visit: (name, work) =>
      weights.visit(name, (page) => work({ ...page, tensor: (own) => ({ ...page.tensor(own), shape: [1, 1024] }) })),
  };
  const forward = createForward(model, thin, interpreter);
  const run = forward.run(batchExamples([windowOf(1, 64), windowOf(1, 64)]), headOf(LM), PERTURBATIONS[2]!);
  await expect(run).rejects.toThrow(/MODEL_UNSUPPORTED: tensor ".*" \(1,1024\) is too thin/);
});

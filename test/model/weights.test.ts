import { expect, test } from 'vitest';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { readFolder } from './folder.ts';
import { integersOf, weightsIn } from './shelf.ts';

test('fixed weights are the base, to a part in 2^28 of the largest of a tensor', async () => {
  const { model, weight } = await readFolder('test/fixtures/models/opt-tied');
  const weights = await weightsIn(referenceKernels(), model, weight);
  const integers = await integersOf(weights);
  expect(weights.tensors.map(({ name }) => name)).toEqual(model.tensors.map(({ name }) => name));
  for (const [i, { name, exponent }] of weights.tensors.entries()) {
    const base = weight(name);
    const q = integers[i]!;
    const peak = base.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(q.every((x, k) => Math.abs(x * 2 ** exponent - base[k]!) <= 2 ** Math.max(-28, exponent - 1))).toBe(true);
    expect(q.every((x) => Math.abs(x) <= 2 ** 28)).toBe(true);
    expect(2 ** exponent).toBeLessThanOrEqual(Math.max(2 ** -27, peak * 2 ** -27));
  }
  await expect(weights.visit('lm_head.weight', () => undefined)).rejects.toThrow(RangeError);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in a base is refused by the name of its tensor', async (bad) => {
  const { model, weight } = await readFolder('test/fixtures/models/opt-tied');
  const { name } = model.tensors[3]!;
  const read = (tensor: string) => weight(tensor).map((x, i) => (tensor === name && i === 2 ? bad : x));
  await expect(weightsIn(referenceKernels(), model, read)).rejects.toThrow(`MODEL_INVALID: tensor "${name}"`);
});

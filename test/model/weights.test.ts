import { expect, test } from 'vitest';
import { fixWeights } from '../../src/model/weights.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { readFolder } from './folder.ts';

test('fixed weights are the base, to a part in 2^28 of the largest of a tensor', async () => {
  const { model, weight } = await readFolder('test/fixtures/models/opt-tied');
  const { tensors, byName } = await fixWeights(model, referenceKernels(), async (name) => weight(name));
  expect(tensors.map(({ name }) => name)).toEqual(model.tensors.map(({ name }) => name));
  for (const { name, q, exponent } of tensors) {
    const base = weight(name);
    const peak = base.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    expect(q.every((x, i) => Math.abs(x * 2 ** exponent - base[i]!) <= 2 ** Math.max(-28, exponent - 1))).toBe(true);
    expect(q.every((x) => Math.abs(x) <= 2 ** 28)).toBe(true);
    expect(2 ** exponent).toBeLessThanOrEqual(Math.max(2 ** -27, peak * 2 ** -27));
    expect(byName(name).q).toBe(q);
  }
  expect(() => byName('lm_head.weight')).toThrow(RangeError);
});

test.each([Number.NaN, Number.POSITIVE_INFINITY])('%d in a base is refused by the name of its tensor', async (bad) => {
  const { model, weight } = await readFolder('test/fixtures/models/opt-tied');
  const { name } = model.tensors[3]!;
  const read = async (tensor: string) => weight(tensor).map((x, i) => (tensor === name && i === 2 ? bad : x));
  await expect(fixWeights(model, referenceKernels(), read)).rejects.toThrow(`MODEL_INVALID: tensor "${name}"`);
});

/** Weights from nothing: the same for the same seed, piece by piece, with the moments that are promised. */
import { expect, test } from 'vitest';
import { readConfig } from '../../src/model/config.ts';
import { DEVIATION, initialWeights } from '../../src/model/initial.ts';
import { freshTensors, modelOf } from '../../src/model/model.ts';

const matrix = { name: 'm.weight', shape: [250, 400], id: 3 };

test('a matrix has mean 0 and the deviation of the configuration, and stays within ±√3 of it', () => {
  const w = initialWeights(matrix, 1);
  const mean = w.reduce((sum, x) => sum + x, 0) / w.length;
  const square = w.reduce((sum, x) => sum + x * x, 0) / w.length;
  expect(Math.abs(mean)).toBeLessThan(4 * (DEVIATION / Math.sqrt(w.length)));
  expect(Math.abs(Math.sqrt(square) / DEVIATION - 1)).toBeLessThan(0.01);
  expect(w.reduce((most, x) => Math.max(most, Math.abs(x)), 0)).toBeLessThanOrEqual(DEVIATION * Math.sqrt(3));
});

test('pieces are those of the whole; seeds and tensors differ', () => {
  const whole = initialWeights(matrix, 1);
  expect(initialWeights(matrix, 1, 401, 1003)).toEqual(whole.subarray(401, 1404));
  expect(initialWeights(matrix, 2)).not.toEqual(whole);
  expect(initialWeights({ ...matrix, id: 4 }, 1)).not.toEqual(whole);
});

test('the first weights are these (other ones would make every resumed training another)', () => {
  expect([...initialWeights(matrix, 42, 0, 3)]).toMatchInlineSnapshot(`
    [
      -0.029321279376745224,
      0.0026827799156308174,
      -0.01658274605870247,
    ]
  `);
});

test('gains are 1, biases 0', () => {
  expect([...initialWeights({ name: 'norm.weight', shape: [3], id: 0 }, 1)]).toEqual([1, 1, 1]);
  expect([...initialWeights({ name: 'q_proj.bias', shape: [2], id: 0 }, 1)]).toEqual([0, 0]);
});

test.each([true, false])('a configuration alone says which tensors a model has (tied: %s)', (tied) => {
  const config = readConfig(
    JSON.stringify({
      ...{ model_type: 'llama', vocab_size: 32, hidden_size: 8, intermediate_size: 12, num_hidden_layers: 2 },
      ...{ num_attention_heads: 2, num_key_value_heads: 1, max_position_embeddings: 16, tie_word_embeddings: tied },
    }),
  );
  const model = modelOf(config, freshTensors(config));
  expect(model.tensors.map(({ name }) => name).includes('lm_head.weight')).toBe(!tied);
  expect(model.tensors).toHaveLength(2 * 9 + 2 + (tied ? 0 : 1));
});

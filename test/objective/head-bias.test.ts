/** The biases of a head lie in pieces as its rows do, and are chosen as they are: both forms must move the same ones. */
import { expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { readConfig } from '../../src/model/config.ts';
import { PIECE } from '../../src/model/head.ts';
import { modelOf } from '../../src/model/model.ts';
import type { Example, Task } from '../../src/nouns.ts';
import { createForward, headOf } from '../../src/objective/forward.ts';
import { sequenceLosses } from '../../src/objective/loss.ts';
import type { Perturbation } from '../../src/objective/perturbation.ts';
import { weightsIn } from '../model/shelf.ts';
import { uniform } from '../suites/arrays.ts';
import { CHOICE, key, LM, smallKernels } from './models.ts';

const VOCABULARY = PIECE + 70;
const BIAS = 'cls.predictions.bias';
const CONFIG = {
  model_type: 'bert',
  vocab_size: VOCABULARY,
  hidden_size: 4,
  intermediate_size: 3,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 8,
};
const LAYER = 'bert.encoder.layer.0.';
const vector = (name: string): [string, number[]] => [name, [name.endsWith('intermediate.dense.bias') ? 3 : 4]];
const norm = (name: string) => [vector(`${name}.weight`), vector(`${name}.bias`)];
const linear = (name: string, out = 4, input = 4): [string, number[]][] => [
  [`${name}.weight`, [out, input]],
  vector(`${name}.bias`),
];
const SHAPES: [string, number[]][] = [
  ['bert.embeddings.word_embeddings.weight', [VOCABULARY, 4]],
  ['bert.embeddings.position_embeddings.weight', [8, 4]],
  ['bert.embeddings.token_type_embeddings.weight', [2, 4]],
  ...norm('bert.embeddings.LayerNorm'),
  ...['query', 'key', 'value'].flatMap((name) => linear(`${LAYER}attention.self.${name}`)),
  ...linear(`${LAYER}attention.output.dense`),
  ...norm(`${LAYER}attention.output.LayerNorm`),
  ...linear(`${LAYER}intermediate.dense`, 3, 4),
  ...linear(`${LAYER}output.dense`, 4, 3),
  ...norm(`${LAYER}output.LayerNorm`),
  ...linear('cls.predictions.transform.dense'),
  ...norm('cls.predictions.transform.LayerNorm'),
  [BIAS, [VOCABULARY]],
];

/** Tokens and choices of both pieces. */
const CHOICES = Int32Array.of(PIECE + 5, 3, PIECE - 1);
const EXAMPLES: readonly (readonly [Task, Example])[] = [
  [
    LM,
    {
      tokens: Int32Array.of(5, PIECE + 9, 77, PIECE),
      at: Int32Array.of(0, 1, 2, 3),
      targets: Int32Array.of(PIECE + 69, 12, PIECE, PIECE - 1),
    },
  ],
  [CHOICE, { tokens: Int32Array.of(5, PIECE + 9, 77, 8), at: Int32Array.of(1), targets: Int32Array.of(2) }],
];

test.each(EXAMPLES)('%j', async (task, example) => {
  const model = modelOf(readConfig(JSON.stringify(CONFIG)), new Map(SHAPES.map(([name, shape]) => [name, { shape }])));
  const { id } = model.tensors.find(({ name }) => name === BIAS)!;
  const weights = await weightsIn(await smallKernels(), model, (name) => {
    const [, shape] = SHAPES.find(([tensor]) => tensor === name)!;
    return uniform(
      name.length,
      shape.reduce((a, b) => a * b),
    );
  });
  const forward = createForward(model, weights, nodeEngine({ threads: 1 }));
  const losses = async (p: Perturbation): Promise<number[]> => {
    const batches = batchExamples(p.kind === 'sided' ? [example, example] : [example]);
    const lanes = await forward.run(batches, headOf(task), p, CHOICES);
    return lanes.flatMap(([output]) => [...sequenceLosses(task, batches[0]!, output!)]);
  };
  const own = key(1); // its signs on the three choices are not all alike
  const only = { rank: 1, delta: 0.5, kept: (tensor: number) => tensor === id };
  const sided = await losses({ kind: 'sided', ...only, keys: [[own]] });
  const dense = await losses({ kind: 'dense', noise: 'lowrank', ...only, keys: [own] });
  const [still] = await losses({ kind: 'none' });
  for (const side of [0, 1]) {
    expect(Math.abs(sided[side]! - dense[side]!)).toBeLessThan(1e-5);
    expect(Math.abs(sided[side]! - still!)).toBeGreaterThan(1e-3);
  }
  // What one head says, put together by hand from another: all logits, their biases among them.
  const batch = batchExamples([example])[0]!;
  const [[logits]] = (await forward.run([batch], { kind: 'logits' }, { kind: 'none' })) as [[Float32Array]];
  let sum = 0;
  for (const [p, target] of example.targets.entries()) {
    const row = logits!.subarray(p * VOCABULARY, (p + 1) * VOCABULARY);
    const heard = task.kind === 'lm' ? [...row] : Array.from(CHOICES, (token) => row[token]!);
    sum += Math.log(heard.reduce((total, logit) => total + Math.exp(logit), 0)) - heard[target]!;
  }
  expect(Math.abs(sum / (task.kind === 'lm' ? task.window : 1) - still!)).toBeLessThan(1e-5);
  await forward.release();
});

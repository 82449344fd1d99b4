/** Small models with fixed-point weights, and examples for them. */
import { readConfig } from '../../src/model/config.ts';
import { modelOf } from '../../src/model/model.ts';
import type { Model, TensorSpec } from '../../src/model/stage.ts';
import type { Weights } from '../../src/model/weights.ts';
import type { DirectionKey, Example, Task } from '../../src/nouns.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { readFolder } from '../model/folder.ts';
import { weightsIn } from '../model/shelf.ts';
import { indices, uniform } from '../suites/arrays.ts';

export interface Small {
  readonly model: Model;
  readonly weights: Weights;
}

/**
 * Everything that reads weights: tied and separate heads, heads with biases, grouped and normalised heads, biases,
 * learned positions, token types, matrices stored transposed.
 */
export const FIXTURES = [
  'opt-tied',
  'llama-untied-grouped-linear',
  'llama-rope-llama3-head-dim',
  'llama-yarn-biases',
  'qwen3-tied',
  'gpt2',
  'bert',
  'roberta',
] as const;

export const smallKernels = (): Promise<Kernels> => wasmKernels({ bytes: 2 ** 24 });

/** A checkpoint in a folder. */
export async function fixtureAt(
  folder: string,
  kernels: Kernels,
  scratch?: number,
  movedIn?: (tensor: TensorSpec, q: Int32Array) => Uint32Array,
): Promise<Small> {
  const { model, weight } = await readFolder(folder);
  return { model, weights: await weightsIn(kernels, model, weight, scratch, movedIn) };
}

/** A checkpoint of test/fixtures/models. */
export const fixture = (
  name: string,
  kernels: Kernels,
  scratch?: number,
  movedIn?: (tensor: TensorSpec, q: Int32Array) => Uint32Array,
): Promise<Small> => fixtureAt(`test/fixtures/models/${name}`, kernels, scratch, movedIn);

/** Two hundred weights: few enough to differentiate one by one. */
export async function micro(kernels: Kernels, vocabulary = 9): Promise<Small> {
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_act: 'silu',
    vocab_size: vocabulary,
    hidden_size: 4,
    intermediate_size: 3,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 16,
    rms_norm_eps: 1e-5,
    rope_theta: 100,
    tie_word_embeddings: true,
  };
  const layer = 'model.layers.0.';
  const shapes: Record<string, number[]> = {
    'model.embed_tokens.weight': [vocabulary, 4],
    'model.norm.weight': [4],
    [`${layer}input_layernorm.weight`]: [4],
    [`${layer}post_attention_layernorm.weight`]: [4],
    [`${layer}self_attn.q_proj.weight`]: [4, 4],
    [`${layer}self_attn.k_proj.weight`]: [2, 4],
    [`${layer}self_attn.v_proj.weight`]: [2, 4],
    [`${layer}self_attn.o_proj.weight`]: [4, 4],
    [`${layer}mlp.gate_proj.weight`]: [3, 4],
    [`${layer}mlp.up_proj.weight`]: [3, 4],
    [`${layer}mlp.down_proj.weight`]: [4, 3],
  };
  const names = Object.keys(shapes);
  const model = modelOf(readConfig(JSON.stringify(config)), new Map(names.map((n) => [n, { shape: shapes[n]! }])));
  const weights = await weightsIn(kernels, model, (name) => {
    const noise = uniform(
      17 + names.indexOf(name),
      shapes[name]!.reduce((a, b) => a * b),
    );
    return noise.map((x) => (name.includes('norm') ? 1 + 0.3 * x : 0.8 * x));
  });
  return { model, weights };
}

export const LM: Task & { kind: 'lm' } = { kind: 'lm', window: 6 };

/** Three classes, the words of which are tokens 5, 3 and 8. */
export const CHOICE: Task & { kind: 'choice' } = {
  kind: 'choice',
  prompt: '{text}',
  label_column: 'label',
  labels: ['a', 'b', 'c'].map((word) => ({ value: word, word })),
};
export const CHOICES = Int32Array.of(5, 3, 8);

/** A window of text, all of it scored. */
export function windowOf(seed: number, vocabulary: number, length: number = LM.window): Example {
  const stream = indices(seed, length + 1, vocabulary);
  return {
    tokens: stream.subarray(0, length),
    at: Int32Array.from({ length }, (_, i) => i),
    targets: stream.subarray(1),
  };
}

/** A prompt, scored at its end. */
export const promptOf = (seed: number, vocabulary: number, length: number): Example => ({
  tokens: indices(seed, length, vocabulary),
  at: Int32Array.of(length - 1),
  targets: Int32Array.of(seed % CHOICES.length),
});

export const key = (sample: number, round = 3): DirectionKey => ({ round, run: 0xc0ffee, sample, slot: 0xffff_fffe });

/**
 * Models of known shapes with random weights, for measuring time and memory: what they compute does not matter.
 *
 * @module
 */
import { readConfig } from '../dist/model/config.js';
import { modelOf } from '../dist/model/model.js';
import { residentShelf } from '../dist/model/resident.js';
import { fixWeights, pagesOf } from '../dist/model/weights.js';
import { wasmBytes, wasmKernels } from '../dist/numeric/wasm/wasm.js';
import { scratchLength } from '../dist/objective/forward.js';

const llama = (
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
  vocab_size,
) => ({
  ...{
    model_type: 'llama',
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
  },
  ...{ vocab_size, max_position_embeddings: 2048, tie_word_embeddings: true, rms_norm_eps: 1e-5, hidden_act: 'silu' },
});

const opt = (hidden_size, ffn_dim, num_hidden_layers, num_attention_heads) => ({
  ...{ model_type: 'opt', hidden_size, ffn_dim, num_hidden_layers, num_attention_heads, vocab_size: 50272 },
  ...{ max_position_embeddings: 2048, word_embed_proj_dim: hidden_size, activation_function: 'relu' },
  ...{ do_layer_norm_before: true, tie_word_embeddings: true },
});

/** Name → config.json. */
export const CONFIGS = {
  'opt-125m': opt(768, 3072, 12, 12),
  'opt-1.3b': opt(2048, 8192, 24, 32),
  'llama-135m': llama(576, 1536, 30, 9, 3, 49152),
  stories260k: llama(64, 172, 5, 8, 4, 512),
};

/** Tensors of a checkpoint, by name. */
export function shapesOf(config) {
  const d = config.hidden_size;
  const shapes = new Map();
  const add = (name, ...shape) => shapes.set(name, { shape });
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => i);
  if (config.model_type === 'opt') {
    const at = 'model.decoder.';
    add(`${at}embed_tokens.weight`, config.vocab_size, d);
    add(`${at}embed_positions.weight`, config.max_position_embeddings + 2, d);
    const both = (name, o, i) => {
      add(`${name}.weight`, o, i);
      add(`${name}.bias`, o);
    };
    const norm = (name) => {
      add(`${name}.weight`, d);
      add(`${name}.bias`, d);
    };
    norm(`${at}final_layer_norm`);
    for (const i of layers) {
      const layer = `${at}layers.${i}.`;
      for (const p of ['q', 'k', 'v', 'out']) both(`${layer}self_attn.${p}_proj`, d, d);
      norm(`${layer}self_attn_layer_norm`);
      both(`${layer}fc1`, config.ffn_dim, d);
      both(`${layer}fc2`, d, config.ffn_dim);
      norm(`${layer}final_layer_norm`);
    }
    return shapes;
  }
  const kv = (d / config.num_attention_heads) * config.num_key_value_heads;
  const f = config.intermediate_size;
  add('model.embed_tokens.weight', config.vocab_size, d);
  add('model.norm.weight', d);
  for (const i of layers) {
    const layer = `model.layers.${i}.`;
    for (const [p, o, n] of [
      ['q', d, d],
      ['k', kv, d],
      ['v', kv, d],
      ['o', d, d],
    ])
      add(`${layer}self_attn.${p}_proj.weight`, o, n);
    for (const [p, o, n] of [
      ['gate', f, d],
      ['up', f, d],
      ['down', d, f],
    ])
      add(`${layer}mlp.${p}_proj.weight`, o, n);
    add(`${layer}input_layernorm.weight`, d);
    add(`${layer}post_attention_layernorm.weight`, d);
  }
  return shapes;
}

export function configNamed(name) {
  const config = CONFIGS[name];
  if (!config) throw new RangeError(`--shape expected one of ${Object.keys(CONFIGS).join(', ')}, got ${name}`);
  return config;
}

export function modelNamed(name) {
  const config = configNamed(name);
  return modelOf(readConfig(JSON.stringify(config)), shapesOf(config));
}

export const elements = (shape) => shape.reduce((a, b) => a * b, 1);

/** Weights as small as those of a trained model, from a generator that is quick and the same every time. */
export function weightGenerator(seed) {
  let state = (seed * 0x9e3779b9 + 1) >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.07;
  };
}

/** Gains are 1: norms of random gain would blow activations up or out. */
export const isGain = (name, shape) => shape.length === 1 && name.endsWith('.weight');

/** @param plans calls that memory is set aside for. */
export async function weightsOf(model, plans) {
  const make = (lengths) => wasmKernels({ bytes: wasmBytes(lengths) });
  const shelf = await residentShelf(pagesOf(model), scratchLength(model, plans), make);
  return fixWeights(model, shelf, async (name, first, count) => {
    const { shape, id } = model.tensors.find((tensor) => tensor.name === name);
    return isGain(name, shape)
      ? new Float32Array(count).fill(1)
      : Float32Array.from({ length: count }, weightGenerator(id + first));
  });
}

/** Random tokens: `count` windows of `tokens`, every token scored. */
export function randomWindows(model, count, tokens) {
  const at = Int32Array.from({ length: tokens }, (_, i) => i);
  return Array.from({ length: count }, (_, n) => {
    const ids = Int32Array.from({ length: tokens + 1 }, (_, i) => Math.imul(n * tokens + i + 1, 2654435761) >>> 0).map(
      (id) => (id >>> 0) % model.vocabulary,
    );
    return { tokens: ids.subarray(0, tokens), at, targets: ids.subarray(1) };
  });
}

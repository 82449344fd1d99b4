/**
 * `config.json` of GPT-2.
 *
 * @module
 */
import { z } from 'zod';
import { type Activation, isActivation } from './activation.ts';
import { layers, positive, read, requireHeads, requireValues, unsupported, width } from './config-keys.ts';

export interface Gpt2Config {
  readonly architecture: 'gpt2';
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly normEpsilon: number;
  readonly activation: Activation;
  readonly tied: boolean;
}

const keys = z.object({
  vocab_size: width,
  n_embd: width,
  n_layer: layers,
  n_head: width,
  n_positions: width.default(1024),
  n_inner: width.nullish(),
  activation_function: z.string().default('gelu_new'),
  layer_norm_epsilon: positive.default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  add_cross_attention: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

/** Values of the keys that change what a block computes. */
const COMPUTED = { scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false, add_cross_attention: false };

/** @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED */
export function parseGpt2(raw: object): Gpt2Config {
  const config = read(keys, raw);
  const { n_embd: hidden, n_head: heads, activation_function: activation } = config;
  requireValues(config, COMPUTED);
  if (!isActivation(activation)) throw unsupported(`activation "${activation}"`);
  requireHeads('n_embd', hidden, 'n_head', heads);
  return {
    architecture: 'gpt2',
    hidden,
    intermediate: config.n_inner ?? 4 * hidden,
    layers: config.n_layer,
    heads,
    vocabulary: config.vocab_size,
    positions: config.n_positions,
    normEpsilon: config.layer_norm_epsilon,
    activation,
    tied: config.tie_word_embeddings,
  };
}

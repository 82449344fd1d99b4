/**
 * `config.json` of BERT and RoBERTa.
 *
 * @module
 */
import { z } from 'zod';
import { type Activation, isActivation } from './activation.ts';
import { invalid, layers, positive, read, requireHeads, requireValues, unsupported, width } from './config-keys.ts';

export interface BertConfig {
  readonly architecture: 'bert' | 'roberta';
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Longest sequence: rows of the position table, less `positionOffset`. */
  readonly positions: number;
  /** Row of position 0. */
  readonly positionOffset: number;
  /** Rows of the table of token types. */
  readonly types: number;
  readonly normEpsilon: number;
  readonly activation: Activation;
  readonly headActivation: Activation;
  readonly tied: boolean;
}

const keys = z.object({
  vocab_size: width,
  hidden_size: width,
  intermediate_size: width,
  num_hidden_layers: layers,
  num_attention_heads: width,
  max_position_embeddings: width.default(512),
  type_vocab_size: width.default(2),
  pad_token_id: z.int().min(0).nullish(),
  layer_norm_eps: positive.default(1e-12),
  hidden_act: z.string().default('gelu'),
  position_embedding_type: z.string().default('absolute'),
  is_decoder: z.boolean().default(false),
  add_cross_attention: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
});

/** Values of the keys that change what the model computes. */
const COMPUTED = {
  position_embedding_type: 'absolute',
  is_decoder: false,
  add_cross_attention: false,
  tie_word_embeddings: true,
};
/** RoBERTa's `pad_token_id` where the file does not give it. */
const ROBERTA_PADDING = 1;

/** @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED */
export function parseBert(architecture: BertConfig['architecture'], raw: object): BertConfig {
  const config = read(keys, raw);
  const { hidden_size: hidden, num_attention_heads: heads, hidden_act: activation } = config;
  requireValues(config, COMPUTED);
  if (!isActivation(activation)) throw unsupported(`activation "${activation}"`);
  requireHeads('hidden_size', hidden, 'num_attention_heads', heads);
  const isRoberta = architecture === 'roberta';
  // fairseq counts from behind the padding token
  const positionOffset = isRoberta ? (config.pad_token_id ?? ROBERTA_PADDING) + 1 : 0;
  const positions = config.max_position_embeddings - positionOffset;
  if (positions < 1)
    throw invalid(`"max_position_embeddings" ${config.max_position_embeddings} leaves no position after the padding's`);
  return {
    architecture,
    hidden,
    intermediate: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    vocabulary: config.vocab_size,
    positions,
    positionOffset,
    types: config.type_vocab_size,
    normEpsilon: config.layer_norm_eps,
    activation,
    headActivation: isRoberta ? 'gelu' : activation,
    tied: true,
  };
}

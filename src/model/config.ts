/**
 * `config.json` of a Hugging Face checkpoint, as much of it as changes what the model computes. Absent keys mean what
 * transformers' configuration classes say; features we do not compute are refused by name, never ignored.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { type BertConfig, parseBert } from './config-bert.ts';
import { type Gpt2Config, parseGpt2 } from './config-gpt2.ts';
import { invalid, layers, positive, read, requireHeads, unsupported, width } from './config-keys.ts';
import type { Rope, RopeScaling } from './rope.ts';

export interface LlamaConfig {
  readonly architecture: 'llama';
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly normEpsilon: number;
  readonly rope: Rope;
  /** By layer: a token attends to itself and the `window` - 1 before it; null: to all before it. */
  readonly windows: readonly (number | null)[];
  /** Whether queries, keys and values have biases; whether what comes out of attention has. */
  readonly attentionBias: boolean;
  readonly outputBias: boolean;
  /** Whether each head's queries and keys are normalised before they are rotated. */
  readonly headNorm: boolean;
  readonly mlpBias: boolean;
  readonly tied: boolean;
}

export interface OptConfig {
  readonly architecture: 'opt';
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly positions: number;
  readonly bias: boolean;
  readonly tied: boolean;
}

export type ModelConfig = LlamaConfig | OptConfig | Gpt2Config | BertConfig;

const ropeKeys = z.object({
  rope_type: z.string().optional(),
  /** The older spelling of `rope_type`. */
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  original_max_position_embeddings: positive.nullish(),
  attention_factor: positive.nullish(),
  beta_fast: positive.nullish(),
  beta_slow: positive.nullish(),
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  partial_rotary_factor: z.number().nullish(),
});
type RopeKeys = z.infer<typeof ropeKeys>;

const llamaKeys = z.object({
  vocab_size: width,
  hidden_size: width,
  intermediate_size: width,
  num_hidden_layers: layers,
  num_attention_heads: width,
  num_key_value_heads: width.nullish(),
  head_dim: width.nullish(),
  hidden_act: z.string().default('silu'),
  max_position_embeddings: width.optional(),
  rms_norm_eps: positive.default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  rope_theta: positive.nullish(),
  rope_scaling: ropeKeys.nullish(),
  rope_parameters: ropeKeys.nullish(),
  partial_rotary_factor: z.number().nullish(),
  original_max_position_embeddings: positive.nullish(),
  sliding_window: width.nullish(),
  use_sliding_window: z.boolean().default(false),
  max_window_layers: z.int().min(0).default(28),
  layer_types: z.array(z.string()).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});
type LlamaKeys = z.infer<typeof llamaKeys>;

const optKeys = z.object({
  vocab_size: width,
  hidden_size: width,
  ffn_dim: width,
  num_hidden_layers: layers,
  num_attention_heads: width,
  max_position_embeddings: width.default(2048),
  do_layer_norm_before: z.boolean().default(true),
  _remove_final_layer_norm: z.boolean().default(false),
  word_embed_proj_dim: width.nullish(),
  activation_function: z.string().default('relu'),
  enable_bias: z.boolean().default(true),
  layer_norm_elementwise_affine: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
});

/** A number that a kind of scaling cannot do without. */
function needed(keys: RopeKeys, key: 'factor' | 'low_freq_factor' | 'high_freq_factor'): number {
  const value = keys[key];
  if (value == null) throw invalid(`"${key}" of the RoPE scaling is missing`);
  return value;
}

/** `attention_factor` of YaRN where the file does not give it. */
function yarnAttention(factor: number, { attention_factor, mscale, mscale_all_dim }: RopeKeys): number {
  const scaled = (m: number) => (factor <= 1 ? 1 : 0.1 * m * Math.log(factor) + 1);
  if (attention_factor != null) return attention_factor;
  return mscale && mscale_all_dim ? scaled(mscale) / scaled(mscale_all_dim) : scaled(1);
}

/** By `rope_type`. @param original positions seen in pretraining. */
const SCALINGS: Readonly<Record<string, (keys: RopeKeys, original: number) => RopeScaling>> = {
  default: () => ({ type: 'default' }),
  linear: (keys) => ({ type: 'linear', factor: needed(keys, 'factor') }),
  llama3: (keys, original) => ({
    type: 'llama3',
    factor: needed(keys, 'factor'),
    lowFrequencyFactor: needed(keys, 'low_freq_factor'),
    highFrequencyFactor: needed(keys, 'high_freq_factor'),
    original,
  }),
  yarn: (keys, original) => ({
    type: 'yarn',
    factor: needed(keys, 'factor'),
    original,
    betaFast: keys.beta_fast ?? 32,
    betaSlow: keys.beta_slow ?? 1,
    truncate: keys.truncate ?? true,
    attentionFactor: yarnAttention(needed(keys, 'factor'), keys),
  }),
};

function parseRope(config: LlamaKeys, positions: number): Rope {
  const keys = config.rope_parameters ?? config.rope_scaling ?? {};
  const type = keys.rope_type ?? keys.type ?? 'default';
  if (!Object.hasOwn(SCALINGS, type)) throw unsupported(`RoPE scaling "${type}"`);
  if ((keys.partial_rotary_factor ?? config.partial_rotary_factor ?? 1) !== 1) throw unsupported('partial rotation');
  const original = config.original_max_position_embeddings ?? keys.original_max_position_embeddings ?? positions;
  return {
    theta: keys.rope_theta ?? config.rope_theta ?? 10_000,
    scaling: SCALINGS[type]!(keys, original),
  };
}

type Windows = LlamaConfig['windows'];

/** Where the members of the LLaMA family differ, and what their absent keys mean. */
interface LlamaFamily {
  readonly positions: number;
  /** null: as many as heads. */
  readonly keyValueHeads: number | null;
  /** null: the width shared by the heads. */
  readonly headDim: number | null;
  readonly windows: (config: LlamaKeys) => Windows;
  readonly headNorm: boolean;
  /** Of queries, keys and values; of what comes out of attention; of the feed-forward layers. */
  readonly biases: (config: LlamaKeys) => readonly [boolean, boolean, boolean];
}
const WINDOW = 4096;

/** An absent key means the default; null is a value. */
const given = <T>(value: T | null | undefined, absent: T | null): T | null => (value === undefined ? absent : value);

/** The same window in every layer. */
function alike({ num_hidden_layers: count, layer_types: types }: LlamaKeys, window: number | null): Windows {
  if (new Set(types).size > 1) throw unsupported('a mixture of layer types');
  return Array.from({ length: count }, () => window);
}

/** Windows of the layers that `layer_types` calls sliding. @param first of them where the key is absent. */
function byType(config: LlamaKeys, window: number | null, first: number): Windows {
  const { num_hidden_layers: count, layer_types: types } = config;
  if (types && types.length !== count) throw invalid(`"layer_types" has ${types.length} layers, not ${count}`);
  return Array.from({ length: count }, (_, i) => {
    const type = types?.[i] ?? (window !== null && i >= first ? 'sliding_attention' : 'full_attention');
    if (type === 'full_attention') return null;
    if (type !== 'sliding_attention') throw unsupported(`layer type "${type}"`);
    if (window === null) throw invalid('"layer_types" has sliding layers and there is no "sliding_window"');
    return window;
  });
}

const QWEN: Omit<LlamaFamily, 'biases' | 'headNorm'> = {
  positions: 32_768,
  keyValueHeads: 32,
  headDim: null,
  windows: (config) => {
    const window = config.use_sliding_window ? given(config.sliding_window, WINDOW) : null;
    return byType(config, window, config.max_window_layers);
  },
};
const MISTRAL: LlamaFamily = {
  positions: 131_072,
  keyValueHeads: 8,
  headDim: null,
  windows: (config) => alike(config, given(config.sliding_window, WINDOW)),
  headNorm: false,
  biases: () => [false, false, false],
};
/** By `model_type`. Vicuna, TinyLlama and SmolLM call themselves `llama`. */
const LLAMA_FAMILIES: Readonly<Record<string, LlamaFamily>> = {
  llama: {
    positions: 2048,
    keyValueHeads: null,
    headDim: null,
    windows: (config) => alike(config, null),
    headNorm: false,
    biases: ({ attention_bias: attention, mlp_bias: mlp }) => [attention, attention, mlp],
  },
  mistral: MISTRAL,
  ministral: { ...MISTRAL, windows: (config) => byType(config, given(config.sliding_window, WINDOW), 0) },
  qwen2: { ...QWEN, headNorm: false, biases: () => [true, false, false] },
  qwen3: {
    ...QWEN,
    headDim: 128,
    headNorm: true,
    biases: ({ attention_bias: attention }) => [attention, attention, false],
  },
};

function parseLlama(raw: object, family: LlamaFamily): LlamaConfig {
  const config = read(llamaKeys, raw);
  const heads = config.num_attention_heads;
  if (config.hidden_act !== 'silu') throw unsupported(`activation "${config.hidden_act}"`);
  // transformers writes nested tables where layers differ
  const nested = Object.values((raw as { rope_parameters?: object | null }).rope_parameters ?? {});
  if (nested.some((value) => typeof value === 'object' && value !== null)) throw unsupported('RoPE by layer type');
  const ownDim = config.head_dim ?? family.headDim;
  if (ownDim === null) requireHeads('hidden_size', config.hidden_size, 'num_attention_heads', heads);
  const kv = given(config.num_key_value_heads, family.keyValueHeads) ?? heads;
  requireHeads('num_attention_heads', heads, 'num_key_value_heads', kv);
  const headDim = ownDim ?? config.hidden_size / heads;
  if (headDim % 2 !== 0) throw invalid(`heads of ${headDim} components cannot be rotated`);
  const positions = config.max_position_embeddings ?? family.positions;
  const [attentionBias, outputBias, mlpBias] = family.biases(config);
  return {
    architecture: 'llama',
    hidden: config.hidden_size,
    intermediate: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    keyValueHeads: kv,
    headDim,
    vocabulary: config.vocab_size,
    positions,
    normEpsilon: config.rms_norm_eps,
    rope: parseRope(config, positions),
    windows: family.windows(config),
    attentionBias,
    outputBias,
    headNorm: family.headNorm,
    mlpBias,
    tied: config.tie_word_embeddings,
  };
}

function parseOpt(raw: object): OptConfig {
  const config = read(optKeys, raw);
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  if (!config.do_layer_norm_before) throw unsupported('"do_layer_norm_before": false');
  if (config._remove_final_layer_norm) throw unsupported('"_remove_final_layer_norm": true');
  if (!config.layer_norm_elementwise_affine) throw unsupported('"layer_norm_elementwise_affine": false');
  if ((config.word_embed_proj_dim ?? hidden) !== hidden)
    throw unsupported('"word_embed_proj_dim" other than "hidden_size"');
  if (config.activation_function !== 'relu') throw unsupported(`activation "${config.activation_function}"`);
  requireHeads('hidden_size', hidden, 'num_attention_heads', heads);
  return {
    architecture: 'opt',
    hidden,
    intermediate: config.ffn_dim,
    layers: config.num_hidden_layers,
    heads,
    vocabulary: config.vocab_size,
    positions: config.max_position_embeddings,
    bias: config.enable_bias,
    tied: config.tie_word_embeddings,
  };
}

/** By `model_type`. */
const FAMILIES: Readonly<Record<string, (raw: object) => ModelConfig>> = {
  ...Object.fromEntries(
    Object.entries(LLAMA_FAMILIES).map(([type, family]) => [type, (raw: object) => parseLlama(raw, family)]),
  ),
  opt: parseOpt,
  gpt2: parseGpt2,
  bert: (raw) => parseBert('bert', raw),
  roberta: (raw) => parseBert('roberta', raw),
};

/** @param json the text of `config.json`. @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED naming the key or feature */
export function readConfig(json: string): ModelConfig {
  let raw: unknown;
  try {
    raw = JSON.parse(json);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  if (typeof raw !== 'object' || raw === null) throw invalid('it is not an object');
  const { model_type: type, quantization_config: quantised } = raw as Record<string, unknown>;
  if (typeof type !== 'string') throw invalid('"model_type" is missing');
  if (!Object.hasOwn(FAMILIES, type))
    throw new Fault(
      'MODEL_UNSUPPORTED',
      `config.json: model_type "${type}" is not implemented; choose one of ${Object.keys(FAMILIES).join(', ')}`,
    );
  if (quantised != null) throw unsupported('quantisation ("quantization_config")');
  return FAMILIES[type]!(raw);
}

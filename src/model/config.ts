/**
 * `config.json` of a Hugging Face checkpoint, as much of it as changes what the model computes. Absent keys mean what
 * transformers' configuration classes say; features we do not compute are refused by name, never ignored.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
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
  /** A token attends to itself and the `window` - 1 before it; null: to all before it. */
  readonly window: number | null;
  readonly attentionBias: boolean;
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

export type ModelConfig = LlamaConfig | OptConfig;

/** Above every published model; it only keeps a hostile file from asking for an endless list. */
const MAX_LAYERS = 10_000;
/** Shapes are ONNX dimensions and typed-array lengths. */
const MAX_WIDTH = 2 ** 31 - 1;

const width = z.int().min(1).max(MAX_WIDTH);
const layers = z.int().min(1).max(MAX_LAYERS);
const positive = z.number().positive();

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
  layer_types: z.array(z.string()).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
});

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

const unsupported = (feature: string): Fault =>
  new Fault('MODEL_UNSUPPORTED', `config.json: ${feature} is not implemented; choose a model without it`);
const invalid = (what: string, cause?: unknown): Fault =>
  new Fault('MODEL_INVALID', `config.json: ${what}; check the file`, { cause });

function read<T>(schema: z.ZodType<T>, raw: object): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  throw invalid(`"${path.join('.')}": ${message}`);
}

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

function parseRope(config: z.infer<typeof llamaKeys>, positions: number): Rope {
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

/** Where the members of the LLaMA family differ, and what their absent keys mean. */
interface LlamaFamily {
  readonly positions: number;
  /** null: as many as heads. */
  readonly keyValueHeads: number | null;
  /** Whether the architecture knows sliding windows; whether it knows biases. */
  readonly slides: boolean;
  readonly biases: boolean;
}
const MISTRAL_WINDOW = 4096;

/** An absent key means the default; null is a value. */
const given = <T>(value: T | null | undefined, absent: T | null): T | null => (value === undefined ? absent : value);

function parseLlama(raw: object, family: LlamaFamily): LlamaConfig {
  const config = read(llamaKeys, raw);
  const heads = config.num_attention_heads;
  if (config.hidden_act !== 'silu') throw unsupported(`activation "${config.hidden_act}"`);
  // transformers writes nested tables where layers differ
  const nested = Object.values((raw as { rope_parameters?: object | null }).rope_parameters ?? {});
  if (nested.some((value) => typeof value === 'object' && value !== null)) throw unsupported('RoPE by layer type');
  const kinds = new Set(config.layer_types);
  if (kinds.size > 1) throw unsupported('a mixture of layer types');
  if (config.head_dim == null && config.hidden_size % heads !== 0)
    throw invalid(`"hidden_size" ${config.hidden_size} is not a multiple of "num_attention_heads" ${heads}`);
  const kv = given(config.num_key_value_heads, family.keyValueHeads) ?? heads;
  if (heads % kv !== 0)
    throw invalid(`"num_attention_heads" ${heads} is not a multiple of "num_key_value_heads" ${kv}`);
  const headDim = config.head_dim ?? config.hidden_size / heads;
  if (headDim % 2 !== 0) throw invalid(`heads of ${headDim} components cannot be rotated`);
  const positions = config.max_position_embeddings ?? family.positions;
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
    window: family.slides ? given(config.sliding_window, MISTRAL_WINDOW) : null,
    attentionBias: family.biases && config.attention_bias,
    mlpBias: family.biases && config.mlp_bias,
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
  if (hidden % heads !== 0)
    throw invalid(`"hidden_size" ${hidden} is not a multiple of "num_attention_heads" ${heads}`);
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

/** By `model_type`. Vicuna, TinyLlama and SmolLM call themselves `llama`. */
const FAMILIES: Readonly<Record<string, (raw: object) => ModelConfig>> = {
  llama: (raw) => parseLlama(raw, { positions: 2048, keyValueHeads: null, slides: false, biases: true }),
  mistral: (raw) => parseLlama(raw, { positions: 131_072, keyValueHeads: 8, slides: true, biases: false }),
  opt: parseOpt,
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

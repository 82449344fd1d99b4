/**
 * A model that is not there yet, as the files of a folder: configuration, tokenizer, and weights from nothing. From there
 * on it is a base like any other.
 *
 * @module
 */
import { readConfig } from './config.ts';
import { type ExportFile, exportFiles, trained } from './export.ts';
import { initialWeights } from './initial.ts';
import { freshTensors, modelOf } from './model.ts';
import type { Vocabulary } from './tokenizer.ts';

/** The shape of a model of the LLaMA family, by the keys of its `config.json`. */
export interface FreshShape {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly max_position_embeddings: number;
  readonly rope_theta: number;
  readonly rms_norm_eps: number;
  readonly tie_word_embeddings: boolean;
}

/** Text of `config.json`. */
export function freshConfig(shape: FreshShape, { size, begin, end }: Vocabulary): string {
  const ids = { bos_token_id: begin ?? null, eos_token_id: end ?? null };
  const config = {
    architectures: ['LlamaForCausalLM'],
    ...{ model_type: 'llama', vocab_size: size, ...shape },
    ...{ hidden_act: 'silu', attention_bias: false, mlp_bias: false, ...ids, torch_dtype: 'float32' },
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/**
 * @param config text of `config.json`. @param tokenizer its files, by name. @param seed u32 of the weights.
 * @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED for a configuration that makes no model
 */
export function freshFiles(
  config: string,
  tokenizer: ReadonlyMap<string, Uint8Array>,
  seed: number,
): readonly ExportFile[] {
  const parsed = readConfig(config);
  const { tensors } = modelOf(parsed, freshTensors(parsed));
  const weights = tensors.map((spec) => trained(spec, async () => initialWeights(spec, seed)));
  return exportFiles(config, tokenizer, weights);
}

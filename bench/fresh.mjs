/**
 * A LLaMA of 0.94 million weights from nothing, with the tokenizer that the package brings: what studies of pre-training
 * begin with.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { freshConfig, freshFiles } from '../dist/model/fresh.js';
import { writeFolder } from '../dist/model/node/write-folder.js';
import { vocabularyOf } from '../dist/model/tokenizer.js';
import { root } from './harness.mjs';

/** @param folder made where it is not there. @returns it */
export async function freshBase(folder) {
  if (existsSync(folder)) return folder;
  const read = (name) => readFileSync(join(root, 'assets/quill', name));
  const [json, settings] = ['tokenizer.json', 'tokenizer_config.json'].map((name) => new Uint8Array(read(name)));
  const text = (bytes) => new TextDecoder().decode(bytes);
  const config = freshConfig(
    {
      ...{ hidden_size: 128, intermediate_size: 352, num_hidden_layers: 4, num_attention_heads: 4 },
      ...{ num_key_value_heads: 4, max_position_embeddings: 512, rope_theta: 10_000, rms_norm_eps: 1e-5 },
      tie_word_embeddings: true,
    },
    vocabularyOf(text(json), text(settings)),
  );
  const files = new Map([
    ['tokenizer.json', json],
    ['tokenizer_config.json', settings],
  ]);
  mkdirSync(dirname(folder), { recursive: true });
  await writeFolder(folder, freshFiles(config, files, 42));
  return folder;
}

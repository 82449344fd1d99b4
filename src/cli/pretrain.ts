/**
 * `murmur pretrain`: a base of one's own, from nothing or from another base.
 *
 * @module
 */
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { corpus, type Part } from '../data/corpus.ts';
import { Fault } from '../faults.ts';
import { TOKENIZER, TOKENIZER_CONFIG } from '../model/files.ts';
import { freshConfig, freshFiles } from '../model/fresh.ts';
import { writeFolder } from '../model/node/write-folder.ts';
import { vocabularyOf } from '../model/tokenizer.ts';
import type { BlobRef } from '../nouns.ts';
import { blobRef } from '../peer/node/blobs.ts';
import type { MakeData } from '../peer/node/open-replica.ts';
import { settingsOf } from './alone.ts';
import { type Argv, flagsOf } from './args.ts';
import { loadConfig, type RunConfig } from './config.ts';
import { plainName } from './data.ts';
import { keys } from './keys.ts';
import { draftManifest } from './prepare.ts';
import { finishAlone, NOBODY } from './train-alone.ts';
import type { Io } from './verb.ts';

export const usage: string = `pretrain --data FILES --tokenizer FOLDER [flags]

Trains a small language model on text, alone on this machine; output_dir/model is then a Hugging Face folder. From
nothing it is of the LLaMA family, with the shape that the flags say; with --base it goes on from a model. An
interrupted training goes on, to the bit, when its command is given again. Without --data the model from nothing is
written as it is, to output_dir/base: what several peers begin from with train --method diloco.
  murmur pretrain --data books.txt --tokenizer my-tokenizer --max_steps 5000
  murmur pretrain --data "books.txt,reviews.jsonl=2" --tokenizer my-tokenizer --hidden_size 256 --num_hidden_layers 8
  murmur pretrain --data more.txt --base out/model --learning_rate 3e-4 --max_steps 500
  murmur pretrain --tokenizer my-tokenizer --hidden_size 256 --output_dir fresh`;

const count = (least: number, most = 1_000_000_000) => z.int().min(least).max(most);
const MAX_TIMES = 1000;

/** Keys that mean what they mean in a run file, with other defaults. */
const courseKeys = {
  learning_rate: z.number().gt(0).default(3e-3).describe('Peak learning rate.'),
  lr_scheduler_type: z.enum(['constant', 'linear', 'cosine']).default('cosine').describe('How the rate goes to zero.'),
  warmup_steps: count(0)
    .optional()
    .describe('Steps over which the rate rises to its peak. Default: a tenth of max_steps, at most 100.'),
  max_steps: count(1).default(1000).describe('Steps of the training.'),
  per_device_train_batch_size: count(1).default(8).describe('Windows of a batch.'),
  gradient_accumulation_steps: count(1).default(1).describe('Batches of a step.'),
  block_size: count(2).default(512).describe('Tokens of a window.'),
  weight_decay: z.number().min(0).max(1).default(0.1).describe('Decay of matrices, times the rate.'),
  max_grad_norm: z.number().min(0).default(1).describe('Clips the norm of a gradient; 0: no limit.'),
  adam_beta1: z.number().min(0).lt(1).default(0.9).describe('AdamW: decay of the mean.'),
  adam_beta2: z.number().min(0).lt(1).default(0.95).describe('AdamW: decay of the mean square.'),
  adam_epsilon: z.number().gt(0).max(1).default(1e-8).describe('AdamW: added to the root of the mean square.'),
};

const own = z.strictObject({
  data: z
    .string()
    .min(1)
    .optional()
    .describe('Text files with commas: .txt, or rows. After = how often an epoch reads one.'),
  text_column: z.string().min(1).default('text').describe('Of files with rows: the column that holds a document.'),
  eval_data: z.string().min(1).optional().describe('Held-out text. Without it the end of every file is held out.'),
  eval_fraction: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.02)
    .describe('Part of a file held out at its end, without eval_data.'),
  max_eval_samples: count(1).optional().describe('Evaluate on the first so many held-out windows only.'),
  base: z.string().min(1).optional().describe('Model to go on from: a folder or a Hub id. Without it: from nothing.'),
  tokenizer: z.string().min(1).optional().describe('Folder that holds tokenizer.json, for a model from nothing.'),
  hidden_size: count(1).default(128).describe('Width of the model.'),
  intermediate_size: count(1).optional().describe('Width between. Default: 8/3 of hidden_size, in steps of 32.'),
  num_hidden_layers: count(1, 1000).default(4).describe('Blocks.'),
  num_attention_heads: count(1).default(4).describe('Heads of queries.'),
  num_key_value_heads: count(1).optional().describe('Heads of keys and values. Default: as many as of queries.'),
  max_position_embeddings: count(2).default(512).describe('Longest text of the model, in tokens.'),
  rope_theta: z.number().gt(0).default(10_000).describe('Base of the rotary positions.'),
  rms_norm_eps: z.number().gt(0).default(1e-5).describe('Added to the mean square in a norm.'),
  tie_word_embeddings: z.boolean().default(true).describe('The head is the embedding.'),
  ...courseKeys,
  seed: z.int().min(0).max(0xffff_ffff).default(42).describe('Of the first weights and of the order of the data.'),
  output_dir: z.string().min(1).default('out').describe('Folder of the state and of the model.'),
  eval_steps: count(1).optional().describe('Steps between evaluations. Default: a twentieth of max_steps.'),
  save_steps: count(1).optional().describe('Steps between two savings. Default: a twentieth of max_steps.'),
  logging_steps: count(1).default(10).describe('Steps between lines of progress.'),
  threads: z.int().min(1).max(1024).optional().describe('Threads to compute with. Default: all cores.'),
});
export const flags: z.ZodObject = own;
type Given = z.infer<typeof own>;

/** Keys that a model from nothing has without any data. */
const SHAPE: ReadonlySet<string> = new Set([
  ...['tokenizer', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'output_dir'],
  ...['num_key_value_heads', 'max_position_embeddings', 'rope_theta', 'rms_norm_eps', 'tie_word_embeddings', 'seed'],
]);

/** A file of `--data`, and how often an epoch reads it. */
interface Share {
  readonly path: string;
  readonly times: number;
}

/** `books.txt,reviews.jsonl=2` @throws {Fault} CONFIG_INVALID */
export function sharesOf(data: string): Share[] {
  return data.split(',').map((text) => {
    const [, path = text, number] = /^(.*)=([^=]*)$/.exec(text) ?? [];
    const times = number === undefined ? 1 : Number(number);
    if (path.trim() !== '' && times > 0 && times <= MAX_TIMES) return { path: path.trim(), times };
    throw new Fault(
      'CONFIG_INVALID',
      `--data: "${text}" is no file, or no file=times with times above 0 and at most ${MAX_TIMES}`,
    );
  });
}

/** @throws {Fault} FILE_MISSING, OUTPUT_EXISTS where the folder holds another model's beginning */
async function freshBase(given: Given, tokenizer: string, folder: string): Promise<string> {
  const read = async (name: string): Promise<Uint8Array | undefined> =>
    readFile(join(tokenizer, name)).then(
      (bytes) => new Uint8Array(bytes),
      () => undefined,
    );
  const json = await read(TOKENIZER);
  if (!json)
    throw new Fault('FILE_MISSING', `${join(tokenizer, TOKENIZER)} is not there; name the folder that holds it`);
  const settings = await read(TOKENIZER_CONFIG);
  const text = (bytes: Uint8Array | undefined) => (bytes ? new TextDecoder().decode(bytes) : '{}');
  const heads = given.num_attention_heads;
  const config = freshConfig(
    {
      ...{ hidden_size: given.hidden_size, num_hidden_layers: given.num_hidden_layers },
      intermediate_size: given.intermediate_size ?? 32 * Math.ceil(given.hidden_size / 12),
      ...{ num_attention_heads: heads, num_key_value_heads: given.num_key_value_heads ?? heads },
      ...{ max_position_embeddings: given.max_position_embeddings, rope_theta: given.rope_theta },
      ...{ rms_norm_eps: given.rms_norm_eps, tie_word_embeddings: given.tie_word_embeddings },
    },
    vocabularyOf(text(json), text(settings)),
  );
  const files = new Map([[TOKENIZER, json], ...(settings ? [[TOKENIZER_CONFIG, settings] as const] : [])]);
  const made = freshFiles(config, files, given.seed);
  const base = join(folder, 'base');
  if (!(await stat(base).catch(() => undefined))) await writeFolder(base, made);
  else
    for (const { path, chunks } of made) {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks()) parts.push(chunk);
      const found = await readFile(join(base, path)).catch(() => undefined);
      if (!found || !Buffer.concat(parts).equals(found))
        throw new Fault('OUTPUT_EXISTS', `${base} begins another model (${path} differs); name another output_dir`);
    }
  return base;
}

/** The keys of a run file that say the same. */
function runConfig(given: Given, model: string, { path: data }: Share): RunConfig {
  const steps = Math.max(1, Math.ceil(given.max_steps / 20));
  const warmup = Math.min(100, Math.floor(given.max_steps / 10));
  const { eval_steps = steps, save_steps = steps, warmup_steps = warmup } = given;
  const held = given.eval_data === undefined ? { eval_fraction: given.eval_fraction } : { eval_data: given.eval_data };
  const shared = Object.keys(given).filter((key) => Object.hasOwn(keys, key) && !key.startsWith('eval_'));
  const values = Object.fromEntries(shared.map((key) => [key, given[key as keyof Given]]));
  const course = { eval_steps, save_steps, warmup_steps };
  const flags = { ...values, model, data, ...held, method: 'backprop', task: 'lm', ...course };
  return loadConfig(undefined, flags, {}).config;
}

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  if (argv.words.length > 0) throw new Fault('CONFIG_INVALID', `pretrain: takes flags only, got "${argv.words[0]}"`);
  const { base, tokenizer, output_dir: folder, text_column: column } = given;
  if ((base === undefined) === (tokenizer === undefined))
    throw new Fault(
      'CONFIG_INVALID',
      'pretrain: takes --tokenizer for a model from nothing, or --base to go on from one',
    );
  if (given.data === undefined) {
    const other = Object.keys(argv.flags).find((key) => !SHAPE.has(key));
    if (other !== undefined)
      throw new Fault('CONFIG_INVALID', `--${other}: has no meaning without --data, which to train on; give both`);
    return { path: await freshBase(given, tokenizer!, folder) };
  }
  const shares = sharesOf(given.data);
  // What is read before anything is written: a path that is wrong leaves nothing behind.
  const parts: (Share & { readonly blob: BlobRef })[] = [];
  for (const share of shares) parts.push({ ...share, blob: await blobRef(share.path, plainName(share.path)) });
  const model = base ?? (await freshBase(given, tokenizer!, folder));
  const config = runConfig(given, model, shares[0]!);
  const makeData: MakeData = async (encoder, positions) => {
    const read = async (path: string) => ({ name: plainName(path), bytes: new Uint8Array(await readFile(path)) });
    const files: Part[] = [];
    for (const { path, times } of shares) files.push({ file: await read(path), times });
    const held = given.eval_data === undefined ? undefined : await read(given.eval_data);
    const options = { window: given.block_size, column, held, fraction: given.eval_fraction, positions };
    return corpus(files, options, encoder);
  };
  const { rates, ...draft } = await draftManifest(config, NOBODY, output, env);
  return finishAlone(
    {
      ...draft,
      settings: settingsOf(config, rates.zo_learning_rate),
      origin: { corpus: parts.map(({ blob, times }) => ({ blob, times })), text_column: column },
      makeData,
      ...{ threads: given.threads ?? availableParallelism(), folder },
      ...{
        evalSteps: config.eval_steps,
        saveSteps: config.save_steps ?? config.max_steps,
        loggingSteps: config.logging_steps,
        reportTo: 'none',
      },
      ...{ maxEvalSamples: given.max_eval_samples, offloadFolder: undefined },
    },
    output,
  );
}

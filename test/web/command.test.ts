/** The page says how to have a run again: here the command line is asked whether that is so. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseArgv } from '../../src/cli/args.ts';
import { loadConfig } from '../../src/cli/config.ts';
import { keys, propertiesOf, runFile } from '../../src/cli/keys.ts';
import { manifestOf } from '../../src/cli/prepare.ts';
import { taskFor } from '../../src/cli/task.ts';
import type { Manifest } from '../../src/nouns.ts';
import { commandOf, differences, peersOf, runFileOf, settingsOf } from '../../src/web/command.ts';

const blob = (path: string) => ({ path, bytes: 1, sha256: '00'.repeat(32) });

/** What the command line makes of settings, but for reading files. */
function manifestFrom(flags: Readonly<Record<string, unknown>>, file?: string): Manifest {
  const written = file === undefined ? undefined : { name: 'run.yaml', text: file };
  const { config } = loadConfig(written, flags, {});
  return manifestOf(
    { ...config, learning_rate: config.learning_rate ?? 0.00123 },
    'ab'.repeat(32),
    { name: config.model, files: [blob('config.json')] },
    { train: blob(config.data!), ...(config.eval_data === undefined ? {} : { eval: blob(config.eval_data) }) },
    taskFor(config.tasks, false),
    config.reward === undefined ? undefined : blob(config.reward),
  );
}

const schema = JSON.parse(readFileSync('schema/murmur.schema.json', 'utf8')) as {
  properties: Record<string, { default?: unknown }>;
};
const DEFAULTS = Object.fromEntries(Object.entries(schema.properties).map(([key, value]) => [key, value.default]));

/** As a shell takes a command apart. */
const wordsOf = (command: string): string[] =>
  execFileSync('sh', ['-c', command.replace(/^npx murmur train/, "printf '%s\\0'")], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);

const CHOICE = { prompt: "{text} It's", labels: { 0: ' terrible', 1: ' great' } };
const ROW = { direction: 'rademacher' };

const RUNS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'language modelling by the defaults': {},
  'held-out part, batches, warm-up': {
    eval_fraction: 0.2,
    block_size: 32,
    warmup_steps: 3,
    lr_scheduler_type: 'cosine',
  },
  'a choice with words that need quotes': { ...CHOICE, eval_data: 'dev set.jsonl', seed: 7 },
  'a label column of its own': { ...CHOICE, label_column: 'stars', shots: 16 },
  'a named task': { task: 'sst2', max_train_samples: 100 },
  candidates: { task: 'candidates', prompt: '{premise} so', candidates_column: 'c', answer_column: 'a' },
  'an answer, sampled': {
    ...{ task: 'answer', prompt: '{q} A:', objective: 'f1', temperature: 0.5, stop: '\\n|.', max_new_tokens: 8 },
  },
  'an answer without a stop': { task: 'answer', prompt: '{q} A:', stop: '' },
  'a reward': { task: 'answer', prompt: '{q}', objective: 'reward', reward: 'reward.ts' },
  'masked modelling': { task: 'masked_lm', mlm_probability: 0.3 },
  'four peers': { peers: 4, per_device_train_batch_size: 8 },
  'a direction a batch': { peers: 2, direction_per: 'batch', gradient_accumulation_steps: 3 },
  'dense directions': { ...ROW, peers: 3, gradient_accumulation_steps: 2 },
  'dense directions of single samples': { ...ROW, direction_per: 'sample' },
  'a sparse mask': { ...ROW, sparse: 'magnitude', sparse_kept: '1/3' },
  'rank, laziness, bytes': { rank: 4, lazy_rounds: 5, forward_precision: 'int8', eps: 0.01 },
  'a pool and a tensor mask': { direction_pool: 64, tensor_mask: '1/4' },
  'shared directions': { shared_directions: 4, reduction: 'sqrt' },
  'noise for private data': { dp_noise_multiplier: 1.5, dp_clip: 64, dp_epochs: 3, dp_delta: 1e-6 },
  votes: { shared_directions: 4, aggregation: 'median', byzantine: 2, peers: 8 },
  'a window of blocks': { blocks_per_round: 2 },
  'the last blocks': { last_blocks: 3 },
  lora: { adapter: 'lora', lora_r: 4, lora_alpha: 8, target_modules: 'q_proj,v_proj' },
  prefix: { adapter: 'prefix', num_virtual_tokens: 3 },
  'prompt tuning': { adapter: 'prompt' },
  momentum: { optimizer: 'momentum', momentum: 0.8 },
  'scalar Adam': { optimizer: 'scalar_adam', adam_beta1: 0.8, adam_epsilon: 1e-6 },
  'a forward gradient': { estimator: 'forward_gradient' },
  'accuracy in place of the loss': { ...CHOICE, objective: 'accuracy' },
  'what a method sets': { method: 'fzoo' },
  diloco: { method: 'diloco', inner_steps: 40, max_steps: 200, fragments: 2, overlap_steps: 3, mixing: 0.25 },
  'diloco that bears with a liar': { method: 'diloco', inner_steps: 10, aggregation: 'trimmed_mean', byzantine: 2 },
  ddp: { method: 'ddp', optim: 'sgd', momentum: 0.5, exchange_format: 'int8' },
  acco: { method: 'acco', max_steps: 50, weight_decay: 0.1 },
  monna: { method: 'monna', inner_steps: 5, max_steps: 50, byzantine: 2, momentum: 0.9 },
};

describe('the settings of a manifest make the same manifest', () => {
  test.each(Object.entries(RUNS))('%s', (_, flags) => {
    const manifest = manifestFrom({ model: 'my model', data: 'train.jsonl', ...flags });
    const peers = peersOf(manifest.records_per_round, Number(flags['peers'] ?? 1));
    const own = differences(settingsOf(manifest, peers), DEFAULTS);
    const argv = parseArgv(wordsOf(commandOf(own)!), propertiesOf(runFile));
    expect(argv.words).toEqual([]);
    expect(manifestFrom(argv.flags), 'as a command').toEqual(manifest);
    expect(manifestFrom({}, runFileOf(own)), 'as a run file').toEqual(manifest);
  });
});

test('only keys that a run file has, and defaults are not said', () => {
  for (const flags of Object.values(RUNS)) {
    const settings = settingsOf(manifestFrom({ model: 'm', data: 'd.txt', ...flags }), 1);
    for (const key of Object.keys(settings)) expect(Object.keys(keys)).toContain(key);
  }
  const plain = settingsOf(manifestFrom({ model: 'm', data: 'd.txt', learning_rate: 0.5 }), 1);
  expect(differences(plain, DEFAULTS)).toEqual({ model: 'm', data: 'd.txt', learning_rate: 0.5 });
});

test('what a flag cannot say is left to the run file', () => {
  const settings = { model: 'm', data: 'd', prompt: '{text}', labels: { 'a=b': ' x', c: ' y, z' } };
  expect(commandOf(settings)).toBeUndefined();
  expect(runFileOf(settings)).toContain('labels: {"a=b":" x","c":" y, z"}');
});

test('peers that cannot share a round evenly are not claimed', () => {
  expect([peersOf(128, 4), peersOf(128, 5), peersOf(128, undefined), peersOf(128, 0)]).toEqual([4, 1, 1, 1]);
});

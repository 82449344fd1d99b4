import { describe, expect, test } from 'vitest';
import { directionOf, loadConfig, optionalKeys, recordsOf, tensorMaskOf } from '../../src/cli/config.ts';
import { GROUPS, keys } from '../../src/cli/keys.ts';

const load = (text: string, flags: Record<string, unknown> = {}, env = {}) =>
  loadConfig({ name: 'run.yaml', text }, flags, env);
const BASE = 'model: m\ndata: d.txt\n';
const CHOICE = `${BASE}prompt: "{text} It was"\nlabels: {0: " terrible", 1: " great"}\n`;

function refusal(text: string, flags: Record<string, unknown> = {}): string {
  try {
    load(text, flags);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return 'no refusal';
}

test.each([
  ['true', 'out', undefined],
  [true, 'out', undefined],
  ['there/', 'there/', undefined],
  ['there/checkpoint-50/', 'there', 50],
  ['checkpoint-7', '.', 7],
  ['there/training.state', 'there', undefined],
])('resume_from_checkpoint %j goes on in %s', (value, folder, round) => {
  const { config } = load(BASE, { resume_from_checkpoint: value });
  expect(config.output_dir).toBe(folder);
  expect(config.resume).toEqual(round === undefined ? { folder } : { folder, round });
  expect(load(BASE, { resume_from_checkpoint: value, output_dir: `./${folder}` }).config.resume).toBeDefined();
});

test('without resume_from_checkpoint nothing must go on; in another folder than output_dir nothing can', () => {
  for (const value of [undefined, false, 'false'])
    expect(load(BASE, value === undefined ? {} : { resume_from_checkpoint: value }).config.resume).toBeUndefined();
  expect(refusal(BASE, { resume_from_checkpoint: 'there', output_dir: 'here' })).toMatch(/copy the folder/);
});

describe('run files', () => {
  test('flags win over the file, the file over the environment, that over the defaults; and it is told which', () => {
    const { config, sources } = load(
      `${BASE}eps: 0.01\nseed: 7\nhub_token: mine\n`,
      { seed: 8 },
      { HF_TOKEN: 'theirs' },
    );
    expect([config.eps, config.seed, config.rank, config.hub_token]).toEqual([0.01, 8, 1, 'mine']);
    expect([sources.eps, sources.seed, sources.rank, sources.hub_token]).toEqual(['file', 'flag', 'default', 'file']);
    const bare = loadConfig(undefined, { model: 'm', data: 'd' }, { HF_TOKEN: 'theirs' });
    expect([bare.config.hub_token, bare.sources.hub_token]).toEqual(['theirs', 'environment']);
  });

  test('without a prompt it is language modelling, with one a choice', () => {
    expect(load(BASE).config.tasks.causal).toEqual({ kind: 'lm', window: 64 });
    expect(load(CHOICE).config.tasks.causal).toEqual({
      kind: 'choice',
      prompt: '{text} It was',
      label_column: 'label',
      labels: [
        { value: '0', word: ' terrible' },
        { value: '1', word: ' great' },
      ],
    });
  });

  test('a direction per sample is a byte per sample; per batch a byte per batch', () => {
    const records = (flags: Record<string, unknown>) => recordsOf(load(BASE, flags).config);
    expect(records({ peers: 4 })).toEqual({ records_per_round: 64, samples_per_record: 1 });
    expect(records({ peers: 4, direction: 'rademacher' })).toEqual({ records_per_round: 4, samples_per_record: 16 });
    expect(records({ peers: 0, min_peers: 3, gradient_accumulation_steps: 2, per_device_train_batch_size: 5 })).toEqual(
      {
        records_per_round: 30,
        samples_per_record: 1,
      },
    );
  });

  test('directions have unit variance', () => {
    const scale = (flags: Record<string, unknown>) => directionOf(load(BASE, flags).config).scale;
    expect([
      scale({}),
      scale({ rank: 4 }),
      scale({ direction: 'rademacher' }),
      scale({ direction: 'binomial' }),
    ]).toEqual([1, 0.5, 1, 0.5]);
  });

  test('a part of the tensors is a mask of the manifest, all of them is none', () => {
    expect(tensorMaskOf(load(BASE, { tensor_mask: '3/16' }).config)).toEqual({ kept: 3, of: 16 });
    expect(tensorMaskOf(load(`${BASE}tensor_mask: 1/4\n`).config)).toEqual({ kept: 1, of: 4 });
    expect(tensorMaskOf(load(BASE).config)).toBeUndefined();
  });

  test('methods of other directions are keys of the manifest, and what is given wins', () => {
    const manifestKeys = (method: string, flags: Record<string, unknown> = {}) => {
      const { config } = load(BASE, { method, ...flags });
      return { direction: directionOf(config), ...optionalKeys(config), ...recordsOf(config) };
    };
    const batch = { records_per_round: 1, samples_per_record: 16 };
    const bell = { kind: 'binomial', rank: 1, scale: 0.5 };
    expect(manifestKeys('lozo')).toEqual({
      direction: { kind: 'lowrank', rank: 2, scale: 1 / Math.sqrt(2), lazy: 50 },
      ...batch,
    });
    expect(manifestKeys('lozo', { lazy_rounds: 1 }).direction).not.toHaveProperty('lazy');
    const element_mask = { by: 'magnitude', kept: 1, of: 5 };
    expect(manifestKeys('sparse-mezo')).toEqual({ direction: bell, element_mask, ...batch });
    expect(manifestKeys('fedkseed')).toEqual({ direction: bell, directions: { pool: 4096 }, ...batch });
    const five = { records_per_round: 5, samples_per_record: 16 };
    expect(manifestKeys('decomfl')).toEqual({ direction: bell, directions: { shared: 5 }, ...five });
    expect(manifestKeys('mezo-bcd')).toEqual({ direction: bell, blocks_per_round: 1, ...batch });
  });

  test('a key with nothing behind it is not written', () => {
    expect(load(`${BASE}eval_data:\n`).sources.eval_data).toBe('default');
  });

  test('every key is in one group of --help', () => {
    expect(Object.values(GROUPS).flat().sort()).toEqual(Object.keys(keys).sort());
  });

  test.each([
    ['an unknown key', `${BASE}learning_rat: 1\n`, 'run.yaml:3: learning_rat: unknown; did you mean "learning_rate"?'],
    ['a key of nowhere', `${BASE}\nzebra: 1\n`, 'run.yaml:4: zebra: unknown; "murmur schema" lists the keys'],
    ['no data', 'model: m\n', 'data is missing; give --data or "data:" in a run file'],
    ['no model', 'data: d\n', 'model is missing; give --model or "model:" in a run file'],
    ['nothing', '', 'model is missing; give --model or "model:" in a run file'],
    [
      'a word for a number',
      `${BASE}eps: small\n`,
      'run.yaml:3: eps: takes a number above 0 and at most 1, got "small"',
    ],
    [
      'a number out of bounds',
      `${BASE}eval_fraction: 1\n`,
      'run.yaml:3: eval_fraction: takes a number above 0 and below 1, got 1',
    ],
    [
      'a fraction',
      `${BASE}max_steps: 1.5\n`,
      'run.yaml:3: max_steps: takes a whole number at least 1 and at most 1000000000, got 1.5',
    ],
    [
      'a word of another list',
      `${BASE}reduction: avg\n`,
      'run.yaml:3: reduction: takes one of mean, sqrt, sum, got "avg"',
    ],
    ['a number for a word', 'model: 7\ndata: d\n', 'run.yaml:1: model: takes text, got 7'],
    ['not a map', '- a\n- b\n', 'run.yaml:1: not a run file; write "key: value" lines, as "murmur schema" describes'],
    [
      'broken YAML',
      `${BASE}labels: {0: a\n`,
      /^CONFIG_INVALID: run.yaml:\d: not YAML \(.*\); write "key: value" lines$/,
    ],
    ['a key twice', `${BASE}model: n\n`, /^CONFIG_INVALID: run.yaml:3: not YAML \(.*unique.*\)/],
    [
      'a choice without labels',
      `${BASE}prompt: "{t}"\n`,
      /^CONFIG_INVALID: labels: needs a word for each of two or more classes/,
    ],
    ['a choice of one', `${BASE}prompt: "{t}"\nlabels: {0: a}\n`, /^CONFIG_INVALID: run.yaml:4: labels: needs a word/],
    ['a choice without a prompt', `${BASE}task: choice\nlabels: {0: a, 1: b}\n`, /^CONFIG_INVALID: prompt: is missing/],
    [
      'a choice in windows',
      `${CHOICE}block_size: 8\n`,
      'run.yaml:5: block_size: is for task lm or masked_lm; leave it out',
    ],
    [
      'accuracy of text',
      `${BASE}objective: accuracy\n`,
      /^CONFIG_INVALID: run.yaml:3: objective: accuracy is for task/,
    ],
    ['a reward without its file', `${BASE}task: answer\nprompt: "{q}"\nobjective: reward\n`, /: reward: and objective/],
    ['text with labels', `${CHOICE}task: lm\n`, /^CONFIG_INVALID: run.yaml:4: labels: is for task choice/],
    [
      'a rank of dense directions',
      `${BASE}rank: 2\ndirection: binomial\n`,
      'run.yaml:3: rank: is for direction lowrank, not binomial; leave it out',
    ],
    [
      'bytes of dense directions',
      `${BASE}direction: rademacher\nforward_precision: int8\n`,
      'run.yaml:4: forward_precision: int8 is for direction lowrank, as rounding loses eps in rademacher ones; take f32',
    ],
    [
      'lasting columns of a pool',
      `${BASE}lazy_rounds: 5\ndirection_pool: 9\n`,
      'run.yaml:3: lazy_rounds: has no meaning beside direction_pool, as no round draws any; leave one of them out',
    ],
    [
      'a mask of all elements',
      `${BASE}direction: rademacher\nsparse: random\nsparse_kept: 5/5\n`,
      'run.yaml:5: sparse_kept: keeps everything; take a part below 1, or leave sparse out',
    ],
    ['a mask as a number', `${BASE}tensor_mask: 0.25\n`, 'run.yaml:3: tensor_mask: takes text such as 1/4, got 0.25'],
    [
      'a mask of everything',
      `${BASE}tensor_mask: 4/4\n`,
      'run.yaml:3: tensor_mask: keeps everything; take a part below 1, or leave it out',
    ],
    [
      'more warm-up than run',
      `${BASE}warmup_steps: 200\n`,
      'run.yaml:3: warmup_steps: is more than max_steps, 100; lower it',
    ],
    [
      'two hold-outs',
      `${BASE}eval_data: e\neval_fraction: 0.2\n`,
      /^CONFIG_INVALID: run.yaml:4: eval_fraction: has no meaning beside eval_data/,
    ],
    [
      'no worker',
      `${BASE}workers: 0\n`,
      'run.yaml:3: workers: takes a whole number at least 1 and at most 1024, got 0',
    ],
    [
      'workers without a thread',
      `${BASE}workers: 3\nthreads: 2\n`,
      'run.yaml:3: workers: is more than threads, 2; lower it, or leave threads out',
    ],
    ['nobody', `${BASE}peers: 0\n`, /^CONFIG_INVALID: run.yaml:3: peers: 0 starts none here/],
  ])('%s is refused by line and remedy', (_, text, expected) => {
    const got = refusal(text);
    if (typeof expected === 'string') expect(got).toBe(`CONFIG_INVALID: ${expected}`);
    else expect(got).toMatch(expected);
  });

  test('a wrong flag is named as a flag, and a token is never repeated', () => {
    expect(refusal(BASE, { eps: 'x' })).toBe('CONFIG_INVALID: --eps: takes a number above 0 and at most 1, got "x"');
    expect(refusal(`${BASE}hub_token: [s3cret]\n`)).not.toMatch('s3cret');
  });
});

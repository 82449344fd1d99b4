import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/cli/config.ts';
import { dataFilesOf } from '../../src/cli/data.ts';
import { manifestOf } from '../../src/cli/prepare.ts';
import { taskFor } from '../../src/cli/task.ts';
import { printedTask, readTask } from '../../src/cli/task-file.ts';
import { labelTokens } from '../../src/data/choice.ts';
import { TASKS } from '../../src/data/tasks/tasks.ts';
import { decodeManifest, encodeManifest } from '../../src/journal/manifest.ts';
import { byteLevelTokenizer } from '../../src/model/bpe.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import type { Manifest } from '../../src/nouns.ts';
import { refusal } from '../data/fake.ts';
import { MANIFEST } from '../journal/fixture.ts';
import { murmur } from './capture.ts';

const named = (name: string) => TASKS.find((task) => task.name === name)!;
const load = (text: string, files: Readonly<Record<string, string>> = {}) =>
  loadConfig({ name: 'run.yaml', text: `model: m\n${text}` }, {}, {}, (path) => files[path]!).config;
const tasks = (text: string, files?: Readonly<Record<string, string>>) => load(text, files).tasks;

describe('task:', () => {
  test('a named one, for the model that reads it, with its data', () => {
    const choice = tasks('task: sst2\n');
    expect(taskFor(choice, false)).toBe(named('sst2').causal);
    expect(taskFor(choice, true)).toMatchObject({ prompt: '{text} It was {mask}.', rows: 'sst2' });
    expect([load('task: sst2\n').task, load('task: copa\n').task]).toEqual(['choice', 'candidates']);
    expect(refusal(() => taskFor(tasks('task: boolq\n'), true))).toMatch(
      /^CONFIG_INVALID: task: boolq has no prompt for masked models; give one with \{mask\}/,
    );
  });

  test("the user's prompt and words stand in place of the task's", () => {
    const own = tasks('task: sst2\nprompt: "{text} All in all:"\nlabels: {negative: " bad"}\n');
    for (const masked of [false, true])
      expect(taskFor(own, masked)).toEqual({
        ...named('sst2').causal,
        prompt: '{text} All in all:',
        labels: [
          { value: 'negative', word: ' bad' },
          { value: 'positive', word: ' great' },
        ],
      });
    expect(taskFor(tasks('task: boolq\nprompt: "{question} {mask}"\n'), true)).toMatchObject({ rows: 'boolq' });
  });

  test('a file of its own', () => {
    const files = { 'mine.yaml': 'kind: choice\nprompt: "{a}?"\nlabels: {0: " no", 1: " yes"}\nlabel_column: b\n' };
    expect(taskFor(tasks('data: d.tsv\ntask: mine.yaml\n', files), false)).toEqual({
      kind: 'choice',
      prompt: '{a}?',
      label_column: 'b',
      labels: [
        { value: '0', word: ' no' },
        { value: '1', word: ' yes' },
      ],
    });
  });

  test('every named task is printed as what reads as itself, and is a task of a manifest', () => {
    for (const { causal, masked } of TASKS) {
      for (const task of masked ? [causal, masked] : [causal]) {
        expect(readTask('t.yaml', printedTask(task))).toEqual(task);
        const manifest: Manifest = { ...MANIFEST, task, data: { ...MANIFEST.data, sample: { first: 9, seed: 1 } } };
        expect(decodeManifest(encodeManifest(manifest))).toEqual({ manifest });
      }
    }
  });

  test.each<[string, string, string | RegExp, string?]>([
    [
      'a name that is nearly one',
      'task: sst-2\n',
      /^CONFIG_INVALID: run.yaml:2: task: "sst-2" is neither .*; did you mean "sst2"\?$/,
    ],
    [
      'a name that is none',
      'task: zebra\n',
      /"zebra" is neither a named task nor a .yaml file; "murmur tasks" lists them$/,
    ],
    ['no data of its own', 'task: t.yaml\n', /^CONFIG_INVALID: data is missing/, 'kind: answer\nprompt: "{a}"\n'],
    ['another label column', 'task: sst2\nlabel_column: y\n', /run.yaml:3: label_column: is said by the task already/],
    ['a block size', 'task: sst2\nblock_size: 8\n', /block_size: is for task lm/],
    [
      'words of no class',
      'task: sst2\nlabels: {0: " x"}\n',
      /labels: "0" is not one of negative, positive; name these/,
    ],
    [
      'words where there are no classes',
      'task: squad\nlabels: {0: " x"}\n',
      /labels: is for classes, and the task has none/,
    ],
    ['a bare kind', 'data: d\ntask: candidates\n', /prompt: is missing; task candidates needs one/],
    [
      'shots of text',
      'data: d\nshots: 4\n',
      /run.yaml:3: shots: is for task choice or candidates or answer; leave it out/,
    ],
    ['two sizes', 'task: rte\nshots: 4\nmax_train_samples: 8\n', /max_train_samples: and shots are two answers/],
    [
      'a file without a kind',
      'task: t.yaml\ndata: d\n',
      'CONFIG_INVALID: t.yaml:1: kind: is missing; write choice, candidates or answer',
      'prompt: "{a}"\n',
    ],
    [
      'a file without a prompt',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:1: prompt: is missing/,
      'kind: answer\n',
    ],
    [
      'a file with one class',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:3: labels: needs a word/,
      'kind: choice\nprompt: "{a}"\nlabels: {0: a}\n',
    ],
    [
      'a key of another kind',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:3: stop: is for kind answer, not choice; leave it out$/,
      'kind: choice\nprompt: "{a}"\nstop: [x]\n',
    ],
    [
      'a key of no kind',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:2: promt: unknown; did you mean "prompt"\?$/,
      'kind: choice\npromt: "{a}"\n',
    ],
    [
      'a list that is none',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:3: stop: takes a list of texts/,
      'kind: answer\nprompt: "{a}"\nstop: x\n',
    ],
    [
      'rows of no task',
      'task: t.yaml\ndata: d\n',
      /^CONFIG_INVALID: t.yaml:3: rows: "x" is not a named task/,
      'kind: answer\nprompt: "{a}"\nrows: x\n',
    ],
    ['a file that is a list', 'task: t.yaml\ndata: d\n', /^CONFIG_INVALID: t.yaml:1: not a task/, '- a\n'],
  ])('%s is refused', (_, text, message, file = '') => {
    const said = refusal(() => load(text, { 't.yaml': file }));
    if (typeof message === 'string') expect(said).toBe(message);
    else expect(said).toMatch(message);
  });

  test('a file that is not there is refused', () => {
    expect(refusal(() => loadConfig(undefined, { model: 'm', data: 'd', task: 'none.yaml' }, {}))).toMatch(
      /^FILE_MISSING: none.yaml cannot be read/,
    );
  });
});

describe('what is drawn, and from where', () => {
  const manifest = (text: string): Manifest => {
    const config = load(text);
    const blob = { path: 'd', bytes: 0, sha256: '' };
    return manifestOf(
      { ...config, learning_rate: 1e-3 },
      '',
      { name: 'm', files: [] },
      { train: blob },
      taskFor(config.tasks, false),
    );
  };
  test('shots and max_train_samples are in the manifest, with the seed', () => {
    expect(manifest('task: rte\nshots: 16\nseed: 13\n').data.sample).toEqual({ per_class: 16, seed: 13 });
    expect(manifest('task: rte\nmax_train_samples: 1000\n').data.sample).toEqual({ first: 1000, seed: 42 });
    expect(manifest('task: rte\n').data).not.toHaveProperty('sample');
  });

  test("a task's own data are both splits; with shots the first; with data of the user's these alone", async () => {
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = async (input) => {
      asked.push(new URL(String(input)).pathname);
      return new Response('no', { status: 404, headers: { 'x-error-code': 'RepoNotFound' } });
    };
    const options = { cache: '/nowhere', fetch, sleep: async () => undefined };
    await expect(dataFilesOf(load('task: rte\n'), options)).rejects.toThrow(/^HUB_REFUSED: data set aps\/super_glue/);
    expect(asked).toEqual(['/api/datasets/aps/super_glue/revision/refs%2Fconvert%2Fparquet']);
    const own = { path: 'dir/d.tsv', name: 'd.tsv' };
    expect(await dataFilesOf(load('task: rte\ndata: dir/d.tsv\n'), options)).toEqual({ train: own });
    expect(await dataFilesOf(load('task: rte\ndata: dir/d.tsv\neval_data: e:v.tsv\n'), options)).toEqual({
      train: own,
      eval: { path: 'e:v.tsv', name: 'e_v.tsv' },
    });
  });
});

describe('murmur tasks', () => {
  test('lists every task, prints one, and says what it does not know', async () => {
    const list = await murmur('tasks', '--json');
    const { tasks: listed } = JSON.parse(list.out.trim().split('\n').at(-1)!) as { tasks: { name: string }[] };
    expect(listed.map(({ name }) => name)).toEqual(TASKS.map(({ name }) => name));
    const one = await murmur('tasks', 'rte');
    expect(readTask('rte.yaml', one.out)).toEqual(named('rte').causal);
    expect((await murmur('tasks', 'rt')).err).toMatch(/none is called "rt"; did you mean "rte"\?/);
    expect((await murmur('tasks', 'copa', '--masked')).err).toMatch(/copa has no prompt for masked models/);
  });
});

const TOKENIZERS = '../shared/tokenizers';
describe.skipIf(!existsSync(TOKENIZERS))(`with the tokenizers of ${TOKENIZERS}`, () => {
  test.each(['gpt2/gpt2_', 'opt/gpt2-'])('%s: every label word of a causal prompt is one token', (files) => {
    const read = (name: string) => readFileSync(`${TOKENIZERS}/${files}${name}`, 'utf8');
    const vocab = read('vocab.json');
    const vocabulary = Object.keys(JSON.parse(vocab) as object).length;
    const tokenizer = openTokenizer(byteLevelTokenizer(vocab, read('merges.txt'), '{}'), '{}', { vocabulary });
    const text = 'Some words.';
    const row = { line: 1, columns: { text, premise: text, hypothesis: text, passage: text, question: 'So?' } };
    const more = {
      noun: 'it',
      pronoun: 'it',
      word: 'it',
      sentence1: text,
      sentence2: text,
      paragraph: text,
      answer: text,
    };
    for (const { causal } of TASKS) {
      if (causal.kind !== 'choice') continue;
      const ids = labelTokens(
        causal,
        { name: 'f', bytes: new Uint8Array() },
        { ...row, columns: { ...row.columns, ...more } },
        tokenizer,
      );
      expect(ids.length).toBe(causal.labels.length);
    }
  });
});

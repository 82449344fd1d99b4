import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { choiceExamples } from '../../src/data/choice.ts';
import { readRows } from '../../src/data/rows.ts';
import { TASKS, taskRows } from '../../src/data/tasks/tasks.ts';
import { parseTemplate, renderTemplate } from '../../src/data/template.ts';
import type { Task } from '../../src/nouns.ts';
import { fakeEncoder, file, refusal } from './fake.ts';

type Raw = Readonly<Record<string, unknown>>;
const taskOf = (name: string) => TASKS.find((task) => task.name === name)!;
const rowsOf = (name: string, ...raw: readonly Raw[]) =>
  taskRows(
    name,
    raw.map((columns, i) => ({ line: i + 1, columns })),
    'f',
  );
const columns = (name: string, ...raw: readonly Raw[]) => rowsOf(name, ...raw).map((row) => row.columns);
const prompts = (name: string, raw: Raw, masked = false) => {
  const task = masked ? taskOf(name).masked : taskOf(name).causal;
  const template = parseTemplate((task as Task & { prompt: string }).prompt);
  return rowsOf(name, raw).map((row) =>
    renderTemplate(template, { ...row, columns: { ...row.columns, mask: '<mask>' } }, 'f'),
  );
};

describe('prompts are those of the papers', () => {
  const premise = 'The cat sat.';
  const hypothesis = 'A cat sat';
  test.each([
    ['sst2', { sentence: ' so good ', label: 1 }, 'so good It was'],
    ['sst5', { text: 'so good', label: 4 }, 'so good It was'],
    ['rte', { premise, hypothesis, label: 0 }, `${premise}\nDoes this mean that "${hypothesis}" is true? Yes or No?\n`],
    ['cb', { premise, hypothesis, label: 0 }, `Suppose ${premise} Can we infer that "A cat sat"? Yes, No, or Maybe?\n`],
    ['boolq', { passage: 'P.', question: 'is it so', answer: true }, 'P. Is it so?\n'],
    ['boolq', { passage: 'P.', question: 'Is it so?', label: false }, 'P. Is it so?\n'],
    [
      'wsc',
      { text: 'Ann saw Bob. He ran.', span1_text: 'Bob', span2_text: 'He', label: 1 },
      'Ann saw Bob. He ran.\nIn the previous sentence, does the pronoun "he" refer to Bob? Yes or No?\n',
    ],
    [
      'wic',
      { word: 'bank', sentence1: 'A bank.', sentence2: 'The bank.', label: 0 },
      'Does the word "bank" have the same meaning in these two sentences? Yes, No?\nA bank.\nThe bank.\n',
    ],
    [
      'multirc',
      { paragraph: 'P.', question: 'Q?', answer: 'A', label: 1 },
      'P.\nQuestion: Q?\nI found this answer "A". Is that correct? Yes or No?\n',
    ],
    ['copa', { premise: 'It fell. ', choice1: 'a', choice2: 'b', question: 'effect', label: 0 }, 'It fell so'],
    [
      'squad',
      { title: 'T', context: 'C.', question: ' Q? ', answers: { text: ['a'] } },
      'Title: T\nContext: C.\nQuestion: Q?\nAnswer:',
    ],
    ['drop', { passage: 'C.', question: 'Q?', answers_spans: { spans: ['a'] } }, 'Passage: C.\nQuestion: Q?\nAnswer:'],
    [
      'record',
      { passage: 'P\n@highlight\nH', query: '@placeholder ran', entities: ['Ann'], answers: ['Ann'] },
      'P\n- H\n-',
    ],
    ['winogrande', { sentence: 'It is as _ is.', option1: 'a', option2: 'b', answer: '2' }, 'It is as'],
  ])('%s', (name, raw, prompt) => expect(prompts(name, raw)).toEqual([prompt]));

  test.each([
    ['sst2', { sentence: 'so good ', label: 1 }, 'so good It was <mask>.'],
    ['trec', { text: 'How far is it ?', coarse_label: 5 }, '<mask>: How far is it ?'],
    ['mnli', { premise, hypothesis, label: 1 }, 'The cat sat? <mask>, a cat sat'],
    ['rte', { sentence1: premise, sentence2: hypothesis, label: 'entailment' }, 'The cat sat? <mask>, a cat sat'],
  ])('%s, for a masked model', (name, raw, prompt) => expect(prompts(name, raw, true)).toEqual([prompt]));
});

describe('layouts of one data set give the same columns', () => {
  const label = (name: string, ...raw: readonly Raw[]) => columns(name, ...raw).map((row) => row['label']);

  test('entailment is counted in one order for MNLI and SNLI, in another for CB', () => {
    const pair = { premise: 'a', hypothesis: 'b' };
    const of = (value: unknown) => ({ ...pair, label: value });
    const classes = ['entailment', 'neutral', 'contradiction'];
    for (const name of ['mnli', 'snli', 'cb']) expect(label(name, ...classes.map(of)), name).toEqual(classes);
    for (const name of ['mnli', 'snli']) expect(label(name, of(0), of(1), of(2)), name).toEqual(classes);
    expect(label('cb', of(0), of('1'), of(2))).toEqual(['entailment', 'contradiction', 'neutral']);
    expect(label('rte', of(0), of(1), of('not_entailment'))).toEqual([
      'entailment',
      'not_entailment',
      'not_entailment',
    ]);
  });

  test('SNLI without a gold label is no example', () => {
    const pair = { sentence1: 'a', sentence2: 'b' };
    expect(label('snli', { ...pair, gold_label: '-' }, { ...pair, gold_label: 'neutral' })).toEqual(['neutral']);
    expect(label('snli', { premise: 'a', hypothesis: 'b', label: -1 }, { ...pair, label: 2 })).toEqual([
      'contradiction',
    ]);
  });

  test('TREC counts its classes in one order on the Hub and in another in the files of LM-BFF', () => {
    const text = 'What is a caldera ?';
    const raw = [{ coarse_label: 2 }, { label: '0' }, { label: 'DESC:def' }];
    expect(label('trec', ...raw.map((row) => ({ text, ...row })))).toEqual(Array(3).fill('description'));
    const lines = readRows(file('t.label', 'DESC:def What is it ?\r\nNUM:date When ?\n'));
    expect(taskRows('trec', lines, 't.label').map((row) => row.columns)).toEqual([
      { text: 'What is it ?', label: 'description' },
      { text: 'When ?', label: 'number' },
    ]);
  });

  test('WSC: spans in `target` or beside it', () => {
    const spans = { span1_text: 'Bob', span2_text: 'He' };
    const [nested, flat] = columns('wsc', { text: 't', target: spans, label: true }, { text: 't', ...spans, label: 1 });
    expect(nested).toEqual(flat);
    expect(flat).toEqual({ text: 't', noun: 'Bob', pronoun: 'he', label: 'yes' });
  });

  test('MultiRC: a passage with questions, or an answer a row', () => {
    const questions = [
      {
        question: 'Q?',
        answers: [
          { text: 'a', label: 0 },
          { text: 'b', label: 1 },
        ],
      },
    ];
    const flat = ['a', 'b'].map((answer, i) => ({ paragraph: 'P', question: 'Q?', answer, label: i }));
    expect(columns('multirc', { passage: { text: 'P', questions }, idx: 0 })).toEqual(columns('multirc', ...flat));
    expect(columns('multirc', ...flat).map((row) => row['label'])).toEqual(['no', 'yes']);
  });

  test('ReCoRD: entities by place or by name, one that stands twice counts once, every right one is right', () => {
    const query = '@placeholder met Ann';
    const text = 'Bob 😀 saw Ann and Bob';
    const entities = [
      { start: 0, end: 2 },
      { start: 10, end: 12 },
      { start: 18, end: 20 },
    ];
    const nested = { passage: { text, entities }, qas: [{ query, answers: [{ text: 'Bob' }, { text: 'Bob' }] }] };
    const flat = { passage: text, query, entities: ['Bob', 'Ann'], answers: ['Bob'] };
    expect(columns('record', nested)).toEqual(columns('record', flat));
    expect(columns('record', flat)).toEqual([
      { passage: text, candidates: [' Bob met Ann', ' Ann met Ann'], answer: [0] },
    ]);
  });

  test('SQuAD: nested articles, or a question a row; questions without an answer are left out', () => {
    const qas = [
      { question: 'Q1?', answers: [{ text: 'a', answer_start: 0 }, { text: 'b' }] },
      { question: 'Q2?', answers: [], is_impossible: true },
    ];
    const nested = { version: '2.0', data: [{ title: 'T', paragraphs: [{ context: 'C', qas }] }] };
    const flat = { title: 'T', context: 'C', question: 'Q1?', answers: { text: ['a', 'b'], answer_start: [0, 1] } };
    expect(columns('squad', nested)).toEqual(columns('squad', flat));
    expect(columns('squad', flat)).toEqual([{ title: 'T', context: 'C', question: 'Q1?', answers: ['a', 'b'] }]);
  });

  test('DROP: passages by name, with spans, numbers and dates; or a question a row', () => {
    const date = { day: '', month: '', year: '' };
    const qa_pairs = [
      { question: 'Q1?', answer: { number: '', date, spans: ['a', 'b'] } },
      { question: 'Q2?', answer: { number: '3', date, spans: [] } },
      { question: 'Q3?', answer: { number: '', date: { ...date, day: '2', month: 'May' }, spans: [] } },
      { question: 'Q4?', answer: { number: '', date, spans: [] } },
    ];
    const made = columns('drop', { nfl_1: { passage: 'C', qa_pairs } });
    const spans = [['a', 'b'], ['3'], ['2 May']];
    const flat = spans.map((list, i) => ({
      passage: 'C',
      question: `Q${i + 1}?`,
      answers_spans: { spans: list, types: [] },
    }));
    expect(made).toEqual(columns('drop', ...flat));
    expect(made.map((row) => row['answers'])).toEqual(spans);
  });

  test('COPA and WinoGrande: candidates go on with the sentence', () => {
    const copa = { premise: 'It fell.', choice1: 'The cup broke.', choice2: 'I laughed.', question: 'effect' };
    expect(columns('copa', { ...copa, label: 1 })).toEqual([
      { premise: 'It fell', conjunction: 'so', candidates: [' the cup broke.', ' I laughed.'], answer: 1 },
    ]);
    const options = { option1: 'Ann', option2: 'Bob' };
    expect(columns('winogrande', { sentence: 'Then _ ran.', ...options, answer: '2' })).toEqual([
      { context: 'Then', candidates: [' Ann ran.', ' Bob ran.'], answer: 1 },
    ]);
    expect(columns('winogrande', { sentence: '_ ran.', ...options, answer: 1 })).toEqual([
      { context: '', candidates: ['Ann ran.', 'Bob ran.'], answer: 0 },
    ]);
  });
});

test.each<[string, Raw, RegExp]>([
  ['sst2', { sentence: 'a', label: -1 }, /^DATA_INVALID: f:1: has no label, as test sets have none; take/],
  ['sst2', { sentence: 'a' }, /^DATA_INVALID: f:1: has no label/],
  ['sst2', { sentence: 'a', label: 2 }, /^DATA_INVALID: f:1: label 2 is none of this task \(negative, positive\)/],
  ['sst2', { sentence: 'a', label: 'constructor' }, /label "constructor" is none/],
  [
    'rte',
    { text: 'a', label: 0 },
    /^DATA_INVALID: f:1: no text in column "premise" or "sentence1"; it has "text", "label"/,
  ],
  [
    'copa',
    { premise: 'a', choice1: 'a', choice2: 'b', question: 'cause', label: -1 },
    /^DATA_INVALID: f:1: -1 names none/,
  ],
  [
    'copa',
    { premise: 'a', choice1: 'a', choice2: 'b', question: 'why', label: 0 },
    /"why" is neither cause nor effect/,
  ],
  [
    'winogrande',
    { sentence: 'a _ b', option1: 'a', option2: 'b', answer: '' },
    /^DATA_INVALID: f:1: "" names none of 2/,
  ],
  ['winogrande', { sentence: 'no gap', option1: 'a', option2: 'b', answer: '1' }, /has not one gap/],
  ['squad', { version: '1', data: [{ title: 'T', paragraphs: [] }] }, /^DATA_INVALID: f: holds no example of SQuAD/],
  ['multirc', { passage: { text: 'P', questions: [] } }, /holds no examples/],
  ['none', { a: 1 }, /^CONFIG_INVALID: rows: no task is called "none"/],
])('%s %j is refused', (name, raw, message) => expect(refusal(() => columns(name, raw))).toMatch(message));

const SHARED = '../shared/data';
describe.skipIf(!existsSync(SHARED))(`the files of ${SHARED}`, () => {
  const counts = (rows: readonly { columns: Raw }[], column: string) => {
    const found: Record<string, number> = {};
    for (const row of rows) found[String(row.columns[column])] = (found[String(row.columns[column])] ?? 0) + 1;
    return found;
  };
  test.each([
    ['sst2', 'sst2/train.tsv', 'label', { negative: 29780, positive: 37569 }],
    ['sst2', 'sst2/dev.tsv', 'label', { negative: 428, positive: 444 }],
    ['rte', 'rte/dev.tsv', 'label', { entailment: 146, not_entailment: 131 }],
    ['boolq', 'boolq/boolq_validation.jsonl', 'label', { yes: 2033, no: 1237 }],
    ['cb', 'cb/cb_validation.jsonl', 'label', { entailment: 23, contradiction: 28, neutral: 5 }],
    ['copa', 'copa/copa_validation.jsonl', 'answer', { 0: 55, 1: 45 }],
    [
      'trec',
      'trec/TREC.test.all',
      'label',
      { description: 138, entity: 94, expression: 9, human: 65, location: 81, number: 113 },
    ],
  ])('%s reads %s: as many of each class as papers say', (name, path, column, expected) => {
    const rows = readRows({ name: path, bytes: readFileSync(`${SHARED}/${path}`) });
    expect(counts(taskRows(name, rows, path), column)).toEqual(expected);
  });

  test.each(['rte/test.tsv', 'cb/cb_test.jsonl', 'copa/copa_test.jsonl'])(
    '%s, whose labels are hidden, is refused',
    (path) => {
      const rows = readRows({ name: path, bytes: readFileSync(`${SHARED}/${path}`) });
      expect(refusal(() => taskRows(path.split('/')[0], rows, path))).toMatch(
        /^DATA_INVALID: .*test.*:\d+: .*test sets/,
      );
    },
  );

  test('the examples of a named task are those of its columns', () => {
    const path = 'rte/dev.tsv';
    const task = taskOf('rte').causal as Parameters<typeof choiceExamples>[0];
    const bytes = readFileSync(`${SHARED}/${path}`);
    const rows = taskRows('rte', readRows({ name: path, bytes }), path);
    const { examples } = choiceExamples(task, { name: path, bytes }, rows, fakeEncoder(['Yes', 'No']), 2048);
    expect(examples.filter(({ targets }) => targets[0] === 0).length).toBe(146);
  });
});

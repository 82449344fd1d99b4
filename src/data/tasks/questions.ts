/**
 * Questions with a yes or a no: BoolQ, WSC, WIC, MultiRC. Prompts of MeZO (Malladi et al. 2023, arXiv:2305.17333, Table 14;
 * `large_models/templates.py` of princeton-nlp/MeZO), most of them of PromptSource (Bach et al. 2022, arXiv:2202.01279).
 *
 * @module
 */
import { dataFault } from '../rows.ts';
import {
  type Columns,
  capital,
  choice,
  classIn,
  type NamedTask,
  type RowsOf,
  recordOf,
  recordsOf,
  textIn,
  YES_NO,
} from './task.ts';

const CLASSES = ['no', 'yes'];
const WORDS = ['No', 'Yes'];

const boolq: RowsOf = (row, file) => {
  const question = textIn(row, file, 'question');
  return [
    {
      passage: textIn(row, file, 'passage'),
      question: capital(question.endsWith('?') ? question : `${question}?`),
      label: classIn(row, file, YES_NO, 'answer', 'label'),
    },
  ];
};

/** SuperGLUE's files have the spans in `target`, the Hub has them beside it. */
const wsc: RowsOf = (row, file) => {
  const spans = { ...row, columns: recordOf(row.columns['target']) ?? row.columns };
  return [
    {
      text: textIn(row, file, 'text'),
      noun: textIn(spans, file, 'span1_text'),
      pronoun: textIn(spans, file, 'span2_text').toLowerCase(),
      label: classIn(row, file, YES_NO, 'label'),
    },
  ];
};

const wic: RowsOf = (row, file) => [
  {
    word: textIn(row, file, 'word'),
    sentence1: textIn(row, file, 'sentence1'),
    sentence2: textIn(row, file, 'sentence2'),
    label: classIn(row, file, YES_NO, 'label'),
  },
];

/** A passage of SuperGLUE's files has questions, which have answers; each answer is an example, as it is on the Hub. */
const multirc: RowsOf = (row, file) => {
  const passage = recordOf(row.columns['passage']);
  if (!passage) {
    return [
      {
        paragraph: textIn(row, file, 'paragraph'),
        question: textIn(row, file, 'question'),
        answer: textIn(row, file, 'answer'),
        label: classIn(row, file, YES_NO, 'label'),
      },
    ];
  }
  const of = (columns: Columns) => ({ ...row, columns });
  return recordsOf(passage['questions']).flatMap((asked) =>
    recordsOf(asked['answers']).map((answer) => ({
      paragraph: textIn(of(passage), file, 'text'),
      question: textIn(of(asked), file, 'question'),
      answer: textIn(of(answer), file, 'text'),
      label: classIn(of(answer), file, YES_NO, 'label'),
    })),
  );
};

/** Rows that nest others must hold some. */
const some =
  (rows: RowsOf): RowsOf =>
  (row, file) => {
    const made = rows(row, file);
    if (made.length > 0) return made;
    throw dataFault(file, row.line, 'holds no examples; is it the file of this task?');
  };

const SUPERGLUE = 'SuperGLUE .jsonl';
const on = (config: string) => ({ id: 'aps/super_glue', config, train: 'train', eval: 'validation' });

export const QUESTIONS: readonly NamedTask[] = [
  {
    name: 'boolq',
    title: 'BoolQ',
    causal: choice('boolq', CLASSES, { prompt: '{passage} {question}\n', words: WORDS }),
    rows: boolq,
    layouts: [`${SUPERGLUE}`, '.jsonl of BoolQ (answer)', 'Hub'],
    hub: { id: 'google/boolq', config: 'default', train: 'train', eval: 'validation' },
    source: 'MeZO',
  },
  {
    name: 'wsc',
    title: 'WSC',
    causal: choice('wsc', CLASSES, {
      prompt: '{text}\nIn the previous sentence, does the pronoun "{pronoun}" refer to {noun}? Yes or No?\n',
      words: WORDS,
    }),
    rows: wsc,
    layouts: [SUPERGLUE, 'Hub'],
    hub: on('wsc.fixed'),
    source: 'MeZO',
  },
  {
    name: 'wic',
    title: 'WIC',
    causal: choice('wic', CLASSES, {
      prompt:
        'Does the word "{word}" have the same meaning in these two sentences? Yes, No?\n{sentence1}\n{sentence2}\n',
      words: WORDS,
    }),
    rows: wic,
    layouts: [SUPERGLUE, 'Hub'],
    hub: on('wic'),
    source: 'MeZO',
  },
  {
    name: 'multirc',
    title: 'MultiRC',
    causal: choice('multirc', CLASSES, {
      prompt: '{paragraph}\nQuestion: {question}\nI found this answer "{answer}". Is that correct? Yes or No?\n',
      words: WORDS,
    }),
    rows: some(multirc),
    layouts: [`${SUPERGLUE} (passage with questions)`, 'Hub'],
    hub: on('multirc'),
    source: 'MeZO',
  },
];

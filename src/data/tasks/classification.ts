/**
 * Classification of single sentences, and of pairs by entailment: SST-2, SST-5, TREC, MNLI, SNLI, RTE, CB.
 *
 * Prompts and words of masked models are those of LM-BFF (Gao et al. 2021, arXiv:2012.15723), which MeZO took over
 * (Malladi et al. 2023, arXiv:2305.17333, Table 13; `medium_models/run_fewshot.sh` of princeton-nlp/MeZO). Those of causal
 * models for SST-2, RTE and CB are of MeZO (Table 14; `large_models/templates.py`). The papers have no causal prompts for
 * SST-5, TREC, MNLI and SNLI: SST-5 takes those of SST-2, entailment those of CB, TREC has one of ours.
 *
 * Departure: LM-BFF cuts the last character of a premise, whatever it is; here only a full stop or the like.
 *
 * @module
 */
import type { Columns, NamedTask, RowsOf } from './task.ts';
import { type Classes, choice, classIn, numbered, textIn, uncapital } from './task.ts';

// ---------------------------------------------------------------------------------------------------- one sentence

const SENTIMENT = { prompt: '{text} It was', masked: '{text} It was {mask}.' };

const SST2 = ['negative', 'positive'];
const SST2_WORDS = [' terrible', ' great'];
const sst2: RowsOf = (row, file) => [
  {
    text: textIn(row, file, 'sentence', 'content', 'text').trim(),
    label: classIn(row, file, { ...numbered(SST2), negative: 'negative', positive: 'positive' }, 'label'),
  },
];

const SST5 = ['very negative', 'negative', 'neutral', 'positive', 'very positive'];
const SST5_WORDS = [' terrible', ' bad', ' okay', ' good', ' great'];
const sst5: RowsOf = (row, file) => [
  {
    text: textIn(row, file, 'sentence', 'text', 'content').trim(),
    label: classIn(row, file, numbered(SST5), 'label'),
  },
];

const TREC = ['description', 'entity', 'expression', 'human', 'location', 'number'];
const TREC_WORDS = [' Description', ' Entity', ' Expression', ' Human', ' Location', ' Number'];
/** By the names of the original files. */
const TREC_NAMES: Classes = {
  ...{ DESC: 'description', ENTY: 'entity', ABBR: 'expression', HUM: 'human', LOC: 'location', NUM: 'number' },
};
/** The Hub's numbers follow the order of the original names, those of LM-BFF's files the order above. */
const TREC_ON_HUB = numbered(['expression', 'entity', 'description', 'human', 'location', 'number']);
const trec: RowsOf = (row, file) => {
  const text = textIn(row, file, 'text', 'question', 'sentence').trim();
  if (Object.hasOwn(row.columns, 'coarse_label')) {
    return [{ text, label: classIn(row, file, { ...TREC_ON_HUB, ...TREC_NAMES }, 'coarse_label') }];
  }
  const { label } = row.columns;
  const coarse = typeof label === 'string' ? label.split(':')[0]! : label; // DESC:manner
  const known = { ...numbered(TREC), ...TREC_NAMES };
  return [{ text, label: classIn({ ...row, columns: { label: coarse } }, file, known, 'label') }];
};

// ------------------------------------------------------------------------------------------------------ entailment

/** Yes, Maybe, No: the order of MeZO's words. */
const THREE = ['entailment', 'neutral', 'contradiction'];
const THREE_NAMES: Classes = Object.fromEntries(THREE.map((name) => [name, name]));
const THREE_MASKED = { prompt: '{opening}? {mask}, {continued}', words: [' Yes', ' Maybe', ' No'] };
const THREE_CAUSAL = {
  prompt: 'Suppose {premise} Can we infer that "{hypothesis}"? Yes, No, or Maybe?\n',
  words: ['Yes', 'Maybe', 'No'],
};

/** Premise and hypothesis as they are, and as LM-BFF joins them: without the end of the one, the other going on. */
const pair = (premise: string, hypothesis: string): Columns => ({
  premise,
  hypothesis,
  opening: premise.trim().replace(/[.,;:!?]$/, ''),
  continued: uncapital(hypothesis),
});

const premiseOf = ['premise', 'sentence1'];
const hypothesisOf = ['hypothesis', 'sentence2'];

const entailment =
  (classes: Classes, labels: readonly string[]): RowsOf =>
  (row, file) => [
    {
      ...pair(textIn(row, file, ...premiseOf), textIn(row, file, ...hypothesisOf)),
      label: classIn(row, file, classes, ...labels),
    },
  ];

const nli: RowsOf = entailment({ ...numbered(THREE), ...THREE_NAMES }, ['gold_label', 'label']);

/** SNLI marks pairs on which its annotators did not agree: they have no class, and are left out. */
const snli: RowsOf = (row, file) => {
  const label = row.columns['gold_label'] ?? row.columns['label'];
  return label === '-' || String(label) === '-1' ? [] : nli(row, file);
};

const RTE = ['entailment', 'not_entailment'];
const rte = entailment({ ...numbered(RTE), entailment: 'entailment', not_entailment: 'not_entailment' }, ['label']);

/** The Hub counts CB's classes in another order than those of MNLI and SNLI. */
const cb = entailment({ ...numbered(['entailment', 'contradiction', 'neutral']), ...THREE_NAMES }, ['label']);

const GLUE_TSV = 'GLUE .tsv';
const MEZO = 'MeZO';
const LM_BFF = 'LM-BFF, as in MeZO';

export const CLASSIFICATION: readonly NamedTask[] = [
  {
    name: 'sst2',
    title: 'SST-2',
    causal: choice('sst2', SST2, { prompt: SENTIMENT.prompt, words: SST2_WORDS }),
    masked: choice('sst2', SST2, { prompt: SENTIMENT.masked, words: SST2_WORDS }),
    rows: sst2,
    layouts: [`${GLUE_TSV} (sentence or content, label)`, 'Hub'],
    hub: { id: 'stanfordnlp/sst2', config: 'default', train: 'train', eval: 'validation' },
    source: `${MEZO}; masked: ${LM_BFF}`,
  },
  {
    name: 'sst5',
    title: 'SST-5',
    causal: choice('sst5', SST5, { prompt: SENTIMENT.prompt, words: SST5_WORDS }),
    masked: choice('sst5', SST5, { prompt: SENTIMENT.masked, words: SST5_WORDS }),
    rows: sst5,
    layouts: ['.csv, .tsv or .jsonl (text or sentence, label 0 to 4)', 'Hub'],
    hub: { id: 'SetFit/sst5', config: 'default', train: 'train', eval: 'validation' },
    source: `as SST-2; masked: ${LM_BFF}`,
  },
  {
    name: 'trec',
    title: 'TREC',
    causal: choice('trec', TREC, { prompt: 'Question: {text}\nType of the answer:', words: TREC_WORDS }),
    masked: choice('trec', TREC, { prompt: '{mask}: {text}', words: TREC_WORDS }),
    rows: trec,
    layouts: ['.label (DESC:manner How …)', '.all (0 How …)', 'Hub'],
    hub: { id: 'CogComp/trec', config: 'default', train: 'train', eval: 'test' },
    source: `ours; masked: ${LM_BFF}`,
  },
  {
    name: 'mnli',
    title: 'MNLI',
    causal: choice('mnli', THREE, THREE_CAUSAL),
    masked: choice('mnli', THREE, THREE_MASKED),
    rows: nli,
    layouts: [`${GLUE_TSV} (sentence1, sentence2, gold_label)`, '.jsonl', 'Hub'],
    hub: { id: 'nyu-mll/glue', config: 'mnli', train: 'train', eval: 'validation_matched' },
    source: `as CB; masked: ${LM_BFF}`,
  },
  {
    name: 'snli',
    title: 'SNLI',
    causal: choice('snli', THREE, THREE_CAUSAL),
    masked: choice('snli', THREE, THREE_MASKED),
    rows: snli,
    layouts: ['.jsonl of snli_1.0', 'Hub'],
    hub: { id: 'stanfordnlp/snli', config: 'plain_text', train: 'train', eval: 'validation' },
    source: `as CB; masked: ${LM_BFF}`,
  },
  {
    name: 'rte',
    title: 'RTE',
    causal: choice('rte', RTE, {
      prompt: '{premise}\nDoes this mean that "{hypothesis}" is true? Yes or No?\n',
      words: ['Yes', 'No'],
    }),
    masked: choice('rte', RTE, { prompt: THREE_MASKED.prompt, words: [' Yes', ' No'] }),
    rows: rte,
    layouts: [`${GLUE_TSV} (sentence1, sentence2, label)`, 'SuperGLUE .jsonl', 'Hub'],
    hub: { id: 'aps/super_glue', config: 'rte', train: 'train', eval: 'validation' },
    source: `${MEZO}; masked: ${LM_BFF}`,
  },
  {
    name: 'cb',
    title: 'CB',
    causal: choice('cb', THREE, THREE_CAUSAL),
    masked: choice('cb', THREE, THREE_MASKED),
    rows: cb,
    layouts: ['SuperGLUE .jsonl', 'Hub'],
    hub: { id: 'aps/super_glue', config: 'cb', train: 'train', eval: 'validation' },
    source: `${MEZO}; masked: as MNLI`,
  },
];

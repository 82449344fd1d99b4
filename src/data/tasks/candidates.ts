/**
 * Multiple choice, where each candidate is a text of its own: COPA, ReCoRD, WinoGrande.
 *
 * COPA and ReCoRD as in MeZO (Malladi et al. 2023, arXiv:2305.17333, Table 14; `large_models/templates.py` and `tasks.py` of
 * princeton-nlp/MeZO), WinoGrande as in ZO-Bench (Zhang et al. 2024, arXiv:2402.11592): a candidate is the option and
 * what follows the gap. Prompts end where a word ends; candidates begin with the space before theirs, as label words do.
 *
 * @module
 */
import { dataFault } from '../rows.ts';
import {
  type Columns,
  type NamedTask,
  type RowsOf,
  type RowTask,
  recordOf,
  recordsOf,
  textIn,
  textsOf,
} from './task.ts';

const candidates = (rows: string, prompt: string): RowTask => ({
  kind: 'candidates',
  prompt,
  candidates_column: 'candidates',
  answer_column: 'answer',
  rows,
});

const CONJUNCTIONS: Readonly<Record<string, string>> = { effect: 'so', cause: 'because' };

/** The first word in lower case, but for "I". */
function midSentence(text: string): string {
  const [first, ...rest] = text.split(' ');
  return first === 'I' ? text : [first!.toLowerCase(), ...rest].join(' ');
}

const copa: RowsOf = (row, file) => {
  const question = textIn(row, file, 'question');
  const conjunction = CONJUNCTIONS[question];
  if (conjunction === undefined)
    throw dataFault(file, row.line, `question ${JSON.stringify(question)} is neither cause nor effect; fix it`);
  return [
    {
      premise: textIn(row, file, 'premise').trimEnd().replace(/\.$/, ''),
      conjunction,
      candidates: ['choice1', 'choice2'].map((name) => ` ${midSentence(textIn(row, file, name))}`),
      answer: indexIn(row.columns['label'], 2, row.line, file),
    },
  ];
};

/** A number below `count`, counted from `first`. */
function indexIn(value: unknown, count: number, line: number, file: string, first = 0): number {
  const index = Number(value) - first;
  if (value !== '' && Number.isInteger(index) && index >= 0 && index < count) return index;
  const remedy = 'test sets have none; take the file of training or validation';
  throw dataFault(file, line, `${JSON.stringify(value) ?? 'nothing'} names none of ${count} candidates; ${remedy}`);
}

/** A passage has bullet points of news, in which the gap of the query is filled by one of the names in the passage. */
const cloze = (passage: string, query: string, entities: readonly string[], answers: readonly string[]): Columns[] => {
  const right = entities.flatMap((entity, i) => (answers.includes(entity) ? [i] : []));
  if (right.length === 0) return [];
  return [
    {
      passage: passage.replaceAll('@highlight\n', '- '),
      candidates: entities.map((entity) => ` ${query.replaceAll('@placeholder', entity)}`),
      answer: right,
    },
  ];
};

const record: RowsOf = (row, file) => {
  const nested = recordOf(row.columns['passage']);
  if (!nested) {
    const [entities, answers] = ['entities', 'answers'].map((name) => textsOf(row.columns[name]));
    return cloze(textIn(row, file, 'passage'), textIn(row, file, 'query'), entities!, answers!);
  }
  const of = (columns: Columns) => ({ ...row, columns });
  const passage = textIn(of(nested), file, 'text');
  // An entity is where it stands, from its first to its last character, among the code points of the text.
  const characters = Array.from(passage);
  const spans = recordsOf(nested['entities']).map(({ start, end }) =>
    characters.slice(Number(start), Number(end) + 1).join(''),
  );
  return recordsOf(row.columns['qas']).flatMap((asked) => {
    const answers = recordsOf(asked['answers']).map((answer) => textIn(of(answer), file, 'text'));
    return cloze(passage, textIn(of(asked), file, 'query'), [...new Set(spans)], answers);
  });
};

const winogrande: RowsOf = (row, file) => {
  const [before, after, ...more] = textIn(row, file, 'sentence').split('_');
  if (after === undefined || more.length > 0)
    throw dataFault(file, row.line, 'the sentence has not one gap, "_"; is it the file of this task?');
  const context = before!.trimEnd();
  const space = context === '' ? '' : ' ';
  return [
    {
      context,
      candidates: ['option1', 'option2'].map((name) => space + textIn(row, file, name) + after),
      answer: indexIn(row.columns['answer'], 2, row.line, file, 1),
    },
  ];
};

export const CANDIDATES: readonly NamedTask[] = [
  {
    name: 'copa',
    title: 'COPA',
    causal: candidates('copa', '{premise} {conjunction}'),
    rows: copa,
    layouts: ['SuperGLUE .jsonl', 'Hub'],
    hub: { id: 'aps/super_glue', config: 'copa', train: 'train', eval: 'validation' },
    source: 'MeZO',
  },
  {
    name: 'record',
    title: 'ReCoRD',
    causal: candidates('record', '{passage}\n-'),
    rows: record,
    layouts: ['SuperGLUE .jsonl (passage, qas)', 'Hub'],
    hub: { id: 'aps/super_glue', config: 'record', train: 'train', eval: 'validation' },
    source: 'MeZO',
  },
  {
    name: 'winogrande',
    title: 'WinoGrande',
    causal: candidates('winogrande', '{context}'),
    rows: winogrande,
    layouts: ['.jsonl (sentence, option1, option2, answer 1 or 2)', 'Hub'],
    hub: { id: 'allenai/winogrande', config: 'winogrande_xl', train: 'train', eval: 'validation' },
    source: 'ZO-Bench',
  },
];

/**
 * Questions that are answered in words: SQuAD, DROP. Prompts of MeZO (Malladi et al. 2023, arXiv:2305.17333, Table 14;
 * `large_models/templates.py` of princeton-nlp/MeZO). Answers are generated up to the end of the line.
 *
 * @module
 */
import type { Row } from '../rows.ts';
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

/** Most tokens of an answer (`large_models/run.py`, max_new_tokens). */
const MAX_NEW_TOKENS = 50;

const answer = (rows: string, prompt: string): RowTask => ({
  kind: 'answer',
  prompt,
  answers_column: 'answers',
  max_new_tokens: MAX_NEW_TOKENS,
  stop: ['\n'],
  rows,
});

const at = (row: Row, columns: Columns): Row => ({ ...row, columns });

/** A question without an answer (SQuAD 2.0, or a test set) is no example. */
const asked = (columns: Columns, answers: readonly string[]): Columns[] =>
  answers.length > 0 ? [{ ...columns, answers }] : [];

/** On the Hub a row is a question; in the original file an article has paragraphs, and a paragraph questions. */
const squad: RowsOf = (row, file) => {
  const articles = recordsOf(row.columns['data']);
  if (articles.length === 0) {
    const columns = {
      title: textIn(row, file, 'title'),
      context: textIn(row, file, 'context'),
      question: textIn(row, file, 'question').trim(),
    };
    return asked(columns, textsOf(recordOf(row.columns['answers'])?.['text']));
  }
  return articles.flatMap((article) =>
    recordsOf(article['paragraphs']).flatMap((paragraph) =>
      recordsOf(paragraph['qas']).flatMap((question) => {
        const columns = {
          title: textIn(at(row, article), file, 'title'),
          context: textIn(at(row, paragraph), file, 'context'),
          question: textIn(at(row, question), file, 'question').trim(),
        };
        return asked(
          columns,
          recordsOf(question['answers']).map((given) => textIn(at(row, given), file, 'text')),
        );
      }),
    ),
  );
};

/** DROP answers with spans of the text, a number, or a date. As on the Hub, whatever there is becomes spans. */
function spansOf(given: Columns): readonly string[] {
  const spans = textsOf(given['spans']);
  if (spans.length > 0) return spans;
  const number = String(given['number'] ?? '');
  if (number !== '') return [number];
  const date = recordOf(given['date']) ?? {};
  const text = ['day', 'month', 'year'].flatMap((part) => (date[part] ? [String(date[part])] : [])).join(' ');
  return text === '' ? [] : [text];
}

/** On the Hub a row is a question; in the original file passages by name have questions. */
const drop: RowsOf = (row, file) => {
  if (typeof row.columns['passage'] === 'string' && !Array.isArray(row.columns['qa_pairs'])) {
    const columns = { context: row.columns['passage'], question: textIn(row, file, 'question').trim() };
    return asked(columns, textsOf(recordOf(row.columns['answers_spans'])?.['spans']));
  }
  const passages = 'qa_pairs' in row.columns ? [row.columns] : recordsOf(Object.values(row.columns));
  return passages.flatMap((passage) => {
    const context = textIn(at(row, passage), file, 'passage');
    return recordsOf(passage['qa_pairs']).flatMap((pair) =>
      asked(
        { context, question: textIn(at(row, pair), file, 'question').trim() },
        spansOf(recordOf(pair['answer']) ?? {}),
      ),
    );
  });
};

export const ANSWERS: readonly NamedTask[] = [
  {
    name: 'squad',
    title: 'SQuAD',
    causal: answer('squad', 'Title: {title}\nContext: {context}\nQuestion: {question}\nAnswer:'),
    rows: squad,
    layouts: ['.json of SQuAD 1.1 or 2.0', 'Hub'],
    hub: { id: 'rajpurkar/squad', config: 'plain_text', train: 'train', eval: 'validation' },
    source: 'MeZO',
  },
  {
    name: 'drop',
    title: 'DROP',
    causal: answer('drop', 'Passage: {context}\nQuestion: {question}\nAnswer:'),
    rows: drop,
    layouts: ['.json of DROP', 'Hub'],
    hub: { id: 'ucinlp/drop', config: 'default', train: 'train', eval: 'validation' },
    source: 'MeZO',
  },
];

/**
 * What a named task is: prompts that papers have used, and what makes their columns out of the layouts in which its
 * data set is handed around.
 *
 * @module
 */
import type { Task } from '../../nouns.ts';
import { dataFault, type Row } from '../rows.ts';

export type Columns = Row['columns'];

/**
 * A row as a file has it → rows with the columns that the prompts read; none for a row that is no example, several for
 * one that nests examples. A pure function of the row. Manifests name it, so it stays what it is.
 *
 * @throws {Fault} DATA_INVALID
 */
export type RowsOf = (row: Row, file: string) => readonly Columns[];

/** Tasks whose samples are rows. */
export type RowTask = Extract<Task, { readonly kind: 'choice' | 'candidates' | 'answer' }>;
type Choice = Extract<Task, { readonly kind: 'choice' }>;

/** A prompt, and a word for each class in the order of `classes`. */
export interface Wording {
  readonly prompt: string;
  readonly words: readonly string[];
}

/** A data set of the Hub, as its Parquet branch has it. */
export interface HubData {
  readonly id: string;
  readonly config: string;
  readonly train: string;
  /** The split that papers report on, where its labels are public. */
  readonly eval: string;
}

export interface NamedTask {
  readonly name: string;
  /** As papers write it. */
  readonly title: string;
  /** For models that read from left to right. */
  readonly causal: RowTask;
  /** For masked models: `{mask}` is where the word goes. */
  readonly masked?: RowTask;
  readonly rows: RowsOf;
  /** Layouts that `rows` reads. */
  readonly layouts: readonly string[];
  readonly hub: HubData;
  /** Whose prompts. */
  readonly source: string;
}

/** A choice among classes by what one column, `label`, says. */
export const choice = (rows: string, classes: readonly string[], { prompt, words }: Wording): Choice => ({
  kind: 'choice',
  prompt,
  label_column: 'label',
  labels: classes.map((value, i) => ({ value, word: words[i]! })),
  rows,
});

/** The first of `names` that the row has, if it has one. */
export const columnOf = ({ columns }: Row, names: readonly string[]): unknown =>
  columns[names.find((name) => Object.hasOwn(columns, name)) ?? ''];

/** The first of `names` that the row has, as text. @throws {Fault} DATA_INVALID naming what the row has instead */
export function textIn(row: Row, file: string, ...names: readonly string[]): string {
  const value = columnOf(row, names);
  if (typeof value === 'string') return value;
  const have = Object.keys(row.columns).map((name) => `"${name}"`);
  throw dataFault(
    file,
    row.line,
    `no text in column "${names.join('" or "')}"; it has ${have.join(', ') || 'no columns'}: is it the file of this task?`,
  );
}

/** What a label may be written as → the class. */
export type Classes = Readonly<Record<string, string>>;

/**
 * The class that the first of `names` says.
 * @throws {Fault} DATA_INVALID where it says none, as in test sets whose labels are kept back.
 */
export function classIn(row: Row, file: string, classes: Classes, ...names: readonly string[]): string {
  const value = columnOf(row, names);
  const found = Object.hasOwn(classes, String(value)) ? classes[String(value)] : undefined;
  if (found !== undefined) return found;
  const known = [...new Set(Object.values(classes))].join(', ');
  const hidden = value === undefined || String(value) === '-1';
  throw dataFault(
    file,
    row.line,
    hidden
      ? `has no label, as test sets have none; take the file of training or validation`
      : `label ${JSON.stringify(value)} is none of this task (${known}); is it the file of this task?`,
  );
}

/** Numbers that a list of classes is counted with, from `first`. */
export const numbered = (classes: readonly string[], first = 0): Classes =>
  Object.fromEntries(classes.map((name, i) => [String(i + first), name]));

/** What stands for yes and no. */
export const YES_NO: Classes = { '1': 'yes', true: 'yes', True: 'yes', '0': 'no', false: 'no', False: 'no' };

/** A value as an object with named values, if it is one. */
export const recordOf = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;

/** A value as a list of objects: what is none of these is left out. */
export const recordsOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(recordOf).filter((item) => item !== undefined) : [];

/** A value as a list of texts. */
export const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];

/** First letter in upper or lower case; the rest as it is. */
export const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
export const uncapital = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1);

/**
 * Which rows are learnt from and which are held out: those of two files, the end of one, or a few drawn by a seed (k-shot,
 * as LM-BFF and MeZO have it: Malladi et al. 2023, arXiv:2305.17333, App. E.1).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Manifest, Task } from '../nouns.ts';
import { permutation } from '../numeric/permutation.ts';
import { cell, type DataFile, type Row, readRows } from './rows.ts';
import { taskRows } from './tasks/tasks.ts';
import { tailStart } from './text.ts';

export interface Split {
  readonly train: readonly Row[];
  /** Held out. */
  readonly eval: readonly Row[];
}

/** An epoch that no run reaches: its permutation under a seed draws samples. */
const SAMPLING_EPOCH = 0xffff_ffff;

/** @throws {Fault} DATA_INVALID where there are too few rows */
export function splitRows(
  task: Exclude<Task, { readonly kind: 'lm' | 'masked_lm' }>,
  { eval_fraction: fraction, sample }: Manifest['data'],
  train: DataFile,
  held: DataFile | undefined,
): Split {
  const rowsOf = (file: DataFile): readonly Row[] => taskRows(task.rows, readRows(file), file.name);
  const rows = rowsOf(train);
  const judge = held && rowsOf(held);
  if (sample && 'per_class' in sample) {
    const drawn = shots(task, rows, train.name, sample, judge ? 1 : 2);
    return { train: drawn[0]!, eval: judge ?? drawn[1]! };
  }
  const split = judge ? rows.length : tailStart(rows.length, fraction);
  if (split === 0 || (!judge && split === rows.length)) {
    const detail = `${rows.length} rows cannot be split with eval_fraction ${fraction}; give more rows, or eval_data`;
    throw new Fault('DATA_INVALID', `${train.name}: ${detail}`);
  }
  const learnt = rows.slice(0, split);
  return { train: sample ? firstDrawn(learnt, train.name, sample) : learnt, eval: judge ?? rows.slice(split) };
}

/** The rows in the order in which a seed draws them. */
const drawn = (rows: readonly Row[], seed: number): Row[] =>
  Array.from(permutation(rows.length, SAMPLING_EPOCH, seed), (i) => rows[i]!);

/** @param key that asks for so many, for messages. @throws {Fault} DATA_INVALID where there are fewer */
export function firstDrawn(
  rows: readonly Row[],
  file: string,
  { first, seed }: { readonly first: number; readonly seed: number },
  key = 'max_train_samples',
): readonly Row[] {
  if (rows.length >= first) return drawn(rows, seed).slice(0, first);
  throw new Fault(
    'DATA_INVALID',
    `${file}: has ${rows.length} rows to learn from, fewer than ${key} ${first}; lower it`,
  );
}

/** `parts` sets of so many rows of each class, which share none; of all rows together, where there are no classes. */
function shots(
  task: Task,
  rows: readonly Row[],
  file: string,
  { per_class: n, seed }: { readonly per_class: number; readonly seed: number },
  parts: 1 | 2,
): readonly (readonly Row[])[] {
  const classes = new Map<string, Row[]>();
  if (task.kind === 'choice') for (const { value } of task.labels) classes.set(value, []);
  for (const row of drawn(rows, seed)) {
    const name = task.kind === 'choice' ? cell(row, task.label_column, file) : '';
    // A label that the task does not know is refused where examples are made, which says more about it.
    const members = classes.get(name);
    if (members) members.push(row);
    else classes.set(name, [row]);
  }
  for (const [name, members] of classes) {
    if (members.length >= n * parts) continue;
    const which = task.kind === 'choice' ? `of class "${name}"` : 'in all';
    const need = parts === 2 ? `${n} shots and as many held out` : `${n} shots`;
    throw new Fault('DATA_INVALID', `${file}: has ${members.length} rows ${which}, too few for ${need}; lower shots`);
  }
  return Array.from({ length: parts }, (_, part) =>
    [...classes.values()].flatMap((members) => members.slice(part * n, (part + 1) * n)),
  );
}

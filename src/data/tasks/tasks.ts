/**
 * The named tasks, and their rows by the name that a manifest has for them.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { Row } from '../rows.ts';
import { ANSWERS } from './answers.ts';
import { CANDIDATES } from './candidates.ts';
import { CLASSIFICATION } from './classification.ts';
import { QUESTIONS } from './questions.ts';
import type { NamedTask } from './task.ts';

export const TASKS: readonly NamedTask[] = [...CLASSIFICATION, ...QUESTIONS, ...CANDIDATES, ...ANSWERS];

/**
 * Rows of a file → rows of a task; each keeps the line it came from.
 * @param rows of the manifest's task. Absent: the rows as they are.
 * @throws {Fault} CONFIG_INVALID for a name that nothing has; DATA_INVALID
 */
export function taskRows(rows: string | undefined, read: readonly Row[], file: string): readonly Row[] {
  if (rows === undefined) return read;
  const task = TASKS.find(({ name }) => name === rows);
  if (!task) throw new Fault('CONFIG_INVALID', `rows: no task is called "${rows}"; "murmur tasks" lists them`);
  const made = read.flatMap((row) => task.rows(row, file).map((columns) => ({ line: row.line, columns })));
  if (made.length > 0) return made;
  throw new Fault('DATA_INVALID', `${file}: holds no example of ${task.title}; is it the file of this task?`);
}

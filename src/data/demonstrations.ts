/**
 * In-context learning: examples with their answers in front of every prompt, and no training at all (Brown et al. 2020,
 * arXiv:2005.14165; the zero-shot and ICL rows of MeZO's tables, Malladi et al. 2023, arXiv:2305.17333, App. E.2).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { cell, dataFault, type Row } from './rows.ts';
import type { RowTask } from './tasks/task.ts';
import { parseTemplate, renderTemplate } from './template.ts';

/** Stands between two examples (`train_sep` in `large_models/tasks.py` of princeton-nlp/MeZO). */
const BETWEEN = '\n\n';

/** Text as a template that gives it. */
const literal = (text: string): string => text.replaceAll('{', '{{').replaceAll('}', '}}');

/**
 * The task with `rows` in front of its prompt, each with its right answer. A prompt that becomes too long for a model
 * loses the first of them.
 *
 * @param file that the rows are of, for messages.
 * @throws {Fault} DATA_INVALID for a row without an answer; CONFIG_INVALID for a masked prompt
 */
export function withDemonstrations(task: RowTask, rows: readonly Row[], file: string): RowTask {
  if (task.prompt.includes('{mask}'))
    throw new Fault('CONFIG_INVALID', 'shots_in_context: is for causal models, which go on with a text; leave it out');
  const template = parseTemplate(task.prompt);
  const shown = rows.map((row) => literal((renderTemplate(template, row, file) + answerOf(task, row, file)).trim()));
  return { ...task, prompt: [...shown, task.prompt].join(BETWEEN) };
}

/** What follows the prompt of a row. */
function answerOf(task: RowTask, row: Row, file: string): string {
  const none = (column: string): never => {
    throw dataFault(file, row.line, `column "${column}" has no right answer; give the file of training`);
  };
  switch (task.kind) {
    case 'choice': {
      const value = cell(row, task.label_column, file);
      return task.labels.find((label) => label.value === value)?.word ?? none(task.label_column);
    }
    case 'candidates': {
      const candidates = row.columns[task.candidates_column];
      const [index] = [row.columns[task.answer_column]].flat();
      const right: unknown = Array.isArray(candidates) ? candidates[Number(index)] : undefined;
      return typeof right === 'string' ? right : none(task.answer_column);
    }
    case 'answer': {
      const [first] = [row.columns[task.answers_column]].flat();
      return typeof first === 'string' ? ` ${first}` : none(task.answers_column);
    }
  }
}

/**
 * Classification by label words: the model reads a prompt and is scored on which of the words comes next
 * (MeZO, Malladi et al. 2023, App. E.2).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example, Task } from '../nouns.ts';
import { cell, type DataFile, dataFault, type Row } from './rows.ts';
import { parseTemplate, renderTemplate } from './template.ts';
import { bare, type Encoder, opening } from './tokens.ts';

export type ChoiceTask = Task & { readonly kind: 'choice' };

export interface ChoiceExamples {
  readonly examples: readonly Example[];
  /** Examples that were longer than the model's positions and lost the front of their text. */
  readonly truncated: number;
}

/**
 * One example a row. A prompt of more than `positions` tokens loses tokens from the front, after what the tokenizer
 * opens a text with, so that the end of the template stays (as MeZO does).
 *
 * @throws {Fault} DATA_INVALID, CONFIG_INVALID (template)
 */
export function choiceExamples(
  task: ChoiceTask,
  file: DataFile,
  rows: readonly Row[],
  encoder: Encoder,
  positions: number,
): ChoiceExamples {
  const template = parseTemplate(task.prompt);
  const classes = new Map(task.labels.map(({ value }, i) => [value, i]));
  const start = opening(encoder);
  let truncated = 0;
  const examples = rows.map((row): Example => {
    const text = bare(encoder, renderTemplate(template, row, file.name));
    const room = positions - start.length;
    if (text.length > room) truncated++;
    const tokens = Int32Array.from([...start, ...text.slice(Math.max(0, text.length - room))]);
    if (tokens.length === 0) throw dataFault(file.name, row.line, 'the prompt is empty; give it some text');
    return { tokens, at: Int32Array.of(tokens.length - 1), targets: Int32Array.of(classOf(task, classes, row, file)) };
  });
  return { examples, truncated };
}

function classOf(task: ChoiceTask, classes: ReadonlyMap<string, number>, row: Row, file: DataFile): number {
  const label = cell(row, task.label_column, file.name);
  const index = classes.get(label);
  if (index !== undefined) return index;
  const known = [...classes.keys()].map((v) => JSON.stringify(v));
  throw dataFault(
    file.name,
    row.line,
    `label ${JSON.stringify(label)} is not one of ${known.join(', ')}; add it to labels`,
  );
}

/**
 * (C) token ids of the label words, as they follow the prompt of `row`.
 * @throws {Fault} LABEL_WORD for a word that is not one token there, or is the same token as another's.
 */
export function labelTokens(task: ChoiceTask, file: DataFile, row: Row, encoder: Encoder): Int32Array {
  const prompt = renderTemplate(parseTemplate(task.prompt), row, file.name);
  const before = bare(encoder, prompt);
  const ids = task.labels.map(({ word }) => {
    const after = bare(encoder, prompt + word);
    const kept = before.every((id, i) => after[i] === id);
    if (kept && after.length === before.length + 1) return after[before.length]!;
    const why = kept
      ? `is ${after.length - before.length} tokens (${after.slice(before.length).join(', ')})`
      : 'changes the tokens of the prompt before it';
    throw new Fault(
      'LABEL_WORD',
      `label word ${JSON.stringify(word)} ${why}; choose a word of one token, as a rule with the space in front of it: " great"`,
    );
  });
  ids.forEach((id, i) => {
    const first = ids.indexOf(id);
    if (first === i) return;
    const [a, b] = [task.labels[first]!.word, task.labels[i]!.word].map((w) => JSON.stringify(w));
    throw new Fault('LABEL_WORD', `label words ${a} and ${b} are the same token ${id}; choose words that differ`);
  });
  return Int32Array.from(ids);
}

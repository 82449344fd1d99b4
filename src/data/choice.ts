/**
 * Classification by label words: the model reads a prompt and is scored on which of the words comes next, or, if it is a
 * masked model, which of them its mask token hides (MeZO, Malladi et al. 2023, App. E.2).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example, Task } from '../nouns.ts';
import { cell, type DataFile, dataFault, type Row } from './rows.ts';
import { parseTemplate, renderTemplate, splitAtMask, type Template } from './template.ts';
import { around, bare, type Encoder } from './tokens.ts';

export type ChoiceTask = Task & { readonly kind: 'choice' };

export interface ChoiceExamples {
  readonly examples: readonly Example[];
  /** Examples that were longer than the model's positions and lost the front of their text. */
  readonly truncated: number;
}

/** A prompt around the place where the label word stands. Nothing follows it in that of a causal model. */
interface Prompt {
  readonly before: Template;
  readonly after: Template;
}

/** @throws {Fault} CONFIG_INVALID for a mask that is missing, or is not to be */
function promptOf({ prompt }: ChoiceTask, { mask }: Encoder): Prompt {
  const template = parseTemplate(prompt);
  const refusal = (what: string) => new Fault('CONFIG_INVALID', `prompt: ${JSON.stringify(prompt)} ${what}`);
  const halves = splitAtMask(template);
  if (mask === undefined) {
    if (!halves) return { before: template, after: [] };
    throw refusal('has a {mask}, and the model is causal; end it where the label word comes, as in "{text} It was"');
  }
  if (!halves)
    throw refusal(
      'has no {mask}, and the model fills in masks; put it for the label word, as in "{text} It was {mask}."',
    );
  const [before, after] = halves;
  if (splitAtMask(after)) throw refusal('has more than one {mask}; leave the one that stands for the label word');
  return { before, after };
}

/** White space before a mask belongs to the word that the mask hides, as in RoBERTa's own vocabulary. */
const upToMask = (text: string): string => text.trimEnd();

/** Tokens around one place, each side cut at its far end: the longer first, until both together are at most `room`. */
function cutTo(room: number, before: readonly number[], after: readonly number[]): readonly [number[], number[]] {
  const behind = Math.min(after.length, Math.max(room - before.length, Math.floor(room / 2)));
  const front = Math.min(before.length, room - behind);
  return [before.slice(before.length - front), after.slice(0, behind)];
}

/**
 * One example a row. A prompt of more than `positions` tokens loses tokens from the front, after what the tokenizer
 * opens a text with, so that the end of the template stays (as MeZO does); around a mask, from the side that is longer.
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
  const prompt = promptOf(task, encoder);
  const classes = new Map(task.labels.map(({ value }, i) => [value, i]));
  const [start, end] = around(encoder);
  const { mask } = encoder;
  let truncated = 0;
  const examples = rows.map((row): Example => {
    const text = renderTemplate(prompt.before, row, file.name);
    const target = (): Int32Array => Int32Array.of(classOf(task, classes, row, file));
    if (mask !== undefined) {
      const sides = [upToMask(text), renderTemplate(prompt.after, row, file.name)].map((side) => bare(encoder, side));
      const room = Math.max(0, positions - start.length - end.length - 1);
      const [front, behind] = cutTo(room, sides[0]!, sides[1]!);
      if (front.length + behind.length < sides.flat().length) truncated++;
      const at = Int32Array.of(start.length + front.length);
      return { tokens: Int32Array.from([...start, ...front, mask, ...behind, ...end]), at, targets: target() };
    }
    const ids = bare(encoder, text);
    const room = positions - start.length;
    if (ids.length > room) truncated++;
    const tokens = Int32Array.from([...start, ...ids.slice(Math.max(0, ids.length - room))]);
    if (tokens.length === 0) throw dataFault(file.name, row.line, 'the prompt is empty; give it some text');
    return { tokens, at: Int32Array.of(tokens.length - 1), targets: target() };
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
 * (C) token ids of the label words, as they follow the prompt of `row` or stand for its mask.
 * @throws {Fault} LABEL_WORD for a word that is not one token there, or is the same token as another's.
 */
export function labelTokens(task: ChoiceTask, file: DataFile, row: Row, encoder: Encoder): Int32Array {
  const text = renderTemplate(promptOf(task, encoder).before, row, file.name);
  // The word has the white space before the mask, unless it brings its own.
  const prompt = encoder.mask === undefined ? text : upToMask(text);
  const before = bare(encoder, prompt);
  const ids = task.labels.map(({ word }) => {
    const after = bare(encoder, (/^\s/.test(word) ? prompt : text) + word);
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

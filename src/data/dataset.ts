/**
 * What a run trains on and is judged by: a pure function of (task, files, tokenizer, longest sequence), so that every
 * peer makes the same.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example, Manifest, Task } from '../nouns.ts';
import { type ChoiceTask, choiceExamples, labelTokens } from './choice.ts';
import { type DataFile, textOf } from './rows.ts';
import { splitRows } from './split.ts';
import { someWindows, tailStart, textTokens } from './text.ts';
import type { Encoder } from './tokens.ts';

export interface Dataset {
  readonly train: readonly Example[];
  /** Held out. */
  readonly eval: readonly Example[];
  /** (C) token ids of the label words in the order of the classes; empty for language modelling. */
  readonly choices: Int32Array;
  /** Examples cut at the front to fit the model's positions. */
  readonly truncated: number;
}

/** Contents of the files that `data` names. */
export interface DataBytes {
  readonly train: Uint8Array;
  readonly eval?: Uint8Array | undefined;
}

/**
 * @param positions longest sequence of the model.
 * @throws {Fault} DATA_INVALID, LABEL_WORD, CONFIG_INVALID (prompt, labels, block_size)
 */
export function buildDataset(
  task: Task,
  data: Manifest['data'],
  bytes: DataBytes,
  encoder: Encoder,
  positions: number,
): Dataset {
  if ((data.eval === undefined) !== (bytes.eval === undefined))
    throw new TypeError('"bytes.eval" must come with data.eval');
  const train: DataFile = { name: data.train.path, bytes: bytes.train };
  const held = data.eval && bytes.eval ? { name: data.eval.path, bytes: bytes.eval } : undefined;
  if (task.kind !== 'lm' && task.kind !== 'choice')
    throw new Fault('CONFIG_INVALID', `task: ${task.kind} is not implemented`);
  return task.kind === 'lm'
    ? textDataset(task.window, train, held, data.eval_fraction, encoder, positions)
    : choiceDataset(task, data, train, held, encoder, positions);
}

function textDataset(
  window: number,
  train: DataFile,
  held: DataFile | undefined,
  fraction: number,
  encoder: Encoder,
  positions: number,
): Dataset {
  if (encoder.mask !== undefined)
    throw new Fault(
      'CONFIG_INVALID',
      'task: lm needs a causal model, this one fills in masks; give labels and a prompt with {mask}, as in "{text} It was {mask}."',
    );
  if (window > positions) {
    throw new Fault(
      'CONFIG_INVALID',
      `block_size: ${window} is more than the ${positions} positions of the model; lower it`,
    );
  }
  const tokens = textTokens(encoder, textOf(train));
  const split = held ? tokens.length : tailStart(tokens.length, fraction);
  const tail = held ? textTokens(encoder, textOf(held)) : tokens.subarray(split);
  return {
    train: someWindows(tokens.subarray(0, split), window, train.name, 'training'),
    eval: someWindows(tail, window, held?.name ?? train.name, 'evaluation'),
    choices: new Int32Array(0),
    truncated: 0,
  };
}

function choiceDataset(
  task: ChoiceTask,
  data: Manifest['data'],
  train: DataFile,
  held: DataFile | undefined,
  encoder: Encoder,
  positions: number,
): Dataset {
  const rows = splitRows(task, data, train, held);
  const choices = labelTokens(task, train, rows.train[0]!, encoder);
  const learnt = choiceExamples(task, train, rows.train, encoder, positions);
  const judged = choiceExamples(task, held ?? train, rows.eval, encoder, positions);
  return {
    train: learnt.examples,
    eval: judged.examples,
    choices,
    truncated: learnt.truncated + judged.truncated,
  };
}

/**
 * What a run trains on and is judged by: a pure function of (task, files, tokenizer, longest sequence), so that every
 * peer makes the same.
 *
 * @module
 */

import { Fault } from '../faults.ts';
import type { Example, Manifest, Task } from '../nouns.ts';
import { type Completed, completedExamples } from './candidates.ts';
import { type ChoiceTask, choiceExamples, labelTokens } from './choice.ts';
import { hiddenWindows } from './hidden.ts';
import { type DataFile, type Row, textOf } from './rows.ts';
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
  /** Of text: the tokens of both, where they are known already. */
  readonly tokens?: { readonly train: Int32Array; readonly eval?: Int32Array | undefined };
}

/**
 * @param positions longest sequence of the model. @param seed of what is hidden, where something is.
 * @throws {Fault} DATA_INVALID, LABEL_WORD, CONFIG_INVALID (prompt, labels, block_size, task)
 */
export function buildDataset(
  task: Task,
  data: Manifest['data'],
  bytes: DataBytes,
  encoder: Encoder,
  positions: number,
  seed = 0,
): Dataset {
  if ((data.eval === undefined) !== (bytes.eval === undefined))
    throw new TypeError('"bytes.eval" must come with data.eval');
  const train: DataFile = { name: data.train.path, bytes: bytes.train };
  const held = data.eval && bytes.eval ? { name: data.eval.path, bytes: bytes.eval } : undefined;
  const fraction = data.eval_fraction;
  switch (task.kind) {
    case 'lm':
      if (encoder.mask !== undefined)
        throw new Fault(
          'CONFIG_INVALID',
          'task: lm needs a causal model, this one fills in masks; take task masked_lm, or give labels and a prompt with {mask}',
        );
      return textDataset(task.window, train, held, bytes.tokens, fraction, encoder, positions, someWindows);
    case 'masked_lm': {
      const cut: Cut = (tokens, window, file, part) =>
        hiddenWindows({ tokens, window, masked: task.masked, seed, part, file }, encoder);
      return textDataset(task.window, train, held, bytes.tokens, fraction, encoder, positions, cut);
    }
    case 'choice':
      return choiceDataset(task, data, train, held, encoder, positions);
    default: {
      const make = (file: DataFile, rows: readonly Row[]) => completedExamples(task, file, rows, encoder, positions);
      return { ...rowsDataset(task, data, train, held, make), choices: new Int32Array(0) };
    }
  }
}

/** Tokens → examples of a part of the data. */
type Cut = (tokens: Int32Array, window: number, file: string, part: 'training' | 'evaluation') => Example[];

function textDataset(
  window: number,
  train: DataFile,
  held: DataFile | undefined,
  known: DataBytes['tokens'],
  fraction: number,
  encoder: Encoder,
  positions: number,
  cut: Cut,
): Dataset {
  if (window > positions) {
    throw new Fault(
      'CONFIG_INVALID',
      `block_size: ${window} is more than the ${positions} positions of the model; lower it`,
    );
  }
  const tokens = known?.train ?? textTokens(encoder, textOf(train));
  const split = held ? tokens.length : tailStart(tokens.length, fraction);
  const tail = held ? (known?.eval ?? textTokens(encoder, textOf(held))) : tokens.subarray(split);
  return {
    train: cut(tokens.subarray(0, split), window, train.name, 'training'),
    eval: cut(tail, window, held?.name ?? train.name, 'evaluation'),
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
  let choices: Int32Array | undefined;
  const make = (file: DataFile, rows: readonly Row[]) => {
    choices ??= labelTokens(task, file, rows[0]!, encoder);
    return choiceExamples(task, file, rows, encoder, positions);
  };
  return { ...rowsDataset(task, data, train, held, make), choices: choices! };
}

/** Rows of two files, or of the two ends of one. */
function rowsDataset(
  task: Exclude<Task, { readonly kind: 'lm' | 'masked_lm' }>,
  data: Manifest['data'],
  train: DataFile,
  held: DataFile | undefined,
  make: (file: DataFile, rows: readonly Row[]) => Completed,
): Omit<Dataset, 'choices'> {
  const rows = splitRows(task, data, train, held);
  const learnt = make(train, rows.train);
  const judged = make(held ?? train, rows.eval);
  return {
    train: learnt.examples,
    eval: judged.examples,
    truncated: learnt.truncated + judged.truncated,
  };
}

/**
 * Text files in proportions → what a model is trained on from scratch. Every document is opened as the tokenizer opens a
 * text, and follows the one before it: windows cross from one to the next.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example } from '../nouns.ts';
import type { Dataset } from './dataset.ts';
import { cell, type DataFile, readRows, textOf } from './rows.ts';
import { joined, someWindows, tailStart, textTokens } from './text.ts';
import type { Encoder } from './tokens.ts';

export interface Part {
  readonly file: DataFile;
  /** How often an epoch reads it; 1.5 is once, and half of it again. */
  readonly times: number;
}

export interface CorpusOptions {
  /** Tokens of a sample. */
  readonly window: number;
  /** Of files with rows: the column that holds a document. */
  readonly column: string;
  /** Held-out text; absent: a part of every file, at its end. */
  readonly held: DataFile | undefined;
  readonly fraction: number;
  /** Longest sequence of the model. */
  readonly positions: number;
}

const isPlain = ({ name }: DataFile): boolean => /\.(txt|text|md)$/i.test(name);

/** A plain file is one document, a row of any other is one. @throws {Fault} DATA_INVALID */
export function documents(file: DataFile, column: string): string[] {
  if (isPlain(file)) return [textOf(file)];
  return readRows(file).map((row) => cell(row, column, file.name));
}

/** Ids of all documents, one after the other. @throws {Fault} DATA_INVALID */
export function corpusTokens(encoder: Encoder, file: DataFile, column: string): Int32Array {
  return joined(documents(file, column).map((text) => textTokens(encoder, text)));
}

function repeated(examples: readonly Example[], times: number): Example[] {
  const whole = Math.floor(times);
  const more = examples.slice(0, Math.floor((times - whole) * examples.length + 0.5));
  return [...Array.from({ length: whole }, () => examples).flat(), ...more];
}

/** @throws {Fault} DATA_INVALID, CONFIG_INVALID (block_size) */
export function corpus(
  parts: readonly Part[],
  { window, column, held, fraction, positions }: CorpusOptions,
  encoder: Encoder,
): Dataset {
  if (window > positions)
    throw new Fault('CONFIG_INVALID', `block_size: ${window} is more than the ${positions} positions of the model`);
  const tails: Example[] = [];
  const train = parts.flatMap(({ file, times }) => {
    const tokens = corpusTokens(encoder, file, column);
    const split = held ? tokens.length : tailStart(tokens.length, fraction);
    if (!held) tails.push(...someWindows(tokens.subarray(split), window, file.name, 'evaluation'));
    return repeated(someWindows(tokens.subarray(0, split), window, file.name, 'training'), times);
  });
  const judged = held ? someWindows(corpusTokens(encoder, held, column), window, held.name, 'evaluation') : tails;
  return { train, eval: judged, choices: new Int32Array(0), truncated: 0 };
}

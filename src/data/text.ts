/**
 * Plain text for language modelling: one stream of tokens, cut into windows.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Example } from '../nouns.ts';
import { bare, type Encoder, opening } from './tokens.ts';

/** Characters a piece has at least: long ones cost more than their length in tokenizers without a word splitter. */
const PIECE = 2048;

/** The text in pieces that end with a line. Joined they are the text. */
export function pieces(text: string): string[] {
  const cut: string[] = [];
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start + PIECE);
    const end = newline < 0 ? text.length : newline + 1;
    cut.push(text.slice(start, end));
    start = end;
  }
  return cut;
}

/** @returns ids of the whole text, opened once as the tokenizer opens a text, each piece tokenised by itself. */
export function textTokens(encoder: Encoder, text: string): Int32Array {
  return joined([opening(encoder), ...pieces(text).map((piece) => bare(encoder, piece))]);
}

/** Ids one after the other. */
export function joined(parts: readonly ArrayLike<number>[]): Int32Array {
  const tokens = new Int32Array(parts.reduce((n, part) => n + part.length, 0));
  let end = 0;
  for (const part of parts) {
    tokens.set(part, end);
    end += part.length;
  }
  return tokens;
}

/**
 * Windows of `window` + 1 tokens, side by side: the first `window` are read, each is scored on the one after it. What
 * is left at the end is dropped. The arrays are views of `tokens`.
 */
export function windows(tokens: Int32Array, window: number): Example[] {
  const at = Int32Array.from({ length: window }, (_, i) => i);
  return Array.from({ length: Math.floor(tokens.length / (window + 1)) }, (_, i) => {
    const start = i * (window + 1);
    return {
      tokens: tokens.subarray(start, start + window),
      at,
      targets: tokens.subarray(start + 1, start + 1 + window),
    };
  });
}

/** Where the held-out tail of `count` things starts. */
export const tailStart = (count: number, fraction: number): number => count - Math.floor(count * fraction);

/** @throws {Fault} DATA_INVALID when there are none. */
export function someWindows(tokens: Int32Array, window: number, file: string, part: string): Example[] {
  const examples = windows(tokens, window);
  if (examples.length > 0) return examples;
  throw new Fault(
    'DATA_INVALID',
    `${file}: ${tokens.length} tokens for ${part} hold no window of ${window} + 1; give more text or a smaller block_size`,
  );
}

/**
 * From the last block's output to what a task scores: the final norm at scored positions, then the head matrix a piece
 * of its rows at a time, so that neither the matrix nor the logits are ever there as a whole.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import type { Sketch } from './sided.ts';
import type { Head } from './stage.ts';

/** Input name of the head matrix, and of its biases where a model has them. */
export const HEAD = 'head';
export const HEAD_BIAS = 'head.bias';

/** Rows of the head matrix in a piece: a few megabytes of weights and of logits. A multiple of a group of signs. */
export const PIECE = 4096;

/** Text that tells heads of one model apart. */
export const headName = (head: Head): string => (head.kind === 'choice' ? `choice${head.choices}` : head.kind);

/** Rows of `x` that are scored, normalised: (S·T, D) -> (S·P, D). @param norm x -> normalised x. */
export function writeFinal({ g, dims }: Sketch, hidden: number, norm: (x: Value) => Value): void {
  const { sequences, tokens, scored } = dims;
  const x = g.input('x', [sequences * tokens, hidden]);
  g.output('y', norm(g.gather(x, g.input('at', [sequences * scored], 'i32'))));
}

/**
 * Rows `first` … `first + count - 1` of the head matrix, or its rows of choices, on `x` (S·P, D): see `Head`.
 * @param bias input name of the biases, if there are any.
 */
export function writePiece(
  s: Sketch,
  head: Head,
  hidden: number,
  vocabulary: number,
  { first, count }: { readonly first: number; readonly count: number },
  bias?: string,
): void {
  const { g, dims } = s;
  const rows = dims.sequences * dims.scored;
  const x = g.input('x', [rows, hidden]);
  if (head.kind === 'choice') {
    g.output('scores', s.choices(x, HEAD, vocabulary, head.choices, bias));
    return;
  }
  const logits = s.piece(x, HEAD, vocabulary, first, count, bias);
  if (head.kind === 'logits') {
    g.output('logits', logits);
    return;
  }
  const targets = g.input('targets', [rows], 'i32');
  g.output('picked', g.pick(logits, targets));
  g.output('share', g.pick(g.logSoftmax(logits), targets));
}

/** The pieces of a head matrix of `vocabulary` rows. */
export const piecesOf = (vocabulary: number): { readonly first: number; readonly count: number }[] =>
  Array.from({ length: Math.ceil(vocabulary / PIECE) }, (_, i) => ({
    first: i * PIECE,
    count: Math.min(PIECE, vocabulary - i * PIECE),
  }));

/**
 * From the last block's output to what a task scores: final norm, head matrix, and for language modelling the loss of
 * each scored token. Rows are gathered first, so that the widest product runs at scored positions only.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import type { Sketch } from './sided.ts';
import type { Head } from './stage.ts';

/** Input name of the head matrix. */
export const HEAD = 'head';

/** Text that tells heads of one model apart. */
export const headName = (head: Head): string => (head.kind === 'choice' ? `choice${head.choices}` : head.kind);

/** @param norm x -> normalised x, (S·P, D) both. */
export function writeHead(s: Sketch, head: Head, hidden: number, vocabulary: number, norm: (x: Value) => Value): void {
  const { g, dims } = s;
  const { sequences, tokens, scored } = dims;
  const x = g.input('x', [sequences * tokens, hidden]);
  const rows = norm(g.gather(x, g.input('at', [sequences * scored], 'i32')));
  if (head.kind === 'choice') {
    g.output('scores', s.choices(rows, HEAD, vocabulary, head.choices));
    return;
  }
  const logits = s.linear(rows, HEAD, vocabulary);
  if (head.kind === 'logits') {
    g.output('logits', logits);
    return;
  }
  const targets = g.input('targets', [sequences * scored], 'i32');
  g.output('nll', g.mul(g.pick(g.logSoftmax(logits), targets), g.scalar(-1)));
}

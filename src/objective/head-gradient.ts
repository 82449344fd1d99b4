/**
 * From losses of sequences back to what the pieces of the head said: the first step of a backward pass, in doubles.
 *
 * @module
 */
import type { Batch, Task } from '../nouns.ts';
import type { TypedArray } from '../ports.ts';
import { crossEntropy } from './loss.ts';
import type { Part } from './scores.ts';

/**
 * Derivative of Σ share · loss (`sequenceLosses`) by what the head says of a batch.
 * @param output `nll` (S·P) or `scores` (S·P, C). @param shares (S) weight of each sequence's loss.
 * @returns like `output`; 0 at padding.
 */
export function lossGradient(task: Task, batch: Batch, output: Float32Array, shares: Float64Array): Float32Array {
  const bar = new Float32Array(output.length);
  const classes = task.kind === 'choice' ? task.labels.length : 1;
  const scored = Float64Array.from({ length: batch.sequences }, (_, s) =>
    batch.weights
      .subarray(s * batch.scored, (s + 1) * batch.scored)
      .reduce((n, weight) => n + (weight === 0 ? 0 : 1), 0),
  );
  for (const [p, weight] of batch.weights.entries()) {
    if (weight === 0) continue;
    const s = Math.floor(p / batch.scored);
    // A sequence's loss is a mean: over its window, or over what is scored of it.
    const share = shares[s]! / (task.kind === 'lm' ? task.window : scored[s]!);
    if (task.kind !== 'choice') {
      bar[p] = share;
      continue;
    }
    // Of -log softmax(scores)[target]: the softmax, less 1 at the target.
    const scores = output.subarray(p * classes, (p + 1) * classes);
    for (let c = 0; c < classes; c++)
      bar[p * classes + c] = share * (Math.exp(-crossEntropy(scores, c)) - (c === batch.targets[p]! ? 1 : 0));
  }
  return bar;
}

/** Part of the head's rows, and what its program said of one batch. */
export interface Said {
  readonly first: number;
  readonly count: number;
  readonly outputs: Part['outputs'];
}

/** Cotangents of the outputs of each piece, by the names `vjp` gives them. @param bar of `lossGradient` */
export function headCotangents(
  task: Task,
  { targets }: Batch,
  said: readonly Said[],
  bar: Float32Array,
): readonly Record<string, TypedArray>[] {
  if (task.kind === 'choice') return said.map(() => ({ 'scores.bar': bar }));
  return tokenCotangents(targets, said, bar);
}

/**
 * Of nll = log Σ_pieces exp(lse) - logit of the target with lse = picked - share: p = exp(lse - log Σ exp(lse)) is the
 * part of a piece in the whole softmax, and
 *
 *     ∂nll/∂picked = p - [target in this piece],     ∂nll/∂share = -p
 */
function tokenCotangents(targets: Int32Array, said: readonly Said[], bar: Float32Array): Record<string, TypedArray>[] {
  const lse = said.map(({ outputs }) => Float64Array.from(outputs['picked']!, (x, i) => x - outputs['share']![i]!));
  const whole = Float64Array.from(targets, (_, i) => {
    const top = lse.reduce((most, own) => Math.max(most, own[i]!), Number.NEGATIVE_INFINITY);
    return top + Math.log(lse.reduce((sum, own) => sum + Math.exp(own[i]! - top), 0));
  });
  return said.map(({ first, count }, piece) => {
    const share = Float32Array.from(targets, (_, i) => -bar[i]! * Math.exp(lse[piece]![i]! - whole[i]!));
    const picked = share.map((x, i) => -x - (targets[i]! >= first && targets[i]! < first + count ? bar[i]! : 0));
    return { 'picked.bar': picked, 'share.bar': share };
  });
}

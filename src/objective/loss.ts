/**
 * What the head says → a loss for every sequence, in nats. Measured in floats: nothing here is remembered.
 *
 * @module
 */
import type { Batch, Task } from '../nouns.ts';

/**
 * Loss of each sequence: for language modelling the sum of its token losses over the task's window, so that every token
 * weighs the same in every sample; for a choice, cross entropy over the label words; for candidates, answers and hidden
 * tokens the mean over those that are scored (MeZO, App. E.2).
 *
 * @param output `nll` (S·P) or `scores` (S·P, C) of the head.
 * @returns (S) f64; padding sequences get what padding gives.
 */
export function sequenceLosses(task: Task, batch: Batch, output: Float32Array): Float64Array {
  return Float64Array.from({ length: batch.sequences }, (_, s) => {
    let sum = 0;
    let count = 0;
    for (let p = s * batch.scored; p < (s + 1) * batch.scored; p++) {
      if (batch.weights[p] === 0) continue;
      count++;
      sum +=
        task.kind === 'choice'
          ? crossEntropy(scoresAt(task, output, p), batch.targets[p]!)
          : output[p]! / (task.kind === 'lm' ? task.window : 1);
    }
    return task.kind === 'lm' ? sum : sum / Math.max(1, count);
  });
}

/** Class with the highest score of each sequence of a choice task; the first on a tie. */
export function predictions(task: Task & { kind: 'choice' }, batch: Batch, output: Float32Array): Int32Array {
  return Int32Array.from({ length: batch.sequences }, (_, s) => {
    const scores = scoresAt(task, output, s * batch.scored);
    return scores.indexOf(Math.max(...scores));
  });
}

const scoresAt = (task: Task & { kind: 'choice' }, output: Float32Array, p: number): Float32Array =>
  output.subarray(p * task.labels.length, (p + 1) * task.labels.length);

/** -log softmax(scores)[target], in f64. */
export function crossEntropy(scores: Float32Array, target: number): number {
  const top = Math.max(...scores);
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - top);
  return Math.log(sum) + top - scores[target]!;
}

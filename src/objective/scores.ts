/**
 * The pieces of a head → what the whole says of one batch. Losses of tokens are put together from each piece's log-sum of
 * exponentials, in doubles:
 *
 *     nll = log Σ_pieces exp(lse) - logit of the target,     lse = picked - share
 *
 * @module
 */
import type { Head, Piece } from '../model/stage.ts';
import type { Batch } from '../nouns.ts';
import type { TypedArray } from '../ports.ts';

/** One piece of the head on one batch: feeds and outputs of its program, and what to do when it has run. */
export interface Part {
  readonly feeds: Readonly<Record<string, TypedArray>>;
  readonly outputs: Readonly<Record<string, TypedArray>>;
  done(): void;
}

export interface Scores {
  part(piece: Omit<Piece, 'stage'>): Part;
  /** When all parts are done. */
  result(): Float32Array;
}

export function headOutput(head: Head, batch: Batch, vocabulary: number): Scores {
  const rows = batch.sequences * batch.scored;
  if (head.kind === 'lm') return tokenLosses(batch.targets, rows, vocabulary);
  if (head.kind === 'logits') return logitsOf(rows, vocabulary);
  const scores = new Float32Array(rows * head.choices);
  return { part: () => ({ feeds: {}, outputs: { scores }, done: () => undefined }), result: () => scores };
}

function tokenLosses(targets: Int32Array, rows: number, vocabulary: number): Scores {
  const stray = targets.find((target) => target < 0 || target >= vocabulary);
  if (stray !== undefined) throw new RangeError(`"targets" expected tokens 0 … ${vocabulary - 1}, got ${stray}`);
  /** Log-sum of the pieces so far: top + log(sum). */
  const top = new Float64Array(rows).fill(Number.NEGATIVE_INFINITY);
  const sum = new Float64Array(rows);
  const wanted = new Float64Array(rows);
  return {
    part({ first, count }) {
      const isInside = (target: number): boolean => target >= first && target < first + count;
      const [picked, share] = [new Float32Array(rows), new Float32Array(rows)];
      return {
        feeds: { targets: targets.map((target) => (isInside(target) ? target - first : 0)) },
        outputs: { picked, share },
        done() {
          for (let i = 0; i < rows; i++) {
            const lse = picked[i]! - share[i]!;
            // Not a number fails both comparisons and makes the sum one, as it must.
            if (lse > top[i]!) {
              sum[i] = sum[i]! * Math.exp(top[i]! - lse) + 1;
              top[i] = lse;
            } else sum[i]! += Math.exp(lse - top[i]!);
            if (isInside(targets[i]!)) wanted[i] = picked[i]!;
          }
        },
      };
    },
    result: () => Float32Array.from(top, (x, i) => x + Math.log(sum[i]!) - wanted[i]!),
  };
}

function logitsOf(rows: number, vocabulary: number): Scores {
  const all = new Float32Array(rows * vocabulary);
  return {
    part({ first, count }) {
      const logits = new Float32Array(rows * count);
      return {
        feeds: {},
        outputs: { logits },
        done() {
          for (let i = 0; i < rows; i++) all.set(logits.subarray(i * count, (i + 1) * count), i * vocabulary + first);
        },
      };
    },
    result: () => all,
  };
}

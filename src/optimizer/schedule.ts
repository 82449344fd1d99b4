/**
 * Learning-rate schedules, named as in the Hugging Face Trainer (docs/NUMBERS.md 6). Only + - * / of doubles: the rate
 * enters the integers that every replica must agree on, and no library cosine is the same everywhere.
 *
 * @module
 */
import type { Manifest } from '../nouns.ts';

/** What a schedule depends on. */
export type Schedule = Pick<Manifest, 'learning_rate' | 'lr_scheduler_type' | 'warmup_steps' | 'max_steps'>;

/**
 * cos(π done / total) for 0 <= done <= total, total > 0: folded into the first quadrant, then Taylor's series in
 * Horner form; the first term left out is below 2e-17.
 */
export function cosineOfPi(done: number, total: number): number {
  const folded = Math.min(done, total - done);
  const x = (Math.PI * folded) / total;
  const xx = x * x;
  let sum = 1;
  for (let k = 10; k >= 1; k--) sum = 1 - (sum * xx) / ((2 * k - 1) * (2 * k));
  return folded === done ? sum : -sum;
}

/** Rate after warm-up, `done` of `total` steps in. */
const DECAY: Readonly<Record<Manifest['lr_scheduler_type'], (rate: number, done: number, total: number) => number>> = {
  constant: (rate) => rate,
  linear: (rate, done, total) => (rate * (total - done)) / total,
  cosine: (rate, done, total) => (rate * (1 + cosineOfPi(done, total))) / 2,
};

/** The learning rate of round `t`, counted from 0. At `max_steps` and after, the decaying schedules give 0. */
export function learningRate(schedule: Schedule, t: number): number {
  const { learning_rate: rate, lr_scheduler_type: type, warmup_steps: warmup, max_steps: last } = schedule;
  if (t < warmup) return (rate * (t + 1)) / warmup;
  if (t >= last) return type === 'constant' ? rate : 0;
  return DECAY[type](rate, t - warmup, last - warmup);
}

/**
 * How long a round may take. Nothing here is a setting: deadlines follow what was measured.
 *
 * @module
 */
import { meanRate } from './assignment.ts';

/** Below this, scheduling noise and network latency decide who is late, not speed. */
const MIN_SPAN_MS = 2000;
/** A peer may be this many times slower than expected: a busy laptop, a garbage collection, one lost packet. */
const PATIENCE = 4;
/** While nobody has ever delivered: time to build programs and touch all weights for the first time. */
const FIRST_SPAN_MS = 120_000;
/** The same, where others are ready and have nothing to do: they may try before the first has used up its time. */
const TURN_MS = 10_000;
/** Weight of the newest measurement in a peer's rate: a change of speed is learned in about three rounds. */
const NEWEST = 0.3;
/** A deadline after which fewer than half the records would do is no deadline for the rest. */
export const QUORUM = 0.5;

/** The rate after delivering `count` records in `ms`. In records per millisecond. */
export function updateRate(rate: number | undefined, count: number, ms: number): number {
  const sample = count / Math.max(1, ms);
  return rate === undefined ? sample : (1 - NEWEST) * rate + NEWEST * sample;
}

/** The rate after not delivering `count` records in `ms`: it was below count / ms, and is taken to be half of that. */
export function lateRate(rate: number | undefined, count: number, ms: number): number {
  return Math.min(rate ?? Number.POSITIVE_INFINITY, count / Math.max(1, ms)) / 2;
}

/**
 * Milliseconds from opening a round to its deadline: `PATIENCE` times what the slowest share is expected to take.
 * @param shares its parts: how many records, at which rate (undefined: as fast as the others).
 */
export function roundSpan(shares: readonly { readonly count: number; readonly rate: number | undefined }[]): number {
  const average = meanRate(shares);
  if (average === undefined) return FIRST_SPAN_MS;
  const slowest = shares.reduce((most, { count, rate }) => Math.max(most, count / (rate ?? average)), 0);
  return Math.max(MIN_SPAN_MS, PATIENCE * slowest);
}

/** As `roundSpan`, of a round to which nothing has come while others wait for work. */
export const turnSpan = (span: number): number => Math.min(span, TURN_MS);

/**
 * Where a round stands that was opened `elapsed` ms ago. Waiting twice as long halves the fraction of records that
 * is enough, so a round in which most peers froze ends too.
 *
 * @returns `needed`: fraction of the records that is enough now (Infinity before the deadline: all must be in);
 * `next`: ms after opening at which `needed` changes.
 */
export function patience(elapsed: number, span: number): { readonly needed: number; readonly next: number } {
  if (elapsed < span) return { needed: Number.POSITIVE_INFINITY, next: span };
  let needed = QUORUM;
  let next = 2 * span;
  for (; elapsed >= next; next *= 2) needed /= 2;
  return { needed, next };
}

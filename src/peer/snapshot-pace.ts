/**
 * How often a host writes a snapshot where nobody says: when replaying the rounds since the last one would take longer
 * than downloading it. It changes no bits of the weights, only when a digest of them is in the journal.
 *
 * @module
 */

import type { Direction, DirectionKind } from '../nouns.ts';

/** Bytes a second that whoever joins is taken to download at: what a line at home sends, 40 Mbit/s. */
const DOWNLOAD_BYTES = 5_000_000;
/** Nearer than so many rounds nobody asks for a snapshot. */
const LEAST_ROUNDS = 16;
/** Writing one may take this part of the time of the rounds between two: a run is for training. */
const WRITING_PART = 1 / 20;
/** Weight of the newest measurement in a running mean. */
const NEWEST = 1 / 8;
/** Rounds cost this at least, whatever a clock says. */
const LEAST_MS = 0.01;

/** What has been measured so far; undefined where nothing has. */
export interface Pace {
  /** To add a round to the weights. */
  readonly replayMs?: number;
  /** From a round to the next. */
  readonly roundMs?: number;
  /** To write a snapshot. */
  readonly writeMs?: number;
}

/** Running means. */
export function measured(pace: Pace, found: Pace): Pace {
  const mean = (key: keyof Pace): Pace => {
    const value = found[key];
    const before = pace[key] ?? value;
    return value === undefined || before === undefined ? {} : { [key]: before + NEWEST * (value - before) };
  };
  return { ...pace, ...mean('replayMs'), ...mean('roundMs'), ...mean('writeMs') };
}

/** What a joiner waits for so many bytes. */
export const downloadMs = (bytes: number): number => (1000 * bytes) / DOWNLOAD_BYTES;

/** Nanoseconds to add a direction to one weight on one core, in WebAssembly, as `npm run bench:apply` has them; of rank 1. */
const ADDING_NS: Readonly<Record<DirectionKind, number>> = { rademacher: 0.5, binomial: 3, lowrank: 0.1 };

/**
 * Whether a joiner is served better by the sums of a pool of directions than by weights: fewer than half the bytes, and
 * adding them up takes no longer than downloading weights would.
 * @param tensors that have sums. @param weights of the model.
 */
export function areSumsWorth(pool: number, { kind, rank }: Direction, tensors: number, weights: number): boolean {
  const ms = 1e-6 * ADDING_NS[kind] * rank * pool * weights;
  return 2 * pool * tensors <= weights && ms <= downloadMs(4 * (weights - pool * tensors));
}

/** Rounds from one snapshot to the next. @param bytes that have to be downloaded of one. */
export function roundsBetween(bytes: number, { replayMs, roundMs = 0, writeMs = 0 }: Pace): number {
  if (replayMs === undefined) return Number.POSITIVE_INFINITY;
  const worth = downloadMs(bytes) / Math.max(LEAST_MS, replayMs);
  const bearable = writeMs / WRITING_PART / Math.max(LEAST_MS, roundMs);
  return Math.ceil(Math.max(LEAST_ROUNDS, worth, bearable));
}

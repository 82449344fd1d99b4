/**
 * The byte scale of a round follows from the codes committed before it (docs/NUMBERS.md 5), by integers alone. It
 * follows the median, so a minority of liars cannot move it past what honest peers sent, and at most doubles or halves.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { NO_LOSS, type Round } from '../nouns.ts';
import { MAX_SCALE, SCALE_UNIT, TARGET_CODE } from './byte.ts';

/** Enough codes for a median; older rounds are not looked at. */
const WINDOW_CODES = 64;
const WINDOW_ROUNDS = 16;

/** What the next scale depends on. Immutable; make it with `scaleState`. */
export interface ScaleState {
  /** Scale of the round to come: an integer in units of 2^-32. */
  readonly scale: number;
  /** |code| · scale of the usable codes of the latest rounds, newest round first. */
  readonly window: readonly (readonly number[])[];
  /** Zeros are left out: of a run that has an objective, most of whose differences may be none. */
  readonly sparse?: true;
  /** The scale stays: of a run with noise, most of what codes say is noise. */
  readonly fixed?: true;
}

/** The state before round 0. @param initial `Manifest.initial_scale`. @param sparse whether the manifest has an objective. @param fixed or `privacy`. */
export const scaleState = (initial: number, sparse = false, fixed = false): ScaleState => ({
  ...{ scale: initial, window: [] },
  ...(sparse ? { sparse } : {}),
  ...(fixed ? { fixed } : {}),
});

/** (n - 1) / 2 rounded down: the lower median is always one of the values. */
const lowerMedian = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[(values.length - 1) >>> 1]!;

const clamp = (x: number, low: number, high: number): number => Math.max(low, Math.min(high, x));

/** The state after `round`, the successor of the rounds that made `state`. */
export function nextScale(state: ScaleState, round: Round): ScaleState {
  const { scale, clip } = round.header;
  const magnitudes: number[] = [];
  for (const { codes } of round.segments)
    for (const code of codes)
      if (code !== NO_LOSS && !(state.sparse && code === 0)) magnitudes.push(Math.min(clip, Math.abs(code)) * scale);

  const window: (readonly number[])[] = [];
  let count = 0;
  for (const values of [magnitudes, ...state.window]) {
    if (count >= WINDOW_CODES || window.length === WINDOW_ROUNDS) break;
    window.push(values);
    count += values.length;
  }
  if (count === 0) return { ...state, window };
  if (state.fixed) return { ...state, window };
  const target = Math.floor(lowerMedian(window.flat()) / TARGET_CODE);
  const near = clamp(target, Math.ceil(state.scale / 2), 2 * state.scale);
  return { ...state, scale: clamp(near, 1, MAX_SCALE), window };
}

/**
 * The scale a host writes into the manifest, from slopes it measured on the base.
 *
 * @param least of a run that has an objective: the slope of one sample more that is right. Zeros are left out then, and it
 * stands for them where there is nothing else.
 * @throws {Fault} ENGINE_FAILED when no slope is a number.
 */
export function initialScale(slopes: readonly number[], least?: number): number {
  const finite = slopes.filter(Number.isFinite).map(Math.abs);
  const moved = least === undefined ? finite : finite.filter((slope) => slope > 0);
  const magnitudes = finite.length > 0 && moved.length === 0 && least !== undefined ? [least] : moved;
  if (magnitudes.length === 0)
    throw new Fault('ENGINE_FAILED', 'no calibration probe gave a finite loss; check the checkpoint or lower eps');
  return clamp(Math.floor(lowerMedian(magnitudes) / (TARGET_CODE * SCALE_UNIT) + 0.5), 1, MAX_SCALE);
}

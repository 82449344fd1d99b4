/**
 * The byte: a projected gradient g = (L+ - L-) / 2 eps as a code -127 … 127 in units of a scale; -128 says that the
 * loss was not a number (docs/NUMBERS.md 4).
 *
 * @module
 */
import { NO_LOSS } from '../nouns.ts';

/** Scales are integers in units of 2^-32, so that they can be derived without rounding. */
export const SCALE_UNIT: number = 2 ** -32;
/** 127 · 2^45 < 2^53: code times scale is exact in a double. */
export const MAX_SCALE: number = 2 ** 45;
/** The scale is chosen so that the median |code| is this; a clip of 127 then stands at about four medians. */
export const TARGET_CODE = 32;

/** Loss slope → code, to the nearest. @param clip largest |code|. */
export function encodeSlope(slope: number, scale: number, clip: number): number {
  if (!Number.isFinite(slope)) return NO_LOSS;
  return Math.max(-clip, Math.min(clip, Math.floor(slope / (scale * SCALE_UNIT) + 0.5)));
}

/** Code → loss slope, exact. NaN for NO_LOSS. */
export const decodeSlope = (code: number, scale: number): number =>
  code === NO_LOSS ? Number.NaN : code * (scale * SCALE_UNIT);

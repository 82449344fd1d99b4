/**
 * From a committed byte to the integer that multiplies its direction on one tensor (docs/NUMBERS.md 6). IEEE doubles,
 * multiplications in the order written, no fused multiply-add: the same integer on every machine.
 *
 * @module
 */
import { type Header, NO_LOSS } from '../nouns.ts';
import { SCALE_UNIT } from './byte.ts';
import { MAX_Q, powerOfTwo } from './fixed.ts';

/**
 * c with E[c] = -gain · slope · 2^-exponent over the rounding word, |c| <= 2^30.
 *
 * @param code -128 … 127; NO_LOSS gives 0. @param exponent of the tensor. @param word `roundingWord` of the record.
 */
export function coefficient(
  header: Pick<Header, 'gain' | 'scale' | 'clip'>,
  code: number,
  exponent: number,
  word: number,
): number {
  if (code === NO_LOSS) return 0;
  return coefficientOf(header, Math.max(-header.clip, Math.min(header.clip, code)), exponent, word);
}

/** The same of an amount that is clipped already, or stands for several codes: it may be a fraction. */
export function coefficientOf(
  header: Pick<Header, 'gain' | 'scale'>,
  amount: number,
  exponent: number,
  word: number,
): number {
  const step = header.gain * (header.scale * SCALE_UNIT);
  const x = -(step * amount) * powerOfTwo(-exponent);
  if (x >= MAX_Q) return MAX_Q;
  if (x <= -MAX_Q) return -MAX_Q;
  const floor = Math.floor(x);
  return floor + (word < (x - floor) * 2 ** 32 ? 1 : 0);
}

/**
 * A step of AdamW and its addition to fixed-point weights, in one pass: `src/optimizer/adamw.ts` and
 * `src/apply/change.ts` are the definition. All in doubles, rounded to floats where the definition's arrays are.
 */
import { LOW_RANK } from './memory';

/** Gradient, m and v of a part of a tensor, one after the other, in scratch that other kernels use between calls. */
export const MOMENTS: usize = LOW_RANK;
export const MOMENTS_LENGTH: usize = 1 << 14;
const BYTES: usize = MOMENTS_LENGTH * 4;

/** 1.5 · 2^52: of its sum with a whole number the low word is that number, modulo 2^32. */
const WHOLE: f64 = 6755399441055744;

/** The two floats at an address. */
@inline
function two(at: usize): v128 {
  return f64x2.promote_low_f32x4(v128.load64_zero(at));
}

@inline
function storeTwo(at: usize, x: v128): void {
  v128.store64_lane(at, x, 0);
}

/**
 * q moves by a step along the gradient, which is clipped by `factor` on the way; m and v are updated.
 * @param unit 2^-exponent. @param decay η λ. @param step η / (1 - β1ᵗ) @param root √(1 - β2ᵗ)
 * @returns max |q|, NaN where a step was no number.
 */
export function adamw(
  q: usize,
  n: usize,
  unit: f64,
  decay: f64,
  factor: f64,
  beta1: f64,
  beta2: f64,
  epsilon: f64,
  step: f64,
  root: f64,
): f64 {
  const end = q + n * 4;
  const whole = q + (n & ~1) * 4;
  const units = f64x2.splat(unit);
  const decays = f64x2.splat(decay);
  const factors = f64x2.splat(factor);
  const ofMean = f64x2.splat(beta1);
  const toMean = f64x2.splat(1 - beta1);
  const ofSquare = f64x2.splat(beta2);
  const toSquare = f64x2.splat(1 - beta2);
  const guard = f64x2.splat(epsilon);
  const back = f64x2.splat(-step);
  const roots = f64x2.splat(root);
  const half = f64x2.splat(0.5);
  const wholes = f64x2.splat(WHOLE);
  let at = MOMENTS;
  let most = f64x2.splat(0);
  // Where a sum was no number: `max` would pass that on as well, and takes several times the instructions of `pmax`.
  let broken = i64x2.splat(0);
  for (const last = at + (n & ~1) * 4; at < last; at += 8) {
    const g = f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(f64x2.mul(two(at), factors)));
    const mean = f64x2.add(f64x2.mul(ofMean, two(at + BYTES)), f64x2.mul(toMean, g));
    const square = f64x2.add(f64x2.mul(ofSquare, two(at + 2 * BYTES)), f64x2.mul(f64x2.mul(toSquare, g), g));
    storeTwo(at + BYTES, f32x4.demote_f64x2_zero(mean));
    storeTwo(at + 2 * BYTES, f32x4.demote_f64x2_zero(square));
    const size = f64x2.add(f64x2.div(f64x2.sqrt(square), roots), guard);
    storeTwo(at, f32x4.demote_f64x2_zero(f64x2.div(f64x2.mul(back, mean), size)));
  }
  at = MOMENTS;
  for (; q < whole; q += 8, at += 8) {
    const change = two(at);
    const old = f64x2.convert_low_i32x4_s(v128.load64_zero(q));
    const moved = f64x2.sub(f64x2.mul(change, units), f64x2.mul(decays, old));
    const sum = f64x2.add(old, f64x2.floor(f64x2.add(moved, half)));
    most = f64x2.pmax(most, f64x2.abs(sum));
    broken = v128.or(broken, f64x2.ne(sum, sum));
    const words = f64x2.add(sum, wholes);
    storeTwo(q, i32x4.shuffle(words, words, 0, 2, 0, 2));
  }
  let peak = v128.any_true(broken) ? f64.NaN : max(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1));
  if (q < end) {
    const g = f64(f32(f64(load<f32>(at)) * factor));
    const mean = beta1 * f64(load<f32>(at + BYTES)) + (1 - beta1) * g;
    const square = beta2 * f64(load<f32>(at + 2 * BYTES)) + (1 - beta2) * g * g;
    store<f32>(at + BYTES, f32(mean));
    store<f32>(at + 2 * BYTES, f32(square));
    const change = f64(f32((-step * mean) / (sqrt(square) / root + epsilon)));
    const old = f64(load<i32>(q));
    const sum = old + floor(change * unit - decay * old + 0.5);
    peak = max(peak, abs(sum));
    store<i32>(q, i32(reinterpret<i64>(sum + WHOLE)));
  }
  return peak;
}

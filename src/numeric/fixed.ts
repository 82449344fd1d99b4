/**
 * Fixed-point weights (docs/NUMBERS.md 1): w = q · 2^e with q an int32 and one exponent e per tensor. Integers add
 * without rounding, so a replica's weights depend on the set of records applied and on nothing else.
 *
 * @module
 */
import { Fault } from '../faults.ts';

/** Smallest exponent: weights near zero still get a range of ±8 (|q| <= 2^30) in steps of 2^-27. */
export const MIN_EXPONENT = -27;
/** |q| above this is the fault RANGE: a fourfold growth of the largest weight, and a doubling before int32 wraps. */
export const MAX_Q: number = 2 ** 30;

/** |q| of a base is at most this. */
export const MAX_BASE_Q: number = 2 ** 28;

const EXPONENT_MASK = 0x7f800000;

const bits = new DataView(new ArrayBuffer(8));

/** 2^e as an exact double, for -1022 <= e <= 1023. `**` need not be exact. */
export function powerOfTwo(e: number): number {
  bits.setInt32(0, (e + 1023) << 20);
  return bits.getFloat64(0);
}

/**
 * Bits of the largest |w|, which are ordered as |w| is.
 *
 * @param w (n,) f32. @param name of the tensor, for the message. @param first its element that w begins with.
 * @param before magnitude of what came before these.
 * @throws {Fault} MODEL_INVALID at a NaN or an infinity.
 */
export function magnitudeOf(w: Float32Array, name: string, first = 0, before = 0): number {
  const words = new Int32Array(w.buffer, w.byteOffset, w.length);
  let peak = before;
  for (let i = 0; i < words.length; i++) {
    const magnitude = words[i]! & 0x7fffffff;
    if (magnitude > peak) peak = magnitude;
  }
  if (peak >= EXPONENT_MASK) {
    const at = words.findIndex((b) => (b & EXPONENT_MASK) === EXPONENT_MASK);
    throw new Fault(
      'MODEL_INVALID',
      `tensor "${name}" holds ${w[at]} at element ${first + at}; use a checkpoint without it`,
    );
  }
  return peak;
}

/** max(-27, smallest e with max|w| <= 2^28 · 2^e). @param magnitude bits of max|w|. */
export function exponentFor(magnitude: number): number {
  // A set mantissa bit means |w| is above the power of two its exponent names: round the exponent up.
  const log2 = ((magnitude + 0x007fffff) >>> 23) - 127;
  return Math.max(MIN_EXPONENT, log2 - 28);
}

/** As `exponentFor`, of a whole tensor. @throws {Fault} MODEL_INVALID */
export const exponentOf = (w: Float32Array, name: string): number => exponentFor(magnitudeOf(w, name));

/** q[i] = floor(w[i] · 2^-exponent + 1/2): exact in doubles, as w has 24 significant bits. */
export function quantise(w: Float32Array, exponent: number, q: Int32Array): void {
  const scale = powerOfTwo(-exponent);
  for (let i = 0; i < w.length; i++) q[i] = Math.floor(w[i]! * scale + 0.5);
}

/**
 * The largest |q| of a row of weights in 8 bits, for programs that measure with bytes. Where a processor adds two
 * products of bytes in 16 bits, as AVX2 does, 2 · 255 · 64 is what does not saturate; the bit less is lost on weights,
 * not on activations, because it is the same on both sides of a difference.
 */
export const BYTE_LEVELS = 64;

/** @throws {RangeError} unless `length` elements are `rows` rows of `columns`. */
export function checkRows(length: number, rows: number, columns: number): void {
  if (rows * columns !== length)
    throw new RangeError(`"q" expected ${rows} rows of "columns" = ${columns}, got ${length} elements`);
}

/** @param peak max |q| of a tensor, as `Kernels.peak` gives it. @throws {Fault} RANGE above 2^30. */
export function checkRange(peak: number, name: string): void {
  if (peak > MAX_Q)
    throw new Fault('RANGE', `tensor "${name}" reached |q| = ${peak}; lower the learning rate or the clip`);
}

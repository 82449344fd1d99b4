/**
 * Numbers of 8-bit products, which the oracle and the lowering to ONNX must share.
 *
 * Activations are unsigned around 128 and weights signed: the one pairing that ONNX Runtime multiplies fast on x86
 * (measured: signed times signed runs at a tenth, unsigned times unsigned at half the speed). Where the processor has
 * no instruction for it (AVX2 and the first AVX-512), two neighbouring products are added in 16 bits, which saturate.
 * So weights keep to ±64 (`BYTE_LEVELS` of fixed.ts): 2 · 255 · 64 fits, and every machine computes the same integers.
 *
 * @module
 */

/** What an activation of 0 is. */
export const ZERO_POINT = 128;
/** The largest |activation| of a row becomes 127. */
export const LEVELS = 127;
/** A row has no smaller peak than this, so that a row of zeros can be divided by its scale: 2^-100, exact in f32. */
export const SMALLEST_PEAK: number = 2 ** -100;

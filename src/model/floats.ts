/**
 * Stored floats to binary32. F16 (IEEE 754 binary16) and BF16 (the upper half of a binary32) are both subsets of it,
 * so nothing is rounded. Everything is little-endian, as safetensors files and all hosts we run on are.
 *
 * @module
 */

/** The stored dtypes that weights may have. */
export type FloatDtype = 'F32' | 'F16' | 'BF16';

const buffer = new DataView(new ArrayBuffer(4));

/** The value of a binary16: sign 1, exponent 5 (bias 15), fraction 10. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  buffer.setUint32(0, ((bits & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13));
  return buffer.getFloat32(0);
}

let halves: Float32Array | undefined;

/** An aligned copy. Not `slice`, which a Node Buffer answers with a view. */
const copied = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

const DECODE: Readonly<Record<FloatDtype, (bytes: Uint8Array) => Float32Array>> = {
  F32: (bytes) => new Float32Array(copied(bytes)),
  F16(bytes) {
    halves ??= Float32Array.from({ length: 65536 }, (_, bits) => half(bits));
    const stored = new Uint16Array(copied(bytes));
    const values = new Float32Array(stored.length);
    for (let i = 0; i < stored.length; i++) values[i] = halves[stored[i]!]!;
    return values;
  },
  BF16(bytes) {
    const stored = new Uint16Array(copied(bytes));
    const words = new Uint32Array(stored.length);
    for (let i = 0; i < stored.length; i++) words[i] = stored[i]! << 16;
    return new Float32Array(words.buffer);
  },
};

/** @param bytes of whole elements of `dtype`; copied. */
export function toFloat32(dtype: FloatDtype, bytes: Uint8Array): Float32Array {
  return DECODE[dtype](bytes);
}

export const isFloat = (dtype: string): dtype is FloatDtype => Object.hasOwn(DECODE, dtype);

/**
 * Floats ⇄ the bytes that cross a link: four formats, from exact to four bits a value. What is decoded is what counts:
 * every value of every format is an exact float, so whoever decodes the same bytes has the same numbers.
 *
 * - `f32`: as it is.
 * - `f16`: IEEE 754 binary16 of x · 2⁻ˢ.
 * - `int8`: round(x · 2⁻ˢ), half to even, |code| <= 127.
 * - `e3m0`: sign and one of 0, 2⁻⁶ … 2⁰ times 2ˢ, the nearest: the 4-bit float of Streaming DiLoCo (Douillard et al. 2025,
 *   arXiv:2501.18512, 2.3).
 *
 * s is one signed byte for every 256 values, the smallest with which the largest of them fits. Bytes of f32 and f16 are
 * stored plane by plane, the most significant last, so that a general compressor finds their exponents together.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Format } from '../nouns.ts';
import { powerOfTwo } from '../numeric/fixed.ts';

export const FORMATS: readonly Format[] = ['f32', 'f16', 'int8', 'e3m0'];

/** Values that share a scale. */
const BLOCK = 256;
/** Scales that a byte holds. A block of nothing but zeros has the least. */
const MIN_SCALE = -128;
const MAX_SCALE = 127;

const bits = new DataView(new ArrayBuffer(4));

/** floor(log2 |x|) of a finite x that is not 0; of a subnormal, the least exponent there is. */
function exponentOf(x: number): number {
  bits.setFloat32(0, x);
  return ((bits.getUint32(0) >>> 23) & 255) - 127;
}

/** Largest |x| of a block. @throws {RangeError} for a value that is not finite */
function peakOf(x: Float32Array, first: number, end: number): number {
  let peak = 0;
  for (let i = first; i < end; i++) {
    const size = Math.abs(x[i]!);
    if (!(size < Number.POSITIVE_INFINITY)) throw new RangeError(`"values" expected finite numbers, got ${x[i]}`);
    if (size > peak) peak = size;
  }
  return peak;
}

const clamped = (scale: number): number => Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));

/** Nearest integer, halves to even, of |x| < 2^51: the addition rounds, as IEEE 754 has it. */
const SNAP = 1.5 * 2 ** 52;
const nearest = (x: number): number => x + SNAP - SNAP;

interface Shape {
  /** Bytes of n values, scales left out. */
  readonly bytes: (n: number) => number;
  /** s of a block whose largest magnitude is `peak` > 0. */
  readonly scale?: (peak: number) => number;
  /** Writes value i of n, scaled. */
  write(out: Uint8Array, i: number, n: number, scaled: number): void;
  /** @returns the value before scaling. */
  read(from: Uint8Array, i: number, n: number): number;
}

/** Bits of the binary16 nearest to |x| <= 2. */
function toHalf(x: number): number {
  bits.setFloat32(0, x);
  const sign = (bits.getUint32(0) >>> 16) & 0x8000;
  const size = Math.abs(x);
  if (size < 2 ** -14) return sign | nearest(size * 2 ** 24);
  const exponent = exponentOf(size);
  // A mantissa that rounds up to 2048 carries into the exponent, as it should.
  return sign | (((exponent + 14) << 10) + nearest(size * powerOfTwo(10 - exponent)));
}

function ofHalf(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * powerOfTwo(exponent - 25);
  return half & 0x8000 ? -size : size;
}

/** Smallest magnitude of e3m0, in units of its largest: 2⁻⁶. */
const STEPS = 6;

const SHAPES: Readonly<Record<Format, Shape>> = {
  f32: {
    bytes: (n) => 4 * n,
    write(out, i, n, x) {
      bits.setFloat32(0, x);
      for (let plane = 0; plane < 4; plane++) out[plane * n + i] = bits.getUint8(3 - plane);
    },
    read(from, i, n) {
      for (let plane = 0; plane < 4; plane++) bits.setUint8(3 - plane, from[plane * n + i]!);
      return bits.getFloat32(0);
    },
  },
  f16: {
    bytes: (n) => 2 * n,
    scale: (peak) => exponentOf(peak),
    write(out, i, n, scaled) {
      const half = toHalf(scaled);
      out[i] = half & 255;
      out[n + i] = half >> 8;
    },
    read: (from, i, n) => ofHalf(from[i]! | (from[n + i]! << 8)),
  },
  int8: {
    bytes: (n) => n,
    scale(peak) {
      const least = exponentOf(peak) - 6; // peak · 2⁻ˢ is in 64 … 128, and may round up to 128
      return nearest(peak * powerOfTwo(-least)) > 127 ? least + 1 : least;
    },
    write(out, i, _, scaled) {
      out[i] = nearest(scaled) & 255;
    },
    read: (from, i) => (from[i]! << 24) >> 24,
  },
  e3m0: {
    bytes: (n) => (n + 1) >> 1,
    // The nearest power of two: 1.5 · 2ᵏ is the middle between 2ᵏ and the next.
    scale: (peak) => exponentOf(peak) + (peak * powerOfTwo(-exponentOf(peak)) >= 1.5 ? 1 : 0),
    write(out, i, _, scaled) {
      const size = Math.abs(scaled);
      const exponent = exponentOf(size);
      const up = size * powerOfTwo(-exponent) >= 1.5 ? 1 : 0;
      // What is at least half of the least magnitude becomes it.
      const code = exponent < -STEPS - 1 ? 0 : Math.min(STEPS + 1, Math.max(1, exponent + up + STEPS + 1));
      const nibble = scaled < 0 && code > 0 ? code | 8 : code;
      out[i >> 1]! |= nibble << (4 * (i & 1));
    },
    read(from, i) {
      const nibble = (from[i >> 1]! >> (4 * (i & 1))) & 15;
      const code = nibble & 7;
      const size = code === 0 ? 0 : powerOfTwo(code - 1 - STEPS);
      return nibble & 8 ? -size : size;
    },
  },
};

const blocksOf = (n: number): number => Math.ceil(n / BLOCK);

/** Bytes of n values in a format. */
export function formatBytes(format: Format, n: number): number {
  const { bytes, scale } = SHAPES[format];
  return bytes(n) + (scale ? blocksOf(n) : 0);
}

/** @param x (n,) finite. @returns `formatBytes(format, n)` bytes. @throws {RangeError} for a value that is not finite */
export function encodeFloats(format: Format, x: Float32Array): Uint8Array {
  const { scale, write } = SHAPES[format];
  const out = new Uint8Array(formatBytes(format, x.length));
  const scales = scale ? out.subarray(0, blocksOf(x.length)) : undefined;
  const body = out.subarray(scales?.length ?? 0);
  for (let first = 0; first < x.length; first += BLOCK) {
    const end = Math.min(x.length, first + BLOCK);
    const peak = peakOf(x, first, end);
    const s = peak === 0 ? MIN_SCALE : clamped(scale?.(peak) ?? 0);
    if (scales) scales[first / BLOCK] = s & 255;
    const factor = scale ? powerOfTwo(-s) : 1;
    for (let i = first; i < end; i++) write(body, i, x.length, x[i]! * factor);
  }
  return out;
}

/** @returns (n,) the values that the bytes stand for. @throws {Fault} SHARE_INVALID for bytes of no n finite values */
export function decodeFloats(format: Format, bytes: Uint8Array, n: number): Float32Array {
  const expected = formatBytes(format, n);
  if (bytes.length !== expected)
    throw new Fault('SHARE_INVALID', `${n} values in ${format} are ${expected} bytes, got ${bytes.length}`);
  const { scale, read } = SHAPES[format];
  const scales = scale ? bytes.subarray(0, blocksOf(n)) : undefined;
  const body = bytes.subarray(scales?.length ?? 0);
  const x = new Float32Array(n);
  for (let first = 0; first < n; first += BLOCK) {
    const factor = scales ? powerOfTwo((scales[first / BLOCK]! << 24) >> 24) : 1;
    const end = Math.min(n, first + BLOCK);
    for (let i = first; i < end; i++) x[i] = read(body, i, n) * factor;
    for (let i = first; i < end; i++)
      if (!Number.isFinite(x[i]!)) throw new Fault('SHARE_INVALID', `value ${i} is ${x[i]}, which no peer may send`);
  }
  return x;
}

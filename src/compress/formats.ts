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

/** A format whose values are scaled, 256 at a time. */
interface Shape {
  /** Bytes of n values, scales left out. */
  readonly bytes: (n: number) => number;
  /** s of a block whose largest magnitude is `peak` > 0. */
  readonly scale: (peak: number) => number;
  /** Writes value i, scaled, into zeros. */
  write(out: Uint8Array, i: number, scaled: number): void;
  /** @returns the value before scaling. */
  read(from: Uint8Array, i: number): number;
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

const SHAPES: Readonly<Record<Exclude<Format, 'f32'>, Shape>> = {
  f16: {
    bytes: (n) => 2 * n,
    scale: exponentOf,
    write(out, i, scaled) {
      const half = toHalf(scaled);
      out[2 * i] = half & 255;
      out[2 * i + 1] = half >> 8;
    },
    read: (from, i) => ofHalf(from[2 * i]! | (from[2 * i + 1]! << 8)),
  },
  int8: {
    bytes: (n) => n,
    scale(peak) {
      const least = exponentOf(peak) - 6; // peak · 2⁻ˢ is in 64 … 128, and may round up to 128
      return nearest(peak * powerOfTwo(-least)) > 127 ? least + 1 : least;
    },
    write(out, i, scaled) {
      out[i] = nearest(scaled) & 255;
    },
    read: (from, i) => (from[i]! << 24) >> 24,
  },
  e3m0: {
    bytes: (n) => (n + 1) >> 1,
    // The nearest power of two: 1.5 · 2ᵏ is the middle between 2ᵏ and the next.
    scale: (peak) => exponentOf(peak) + (peak * powerOfTwo(-exponentOf(peak)) >= 1.5 ? 1 : 0),
    write(out, i, scaled) {
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
export const formatBytes = (format: Format, n: number): number =>
  format === 'f32' ? 4 * n : SHAPES[format].bytes(n) + blocksOf(n);

/** The bytes of floats plane by plane, the least significant first; and back. */
function planes(bytes: Uint8Array, width: number): Uint8Array {
  const n = bytes.length / width;
  const out = new Uint8Array(bytes.length);
  for (let plane = 0; plane < width; plane++)
    for (let i = 0, from = plane; i < n; i++, from += width) out[plane * n + i] = bytes[from]!;
  return out;
}

function unplaned(bytes: Uint8Array, width: number): Uint8Array {
  const n = bytes.length / width;
  const out = new Uint8Array(bytes.length);
  for (let plane = 0; plane < width; plane++)
    for (let i = 0, to = plane; i < n; i++, to += width) out[to] = bytes[plane * n + i]!;
  return out;
}

/** @param x (n,) finite. @returns `formatBytes(format, n)` bytes. @throws {RangeError} for a value that is not finite */
export function encodeFloats(format: Format, x: Float32Array): Uint8Array {
  if (format === 'f32') {
    peakOf(x, 0, x.length);
    return planes(new Uint8Array(x.buffer, x.byteOffset, x.byteLength), 4);
  }
  const { scale, bytes, write } = SHAPES[format];
  const out = new Uint8Array(formatBytes(format, x.length));
  const scales = out.subarray(0, blocksOf(x.length));
  const body = new Uint8Array(bytes(x.length));
  for (let first = 0; first < x.length; first += BLOCK) {
    const end = Math.min(x.length, first + BLOCK);
    const peak = peakOf(x, first, end);
    const s = peak === 0 ? MIN_SCALE : clamped(scale(peak));
    scales[first / BLOCK] = s & 255;
    const factor = powerOfTwo(-s);
    for (let i = first; i < end; i++) write(body, i, x[i]! * factor);
  }
  out.set(format === 'f16' ? planes(body, 2) : body, scales.length);
  return out;
}

/** @returns (n,) the values that the bytes stand for. @throws {Fault} SHARE_INVALID for bytes of no n finite values */
export function decodeFloats(format: Format, bytes: Uint8Array, n: number): Float32Array {
  const expected = formatBytes(format, n);
  if (bytes.length !== expected)
    throw new Fault('SHARE_INVALID', `${n} values in ${format} are ${expected} bytes, got ${bytes.length}`);
  const x = format === 'f32' ? new Float32Array(unplaned(bytes, 4).buffer) : scaledValues(format, bytes, n);
  for (let i = 0; i < n; i++)
    if (!Number.isFinite(x[i]!)) throw new Fault('SHARE_INVALID', `value ${i} is ${x[i]}, which no peer may send`);
  return x;
}

function scaledValues(format: Exclude<Format, 'f32'>, bytes: Uint8Array, n: number): Float32Array {
  const { read } = SHAPES[format];
  const scales = bytes.subarray(0, blocksOf(n));
  const rest = bytes.subarray(scales.length);
  const body = format === 'f16' ? unplaned(rest, 2) : rest;
  const x = new Float32Array(n);
  for (let first = 0; first < n; first += BLOCK) {
    const factor = powerOfTwo((scales[first / BLOCK]! << 24) >> 24);
    const end = Math.min(n, first + BLOCK);
    for (let i = first; i < end; i++) x[i] = read(body, i) * factor;
  }
  return x;
}

/**
 * The kernels in plain TypeScript: the definition that others must equal bit for bit. Written to be read; it makes a
 * whole direction before it uses it.
 *
 * @module
 */
import { mixHigh, mixLow } from '../checksum.ts';
import { BYTE_LEVELS, checkRows, powerOfTwo } from '../fixed.ts';
import type { Kernels } from '../kernels.ts';
import { checkPart, checkTensor, factorLength, roundingWord } from '../noise.ts';
import { direction, rademacher, signAt } from './direction.ts';

/** Beyond it f32 has no fractions: adding and taking it away rounds to the nearest integer, ties to even. */
const WHOLE = 1.5 * 2 ** 23;
const nearest = (x: number): number => Math.fround(x + WHOLE) - WHOLE;

export const referenceKernels = (): Kernels => ({
  name: 'reference',
  f32: (length) => new Float32Array(length),
  i32: (length) => new Int32Array(length),
  i8: (length) => new Int8Array(length),

  materialise(q, exponent, out) {
    const scale = powerOfTwo(exponent);
    for (let i = 0; i < q.length; i++) out[i] = Math.fround(q[i]!) * scale;
  },

  quantiseRows(q, columns, exponent, out, scale) {
    const rows = scale.length;
    checkRows(q.length, rows, columns);
    for (let r = 0; r < rows; r++) {
      const row = q.subarray(r * columns, (r + 1) * columns);
      const peak = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      const inverse = peak === 0 ? 0 : Math.fround(BYTE_LEVELS / peak);
      for (let j = 0; j < columns; j++) out[j * rows + r] = nearest(Math.fround(Math.fround(row[j]!) * inverse));
      scale[r] = Math.fround(peak) * (powerOfTwo(exponent) / BYTE_LEVELS);
    }
  },

  materialisePair(q, exponent, tensor, kind, rank, key, delta, first, plus, minus) {
    checkTensor(q.length, tensor, rank);
    checkPart(first, plus.length, kind, tensor);
    const z = direction(tensor, kind, rank, key);
    const scale = powerOfTwo(exponent);
    const step = Math.fround(delta);
    for (let i = 0; i < plus.length; i++) {
      const w = Math.fround(Math.fround(q[first + i]!) * scale);
      const d = Math.fround(step * z[first + i]!);
      plus[i] = w + d;
      minus[i] = w - d;
    }
  },

  factors(stream, rank, tensorId, keys, plus, minus, first, out) {
    const n = factorLength(out.length, keys.length, rank, first);
    for (const [i, key] of keys.entries())
      for (let k = 0; k < rank; k++) {
        const signs = rademacher(key, stream, k, tensorId, first + n).subarray(first);
        const [above, below] = [2 * i * rank + k, (2 * i + 1) * rank + k];
        for (let j = 0; j < n; j++) {
          out[above * n + j] = signs[j]! * plus;
          out[below * n + j] = signs[j]! * minus;
        }
      }
  },

  factorAt(stream, component, tensorId, key, value, index, out) {
    const words = new Uint32Array(4);
    for (let i = 0; i < index.length; i++) out[i] = signAt(key, stream, component, tensorId, index[i]!, words) * value;
  },

  roundingWords: (tensorId, records) => Uint32Array.from(records, ({ key }) => roundingWord(key, tensorId)),

  apply(q, tensor, kind, rank, terms) {
    checkTensor(q.length, tensor, rank);
    for (const { key, c } of terms) {
      const z = direction(tensor, kind, rank, key);
      for (let i = 0; i < q.length; i++) q[i]! += Math.imul(c, z[i]!);
    }
  },

  checksum(q, key, offset) {
    let low = 0;
    let high = 0;
    let peak = 0;
    for (let i = 0; i < q.length; i++) {
      const m = mixLow(Math.imul(offset + i, 0x9e3779b1) + key);
      low = (low + Math.imul(q[i]!, m | 1)) >>> 0; // odd: one wrong element always shows
      high = (high + Math.imul(q[i]!, mixHigh(m) | 1)) >>> 0;
      peak = Math.max(peak, Math.abs(q[i]!));
    }
    return { low, high, peak };
  },

  peak: (q) => q.reduce((most, x) => Math.max(most, Math.abs(x)), 0),
});

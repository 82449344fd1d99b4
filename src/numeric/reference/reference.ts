/**
 * The kernels in plain TypeScript: the definition that others must equal bit for bit. Written to be read; it makes a
 * whole direction before it uses it.
 *
 * @module
 */
import { mixHigh, mixLow } from '../checksum.ts';
import { powerOfTwo } from '../fixed.ts';
import type { Kernels } from '../kernels.ts';
import { checkPart, checkTensor, roundingWord } from '../noise.ts';
import { direction, rademacher, signAt } from './direction.ts';

export const referenceKernels = (): Kernels => ({
  name: 'reference',
  f32: (length) => new Float32Array(length),
  i32: (length) => new Int32Array(length),

  materialise(q, exponent, out) {
    const scale = powerOfTwo(exponent);
    for (let i = 0; i < q.length; i++) out[i] = Math.fround(q[i]!) * scale;
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

  factor(stream, component, tensorId, key, value, out) {
    const signs = rademacher(key, stream, component, tensorId, out.length);
    for (let i = 0; i < out.length; i++) out[i] = signs[i]! * value;
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

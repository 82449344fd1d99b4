/** A step of AdamW as a kernel against its definition, which is clipping, AdamW and the addition to integers in turn. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addChange } from '../../src/apply/change.ts';
import { wasmBytes, wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { adamw, correction } from '../../src/optimizer/adamw.ts';
import { scale } from '../../src/optimizer/clip.ts';
import { integers } from './arbitrary.ts';

/** More than two parts that the kernel takes at a time. */
const ROOM = 40_000;
/** Elements beside the array that must stay. */
const GUARD = 8;

const kernels = await wasmKernels({ bytes: wasmBytes([ROOM + 2 * GUARD]) });
const slab = kernels.i32(ROOM + 2 * GUARD);

const unit = (lowest: number, highest: number) => fc.double({ min: lowest, max: highest, noNaN: true });
const by = fc.record({
  beta1: unit(0, 0.99),
  beta2: unit(0, 0.999),
  epsilon: fc.constantFrom<number[]>(1e-8, 1e-4),
  factor: fc.oneof(fc.constant(1), unit(1e-3, 1)),
  decay: fc.oneof(fc.constant(0), unit(0, 0.1)),
  rate: unit(0, 1e-2),
  power: unit(0, 0.99),
});

/** Floats of both signs and many sizes, from a generator that is the same every time. */
function floats(n: number, seed: number, spread: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 2 ** -((state >>> 8) % spread);
  });
}

const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);

/** Both ways of a step from the same arrays; what they leave. */
function both(
  q: Int32Array,
  exponent: number,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  step: typeof by extends fc.Arbitrary<infer Step> ? Step : never,
) {
  const { rate, power, factor, decay, ...adam } = step;
  const powers = { beta1: power, beta2: power };
  const [plainQ, plainM, plainV, plainG] = [q.slice(), m.slice(), v.slice(), g.slice()];
  scale(plainG, factor);
  adamw(plainG, plainM, plainV, adam, powers, rate);
  const plainPeak = addChange(plainQ, exponent, plainG, decay);
  slab.fill(0x5a5a5a5a);
  const own = slab.subarray(GUARD, GUARD + q.length);
  own.set(q);
  const [ownM, ownV] = [m.slice(), v.slice()];
  const peak = kernels.adamw!(own, exponent, g, ownM, ownV, { ...adam, ...correction(powers, rate), factor, decay });
  const isIntact = slab.every((x, i) => x === 0x5a5a5a5a || (i >= GUARD && i < GUARD + q.length));
  return {
    kernel: { peak, q: own.slice(), m: bits(ownM), v: bits(ownV), isIntact },
    plain: { peak: plainPeak, q: plainQ, m: bits(plainM), v: bits(plainV), isIntact: true },
  };
}

test('the kernel equals the definition bit for bit, and writes nothing else', () => {
  const length = fc.oneof({ weight: 9, arbitrary: fc.nat(70) }, fc.integer({ min: 16_380, max: ROOM }));
  const exponent = fc.integer({ min: -27, max: -10 });
  fc.assert(
    fc.property(length, fc.nat(), exponent, by, (n, seed, e, step) => {
      const q = integers(n, seed).map((x) => x >> 3);
      const squares = floats(n, seed + 2, 40).map(Math.abs);
      const { kernel, plain } = both(q, e, floats(n, seed, 30), floats(n, seed + 1, 30), squares, step);
      expect(kernel).toEqual(plain);
    }),
  );
});

test('what is no number shows in the peak, and so does what leaves the range', () => {
  const step = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, factor: 1, decay: 0, rate: 1e-3, power: 0.5 };
  for (const broken of [Number.NaN, Number.POSITIVE_INFINITY])
    for (const at of [0, 3, 4]) {
      const g = new Float32Array(5).fill(1);
      g[at] = broken;
      const { kernel } = both(new Int32Array(5), -27, g, new Float32Array(5), new Float32Array(5), step);
      expect(kernel.peak).toBeNaN();
    }
  const far = both(new Int32Array(3), -27, Float32Array.of(1, -1, 0), new Float32Array(3), new Float32Array(3), {
    ...step,
    rate: 100,
  });
  expect(far.kernel.peak).toBe(far.plain.peak);
  expect(far.kernel.peak).toBeGreaterThan(2 ** 30);
});

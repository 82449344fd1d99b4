/** Tensors end to end as one vector. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addFlat, differenceOf, flatOf, readFlat, writeFlat } from '../../src/apply/flat.ts';
import { size } from '../../src/graph/shape.ts';
import type { Weights } from '../../src/model/weights.ts';
import { MAX_Q } from '../../src/numeric/fixed.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { integersOf, weightsIn } from '../model/shelf.ts';
import { integers } from '../numeric/arbitrary.ts';

const SHAPES: readonly (readonly number[])[] = [[7], [12, 5], [1, 9], [3]];

/** Tensors of exponents -27, -26, -25, -24, with weights all over their range. */
const weightsOf = (): Promise<Weights> =>
  weightsIn(
    referenceKernels(),
    { tensors: SHAPES.map((shape, id) => ({ name: `tensor${id}`, shape, id })), blocks: [] },
    (name) => {
      const id = Number(name.at(-1));
      return Float32Array.from(integers(size(SHAPES[id]!), 5 + id), (x) => (x >> 3) * 2 ** (id - 27));
    },
  );

test('spans follow each other in the order that is asked for, and only matrices decay', async () => {
  const { tensors } = await weightsOf();
  const { spans, length } = flatOf([tensors[1]!, tensors[3]!, tensors[0]!]);
  expect(length).toBe(70);
  expect(spans).toEqual([
    { name: 'tensor1', at: 0, count: 60, exponent: tensors[1]!.exponent, decayed: true },
    { name: 'tensor3', at: 60, count: 3, exponent: tensors[3]!.exponent, decayed: false },
    { name: 'tensor0', at: 63, count: 7, exponent: tensors[0]!.exponent, decayed: false },
  ]);
  expect(flatOf([])).toEqual({ spans: [], length: 0 });
});

test('what is read are all weights in order, and a copy', async () => {
  const weights = await weightsOf();
  const flat = flatOf(weights.tensors);
  const before = (await integersOf(weights)).flatMap((q) => [...q]);
  const all = await readFlat(weights, flat);
  expect([...all]).toEqual(before);
  all.fill(0);
  expect((await integersOf(weights)).flatMap((q) => [...q])).toEqual(before);
});

test('what is written is read again, and tensors that are not in it stay', async () => {
  const weights = await weightsOf();
  const flat = flatOf([weights.tensors[2]!, weights.tensors[1]!]);
  const others = await integersOf(weights);
  const written = integers(flat.length, 99).map((x) => x >> 4);
  await writeFlat(weights, flat, written);
  expect(await readFlat(weights, flat)).toEqual(written);
  const now = await integersOf(weights);
  expect(now[2]).toEqual(written.slice(0, 9));
  expect(now[1]).toEqual(written.slice(9));
  expect([now[0], now[3]]).toEqual([others[0], others[3]]);
});

/** A vector of two tensors with exponents that differ. */
const FLAT = flatOf([
  { name: 'fine', shape: [2, 2], id: 0, exponent: -20 },
  { name: 'coarse', shape: [3], id: 1, exponent: -4 },
]);
const UNITS = [-20, -20, -20, -20, -4, -4, -4].map((exponent) => 2 ** exponent);
const q = fc.array(fc.integer({ min: -(2 ** 20), max: 2 ** 20 }), { minLength: 7, maxLength: 7 });

test('a difference is in units of weights, and adding it leads from one to the other exactly', () => {
  fc.assert(
    fc.property(q, q, (a, b) => {
      const difference = differenceOf(FLAT, Int32Array.from(a), Int32Array.from(b));
      expect([...difference]).toEqual(a.map((x, i) => (x - b[i]!) * UNITS[i]!));
      const all = Int32Array.from(b);
      addFlat(FLAT, all, difference);
      expect([...all]).toEqual(a);
    }),
  );
});

test('a change is rounded once, to the nearest step of each tensor', () => {
  const steps = fc.array(fc.double({ min: -1000, max: 1000, noNaN: true }), { minLength: 7, maxLength: 7 });
  fc.assert(
    fc.property(q, steps, (before, by) => {
      const change = Float32Array.from(by, (x, i) => x * UNITS[i]!);
      const all = Int32Array.from(before);
      addFlat(FLAT, all, change);
      for (const [i, x] of all.entries())
        expect(Math.abs(x - before[i]! - change[i]! / UNITS[i]!)).toBeLessThanOrEqual(0.5);
    }),
  );
});

test('a weight that leaves its range is refused by the name of its tensor', () => {
  const named = (name: string) =>
    expect.objectContaining({ code: 'RANGE', detail: expect.stringContaining(`"${name}"`) });
  const all = new Int32Array(7);
  all[5] = MAX_Q;
  expect(() => addFlat(FLAT, all.slice(), new Float32Array(7))).not.toThrow();
  const change = new Float32Array(7);
  change[5] = 2 ** -4;
  expect(() => addFlat(FLAT, all.slice(), change)).toThrow(named('coarse'));
  change[5] = 0;
  change[1] = -2000;
  expect(() => addFlat(FLAT, all.slice(), change)).toThrow(named('fine'));
});

/** Weights as bytes (docs/NUMBERS.md 1). */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmBytes, wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { integers, u32 } from './arbitrary.ts';

const ROOM = 16_384;
/** Elements between arrays: a write past an end, or before a start, shows. */
const GUARD = 64;
const MARK = 0x5a;

const reference = referenceKernels();
let wasm: Kernels;
let q: Int32Array;
let bytes: Int8Array;
let scales: Float32Array;
beforeAll(async () => {
  wasm = await wasmKernels({ bytes: wasmBytes([ROOM, ROOM]) + wasmBytes([ROOM], 1) });
  q = wasm.i32(ROOM);
  bytes = wasm.i8(ROOM);
  scales = wasm.f32(ROOM);
});

const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);
const reduce = (seed: number, n: number, shift: number): Int32Array => integers(n, seed).map((x) => x >> shift);

/** rows x columns, both sides of the tiles of 16 and the strips of 64. */
const shape = fc
  .tuple(fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 150 }))
  .filter(([rows, columns]) => rows * columns <= ROOM - 2 * GUARD);
const exponent = fc.integer({ min: -27, max: 90 });

describe('wasm equals the reference bit for bit, and writes nothing else', () => {
  test('any shape, any integers', () => {
    fc.assert(
      fc.property(shape, u32, fc.nat(31), exponent, fc.nat(7), ([rows, columns], seed, shift, e, offset) => {
        const n = rows * columns;
        const at = GUARD + offset;
        const weights = reduce(seed, n, shift);
        const expected = { out: new Int8Array(n), scale: new Float32Array(rows) };
        reference.quantiseRows(weights, columns, e, expected.out, expected.scale);
        q.fill(MARK);
        bytes.fill(MARK);
        scales.fill(MARK);
        q.set(weights, at);
        const [out, scale] = [bytes.subarray(at, at + n), scales.subarray(at, at + rows)];
        wasm.quantiseRows(q.subarray(at, at + n), columns, e, out, scale);
        expect(out).toEqual(expected.out);
        expect(bits(scale)).toEqual(bits(expected.scale));
        const intact = (array: Int8Array | Float32Array | Int32Array, length: number) =>
          array.every((x, i) => (i >= at && i < at + length) || x === MARK);
        expect([intact(bytes, n), intact(scales, rows), intact(q, n)]).toEqual([true, true, true]);
        expect(q.subarray(at, at + n)).toEqual(weights);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ['the smallest integer', [-(2 ** 31), 2 ** 30, 5, 0]],
    ['ties', [64, 63, -1, 0]],
    ['odd halves', [128, 1, 3, -5]],
    ['zeros', [0, 0, 0, 0]],
    ['a peak that does not divide', [100_000_007, -3, 781_251, 50_000_003]],
  ])('%s, at every place of a tile', (_, row) => {
    const [rows, columns] = [18, 20];
    const weights = Int32Array.from({ length: rows * columns }, (_, i) => row[(i + Math.floor(i / columns)) % 4]!);
    const expected = { out: new Int8Array(weights.length), scale: new Float32Array(rows) };
    reference.quantiseRows(weights, columns, -27, expected.out, expected.scale);
    const from = q.subarray(0, weights.length);
    from.set(weights);
    const [out, scale] = [bytes.subarray(0, weights.length), scales.subarray(0, rows)];
    wasm.quantiseRows(from, columns, -27, out, scale);
    expect(out).toEqual(expected.out);
    expect(scale).toEqual(expected.scale);
  });
});

describe('the definition', () => {
  test('by hand: transposed, ties to even, a scale a row', () => {
    const [out, scale] = [new Int8Array(8), new Float32Array(2)];
    reference.quantiseRows(Int32Array.of(128, 1, 3, -5, 0, 0, 0, 0), 4, -1, out, scale);
    expect([...out]).toEqual([64, 0, 0, 0, 2, 0, -2, 0]); // 64, 0.5, 1.5, -2.5 beside zeros
    expect([...scale]).toEqual([1, 0]); // 128 · 2^-1 = 64 · 1
  });

  test('the largest of a row is 64, and no weight is off by more than half a step and rounding', () => {
    fc.assert(
      fc.property(shape, u32, fc.nat(20), ([rows, columns], seed, shift) => {
        const weights = reduce(seed, rows * columns, shift);
        const [out, scale] = [new Int8Array(weights.length), new Float32Array(rows)];
        reference.quantiseRows(weights, columns, 0, out, scale);
        for (let r = 0; r < rows; r++) {
          let peak = 0;
          for (let j = 0; j < columns; j++) {
            const b = out[j * rows + r]!;
            peak = Math.max(peak, Math.abs(b));
            expect(Math.abs(weights[r * columns + j]! - b * scale[r]!)).toBeLessThanOrEqual(0.50001 * scale[r]!);
          }
          expect(peak).toBe(scale[r] === 0 ? 0 : 64);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('refuses what is not whole rows, and arrays that do not fit', () => {
    const [out, scale] = [new Int8Array(6), new Float32Array(2)];
    expect(() => reference.quantiseRows(new Int32Array(6), 4, 0, out, scale)).toThrow('"columns"');
    expect(() => wasm.quantiseRows(q.subarray(0, 6), 4, 0, bytes.subarray(0, 6), scales.subarray(0, 2))).toThrow(
      '"columns"',
    );
    expect(() => wasm.quantiseRows(q.subarray(0, 6), 3, 0, bytes.subarray(0, 5), scales.subarray(0, 2))).toThrow(
      '"out"',
    );
    expect(() => wasm.quantiseRows(q.subarray(0, 6), 3, 0, out, scales.subarray(0, 2))).toThrow(TypeError);
  });
});

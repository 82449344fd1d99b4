/** Products of bytes on ONNX Runtime: the same integers as the oracle's, and never a number for what is none. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import type { Graph } from '../../src/nouns.ts';
import { uniform } from '../suites/arrays.ts';
import { evaluate, single } from '../suites/engine.ts';

const engine = nodeEngine({ threads: 2 });

/** f32 (n,i) times bytes (i,o): all three ops, each an output. */
function product(n: number, i: number, o: number): Graph {
  const g = new GraphBuilder('product');
  const x = g.input('x', [n, i]);
  const scale = g.rowScale(x);
  const q = g.quantise(x, scale);
  g.output('scale', scale);
  g.output('q', q);
  g.output('y', g.linear8(q, scale, g.input('w', [i, o], 'i8'), g.input('c', [o])));
  return g.build();
}

const weights = (seed: number, n: number): Int8Array => Int8Array.from(uniform(seed, n), (x) => Math.round(64 * x));

test('scales and bytes have the bits of the oracle, whatever the size of a row and of its numbers', async () => {
  const dim = fc.integer({ min: 1, max: 150 });
  await fc.assert(
    fc.asyncProperty(dim, dim, fc.integer({ min: -110, max: 90 }), fc.nat(), async (n, i, exponent, seed) => {
      const graph = product(n, i, 3);
      const x = uniform(seed, n * i).map((v) => v * 2 ** exponent);
      const feeds = { x, w: weights(seed, 3 * i), c: Float32Array.of(1, 2, 3) };
      const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, graph, feeds)));
      expect(got!.scale).toEqual(expected!.scale);
      expect(got!.q).toEqual(expected!.q);
    }),
    { numRuns: 40 },
  );
});

describe.each([
  [1, 64],
  [3, 768],
  [70, 768],
  [70, 3072],
])('%i rows of %i', (n, i) => {
  const o = 40;
  const linear8 = single({ op: 'linear8' }, [
    { shape: [n, i], dtype: 'u8' },
    { shape: [n] },
    { shape: [i, o], dtype: 'i8' },
    { shape: [o] },
  ]);
  const units = { b: new Float32Array(n).fill(1), d: new Float32Array(o).fill(1) };

  // Below 2^24 a float holds the integer itself. Neighbouring products of 255 · 64 are what saturates on AVX2.
  test.each([
    [255, 64],
    [255, -64],
    [0, 64],
    [0, -64],
  ])('sums of nothing but %i times %i are exact', async (byte, weight) => {
    const feeds = { a: new Uint8Array(n * i).fill(byte), c: new Int8Array(i * o).fill(weight), ...units };
    const { y } = await evaluate(engine, linear8, feeds);
    const sum = i * (byte - 128) * weight;
    expect(
      [...y!].every((v) => v === Math.fround(sum)),
      `${y![0]}, not ${sum}`,
    ).toBe(true);
  });

  test('sums of random bytes are exact', async () => {
    const a = Uint8Array.from(uniform(n, n * i), (v) => 127.99 * (v + 1));
    const feeds = { a, c: weights(i, i * o), ...units };
    const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, linear8, feeds)));
    expect(got!.y).toEqual(expected!.y);
  });

  test('a row with a NaN or an infinity anywhere gives NaN, and only that row', async () => {
    const graph = product(n, i, o);
    const feeds = { w: weights(2, i * o), c: new Float32Array(o).fill(1) };
    for (const at of [0, 1, 7, 33, i - 1])
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const x = uniform(at, n * i);
        x[i * (n - 1) + at] = bad;
        for (const e of [engine, interpreter].slice(0, n > 3 ? 1 : 2)) {
          const { y } = await evaluate(e, graph, { ...feeds, x });
          const finite = [...y!].map(Number.isFinite);
          expect(finite.indexOf(false), `${bad} at ${at}, ${e.name}`).toBe(o * (n - 1));
          expect([...y!.subarray(o * (n - 1))].every(Number.isNaN), `${bad} at ${at}, ${e.name}`).toBe(true);
        }
      }
  });

  test('a row of zeros gives zeros', async () => {
    const feeds = { x: new Float32Array(n * i), w: weights(2, i * o), c: new Float32Array(o).fill(1) };
    const { y } = await evaluate(engine, product(n, i, o), feeds);
    expect([...y!].every((v) => v === 0)).toBe(true);
  });
});

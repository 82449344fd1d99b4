/**
 * Acceptance suite of the `Engine` port: what every implementation must hold. `cases` are computed by hand.
 *
 * @module
 */
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { size } from '../../src/graph/shape.ts';
import type { Dtype, Graph, Op, Shape } from '../../src/nouns.ts';
import type { Engine, TypedArray } from '../../src/ports.ts';

const ARRAY = { f32: Float32Array, i32: Int32Array, i8: Int8Array, u8: Uint8Array } as const;

const dtypeOf = (data: TypedArray): Dtype =>
  (Object.keys(ARRAY) as Dtype[]).find((dtype) => data instanceof ARRAY[dtype])!;

/** Compiles, runs and releases. @returns fresh outputs by name. */
export async function evaluate(
  engine: Engine,
  graph: Graph,
  feeds: Readonly<Record<string, TypedArray>>,
): Promise<Record<string, TypedArray>> {
  const outputs = Object.fromEntries(
    graph.outputs.map(({ name, dtype, shape }) => [name, new ARRAY[dtype](size(shape))]),
  );
  const program = await engine.compile(graph);
  await program.run(feeds, outputs);
  await program.release();
  return outputs;
}

/** A program of one node whose inputs are called a, b, c …, and its output y. */
export function single(op: Op, inputs: readonly { shape: Shape; dtype?: Dtype }[]): Graph {
  const g = new GraphBuilder(op.op);
  const values = inputs.map(({ shape, dtype }, i) => g.input('abcdef'[i]!, shape, dtype));
  g.output('y', g.node(op, values));
  return g.build();
}

interface Case {
  readonly op: Op;
  readonly inputs: readonly { readonly shape: Shape; readonly data: TypedArray }[];
  readonly y: readonly number[];
}
const f = (shape: Shape, ...data: number[]) => ({ shape, data: Float32Array.from(data) });
const i = (...data: number[]) => ({ shape: [data.length], data: Int32Array.from(data) });
const u8 = (shape: Shape, ...data: number[]) => ({ shape, data: Uint8Array.from(data) });
const i8 = (shape: Shape, ...data: number[]) => ({ shape, data: Int8Array.from(data) });

const { LN2 } = Math;

export const cases: readonly Case[] = [
  { op: { op: 'linear' }, inputs: [f([2, 2], 1, 2, 3, 4), f([3, 2], 1, 0, 0, 1, 5, -1)], y: [1, 2, 3, 3, 4, 11] },
  { op: { op: 'rowScale' }, inputs: [f([3, 3], 1, -254, 3, 63.5, 0, -2, 0, 0, 0)], y: [2, 0.5, 2 ** -100 / 127] },
  {
    op: { op: 'quantise' },
    inputs: [f([2, 6], 127, -127, 0, 0.5, 1.5, -1.5, 254, 1, 3, -3, -5, 5), f([2], 1, 2)],
    y: [255, 1, 128, 128, 130, 126, 255, 128, 130, 126, 126, 130],
  },
  // a scale that is too small: the ends of the range
  { op: { op: 'quantise' }, inputs: [f([1, 2], 300, -300), f([1], 1)], y: [255, 0] },
  // (2, -3) and (0, 127) times ((1, 64, -1), (0, 2, 3))
  {
    op: { op: 'linear8' },
    inputs: [u8([2, 2], 130, 125, 128, 255), f([2], 0.5, 2), i8([2, 3], 1, 64, -1, 0, 2, 3), f([3], 1, 0.25, 4)],
    y: [1, 15.25, -22, 0, 127, 3048],
  },
  { op: { op: 'matmul' }, inputs: [f([2, 2], 1, 2, 3, 4), f([2, 3], 1, 0, 5, 0, 1, -1)], y: [1, 2, 3, 3, 4, 11] },
  // a direction for every sequence: (S,T,in) x (S,in,1)
  {
    op: { op: 'matmul' },
    inputs: [f([2, 2, 2], 1, 2, 3, 4, 5, 6, 7, 8), f([2, 2, 1], 1, 1, 1, -1)],
    y: [3, 7, -1, -1],
  },
  // leading axes broadcast both ways: (2,1,1,2) x (3,2,1)
  {
    op: { op: 'matmul' },
    inputs: [f([2, 1, 1, 2], 1, 2, 3, 4), f([3, 2, 1], 1, 0, 0, 1, 1, 1)],
    y: [1, 2, 3, 3, 4, 7],
  },
  { op: { op: 'add' }, inputs: [f([2, 1], 1, 2), f([3], 10, 20, 30)], y: [11, 21, 31, 12, 22, 32] },
  { op: { op: 'sub' }, inputs: [f([3], 10, 20, 30), f([2, 1], 1, 2)], y: [9, 19, 29, 8, 18, 28] },
  { op: { op: 'mul' }, inputs: [f([2, 2], 1, 2, 3, 4), f([], -2)], y: [-2, -4, -6, -8] },
  { op: { op: 'sigmoid' }, inputs: [f([4], 0, LN2, -LN2, -100)], y: [0.5, 2 / 3, 1 / 3, 3.72e-44] },
  { op: { op: 'relu' }, inputs: [f([3], -1, 0, 2)], y: [0, 0, 2] },
  { op: { op: 'tanh' }, inputs: [f([4], 0, LN2, -LN2, 100)], y: [0, 0.6, -0.6, 1] },
  { op: { op: 'erf' }, inputs: [f([4], 0, 1, -1, 100)], y: [0, 0.8427007929, -0.8427007929, 1] },
  { op: { op: 'exp' }, inputs: [f([3], 0, LN2, -200)], y: [1, 2, 0] },
  { op: { op: 'step' }, inputs: [f([4], -1, 0, 1e-30, 2)], y: [0, 0, 1, 1] },
  { op: { op: 'rsqrt' }, inputs: [f([2], 4, 0.0625)], y: [0.5, 4] },
  {
    op: { op: 'softmax' },
    inputs: [f([3, 2], 0, LN2, 1000, 1000, -1e9, 0)],
    y: [1 / 3, 2 / 3, 0.5, 0.5, 0, 1],
  },
  { op: { op: 'logSoftmax' }, inputs: [f([2, 2], 0, 0, 500, 500)], y: [-LN2, -LN2, -LN2, -LN2] },
  { op: { op: 'rmsNorm', epsilon: 0 }, inputs: [f([2, 2], 1, 7, -3, 3)], y: [0.2, 1.4, -1, 1] },
  { op: { op: 'rmsNorm', epsilon: 3 }, inputs: [f([1, 2], 1, 1)], y: [0.5, 0.5] },
  { op: { op: 'layerNorm', epsilon: 0 }, inputs: [f([2, 2], 1, 7, 5, 1)], y: [-1, 1, 1, -1] },
  { op: { op: 'layerNorm', epsilon: 3 }, inputs: [f([1, 2], 4, 6)], y: [-0.5, 0.5] },
  { op: { op: 'sum', axes: [1] }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6)], y: [6, 15] },
  { op: { op: 'sum', axes: [2, 0] }, inputs: [f([2, 2, 2], 1, 2, 3, 4, 5, 6, 7, 8)], y: [14, 22] },
  { op: { op: 'reshape', shape: [3, 2] }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6)], y: [1, 2, 3, 4, 5, 6] },
  { op: { op: 'transpose', perm: [1, 0] }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6)], y: [1, 4, 2, 5, 3, 6] },
  {
    op: { op: 'transpose', perm: [1, 2, 0] },
    inputs: [f([2, 1, 3], 1, 2, 3, 4, 5, 6)],
    y: [1, 4, 2, 5, 3, 6],
  },
  { op: { op: 'concat', axis: 1 }, inputs: [f([2, 1], 1, 2), f([2, 2], 3, 4, 5, 6)], y: [1, 3, 4, 2, 5, 6] },
  { op: { op: 'concat', axis: 0 }, inputs: [i(1, 2), i(3), i(4)], y: [1, 2, 3, 4] },
  { op: { op: 'slice', axis: 1, start: 1, end: 3 }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6)], y: [2, 3, 5, 6] },
  { op: { op: 'slice', axis: 0, start: 1, end: 2 }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6)], y: [4, 5, 6] },
  { op: { op: 'gather' }, inputs: [f([3, 2], 1, 2, 3, 4, 5, 6), i(2, 0, 2)], y: [5, 6, 1, 2, 5, 6] },
  { op: { op: 'gather' }, inputs: [f([3], 1, 2, 3), i(1)], y: [2] },
  { op: { op: 'pick' }, inputs: [f([2, 3], 1, 2, 3, 4, 5, 6), i(2, 0)], y: [3, 4] },
  { op: { op: 'oneHot', depth: 3 }, inputs: [i(2, 0)], y: [0, 0, 1, 1, 0, 0] },
];

const letters = <T>(values: readonly T[]): Record<string, T> =>
  Object.fromEntries(values.map((v, k) => ['abcdef'[k]!, v]));

/** y = (a + b)·2, with a f32(2,2) and b i32-gathered rows: enough to feed wrongly. */
function sample(): Graph {
  const g = new GraphBuilder('sample');
  const x = g.input('x', [2, 2]);
  const rows = g.gather(g.input('table', [3, 2]), g.input('index', [2], 'i32'));
  g.output('y', g.mul(g.add(x, rows), g.scalar(2)));
  return g.build();
}

const sampleFeeds = () => ({
  x: Float32Array.of(1, 2, 3, 4),
  table: Float32Array.of(0, 0, 10, 10, 20, 20),
  index: Int32Array.of(2, 1),
});

export function engineSuite(engine: Engine): void {
  describe(`engine: ${engine.name}`, () => {
    test.each(cases.map((c) => [JSON.stringify(c.op), c] as const))('%s as computed by hand', async (_, c) => {
      const graph = single(
        c.op,
        c.inputs.map(({ shape, data }) => ({ shape, dtype: dtypeOf(data) })),
      );
      const { y } = await evaluate(engine, graph, letters(c.inputs.map((x) => x.data)));
      expect(y!.length).toBe(c.y.length);
      // Two units in the last place of f32: the hand-made numbers are exact or rounded once, so are the engines'.
      c.y.forEach((expected, k) => {
        expect(Math.abs(y![k]! - expected), `element ${k}`).toBeLessThanOrEqual(2.4e-7 * Math.abs(expected) + 1e-38);
      });
    });

    test('reads feeds and writes outputs in place, run after run', async () => {
      const program = await engine.compile(sample());
      const memory = new WebAssembly.Memory({ initial: 1 });
      const feeds = { ...sampleFeeds(), x: new Float32Array(memory.buffer, 64, 4) };
      const y = new Float32Array(memory.buffer, 256, 4);
      feeds.x.set([1, 2, 3, 4]);
      await program.run(feeds, { y });
      expect([...y]).toEqual([42, 44, 26, 28]);
      feeds.x.fill(0);
      await program.run(feeds, { y });
      expect([...y]).toEqual([40, 40, 20, 20]);
      await program.release();
    });

    test('an input may be an output, a value several outputs', async () => {
      const g = new GraphBuilder();
      const x = g.input('x', [2]);
      const doubled = g.add(x, x);
      g.output('same', x);
      g.output('p', doubled);
      g.output('q', doubled);
      expect(await evaluate(engine, g.build(), { x: Float32Array.of(1, 2) })).toEqual({
        same: Float32Array.of(1, 2),
        p: Float32Array.of(2, 4),
        q: Float32Array.of(2, 4),
      });
    });

    test('refuses arrays that do not belong to the program, by name', async () => {
      const program = await engine.compile(sample());
      const good = sampleFeeds();
      const y = new Float32Array(4);
      const { index: _, ...without } = good;
      const shared = new Float32Array(new SharedArrayBuffer(16));
      const refusals: [Record<string, TypedArray>, Record<string, TypedArray>, RegExp][] = [
        [without, { y }, /RangeError: feed "index" of program "sample" is missing/],
        [{ ...good, x: new Float32Array(5) }, { y }, /RangeError: feed "x" .* expected 4 elements \(2,2\), got 5/],
        [{ ...good, x: new Int32Array(4) }, { y }, /TypeError: feed "x" .* expected Float32Array, got Int32Array/],
        [{ ...good, index: Float32Array.of(2, 1) }, { y }, /TypeError: feed "index" .* expected Int32Array/],
        [{ ...good, x: shared }, { y }, /TypeError: feed "x" .* must not lie in shared memory/],
        [{ ...good, z: y }, { y }, /RangeError: program "sample" has no feed "z"/],
        [good, {}, /RangeError: output "y" of program "sample" is missing/],
        [good, { y: new Float32Array(3) }, /RangeError: output "y" .* expected 4 elements \(2,2\), got 3/],
        [good, { y, z: y }, /RangeError: program "sample" has no output "z"/],
      ];
      for (const [feeds, outputs, message] of refusals) {
        const refusal = await program.run(feeds, outputs).then(String, String);
        expect(refusal).toMatch(message);
      }
      await program.release();
    });

    test('fails with ENGINE_FAILED, naming the program: an index out of range, a run after release', async () => {
      const program = await engine.compile(sample());
      const y = new Float32Array(4);
      const run = (index: Int32Array) => program.run({ ...sampleFeeds(), index }, { y });
      await expect(run(Int32Array.of(0, 3))).rejects.toMatchObject({
        code: 'ENGINE_FAILED',
        message: expect.stringContaining('"sample"'),
      });
      await run(Int32Array.of(0, 1));
      await program.release();
      await expect(run(Int32Array.of(0, 1))).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
    });
  });
}

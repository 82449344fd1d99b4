import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { size } from '../../src/graph/shape.ts';
import type { Dtype, Graph, Op, Shape, Value } from '../../src/nouns.ts';
import { expectClose, indices, uniform } from '../suites/arrays.ts';
import { evaluate, single } from '../suites/engine.ts';

const engine = nodeEngine({ threads: 2 });

const DRAW = {
  f32: (seed: number, n: number) => uniform(seed, n).map((x) => 2 * x),
  i32: indices,
  u8: (seed: number, n: number) => Uint8Array.from(indices(seed, n, 256)),
  i8: (seed: number, n: number) => Int8Array.from(uniform(seed, n), (x) => 65 * x),
};

/** Feeds in [-2, 2); indices below `limit`; bytes and, as weights, bytes up to 64. */
const feed = (graph: Graph, seed: number, limit: number) =>
  Object.fromEntries(
    graph.inputs.map(({ name, dtype, shape }, i) => [name, DRAW[dtype](seed + i, size(shape), limit)]),
  );

const dim = fc.integer({ min: 1, max: 19 });
const shape = (minLength: number, maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 7 }), { minLength, maxLength });
/** Replaces some axes by 1, and drops some of the first ones. */
const thinned = (of: Shape) =>
  fc
    .tuple(fc.array(fc.boolean(), { minLength: of.length, maxLength: of.length }), fc.nat(of.length))
    .map(([keep, drop]) => of.map((n, i) => (keep[i] ? n : 1)).slice(drop));

interface Instance {
  readonly op: Op;
  readonly inputs: readonly { readonly shape: Shape; readonly dtype?: Dtype }[];
  /** Indices stay below it. */
  readonly limit?: number;
  /** Where results are large. */
  readonly tolerance?: number;
}

const unary = (op: Op) => shape(1, 3).map((s): Instance => ({ op, inputs: [{ shape: s }] }));
const binary = (op: Op) =>
  shape(0, 4).chain((s) =>
    fc.tuple(thinned(s), thinned(s)).map(([a, b]): Instance => ({ op, inputs: [{ shape: a }, { shape: b }] })),
  );

/** An op on shapes it accepts. */
const INSTANCES: { readonly [K in Op['op']]: fc.Arbitrary<Instance> } = {
  linear: fc
    .tuple(dim, dim, dim)
    .map(([n, i, o]) => ({ op: { op: 'linear' }, inputs: [{ shape: [n, i] }, { shape: [o, i] }] })),
  rowScale: fc.tuple(dim, dim).map((s) => ({ op: { op: 'rowScale' }, inputs: [{ shape: s }] })),
  quantise: fc
    .tuple(dim, dim)
    .map(([n, i]) => ({ op: { op: 'quantise' }, inputs: [{ shape: [n, i] }, { shape: [n] }] })),
  linear8: fc.tuple(dim, dim, dim).map(([n, i, o]) => ({
    op: { op: 'linear8' },
    inputs: [{ shape: [n, i], dtype: 'u8' }, { shape: [n] }, { shape: [i, o], dtype: 'i8' }, { shape: [o] }],
    tolerance: 0.2, // three roundings of at most 19 · 128 · 65 · 2 · 2; test/engine/int8.test.ts has the integers
  })),
  matmul: fc.tuple(shape(0, 2), dim, dim, dim).chain(([s, n, k, m]) =>
    fc.tuple(thinned(s), thinned(s)).map(([a, b]) => ({
      op: { op: 'matmul' },
      inputs: [{ shape: [...a, n, k] }, { shape: [...b, k, m] }],
    })),
  ),
  add: binary({ op: 'add' }),
  sub: binary({ op: 'sub' }),
  mul: binary({ op: 'mul' }),
  sigmoid: unary({ op: 'sigmoid' }),
  relu: unary({ op: 'relu' }),
  tanh: unary({ op: 'tanh' }),
  erf: unary({ op: 'erf' }),
  softmax: unary({ op: 'softmax' }),
  logSoftmax: unary({ op: 'logSoftmax' }),
  rmsNorm: unary({ op: 'rmsNorm', epsilon: 1e-2 }),
  layerNorm: unary({ op: 'layerNorm', epsilon: 1e-2 }),
  reshape: shape(1, 4).map((s) => ({ op: { op: 'reshape', shape: [...s].reverse() }, inputs: [{ shape: s }] })),
  transpose: shape(1, 4).chain((s) =>
    fc
      .shuffledSubarray([...s.keys()], { minLength: s.length })
      .map((perm) => ({ op: { op: 'transpose', perm }, inputs: [{ shape: s }] })),
  ),
  concat: shape(1, 3).chain((s) =>
    fc.tuple(fc.nat(s.length - 1), fc.array(dim, { minLength: 1, maxLength: 4 })).map(([axis, lengths]) => ({
      op: { op: 'concat', axis },
      inputs: lengths.map((n) => ({ shape: s.with(axis, n) })),
    })),
  ),
  slice: shape(1, 3).chain((s) =>
    fc
      .nat(s.length - 1)
      .chain((axis) => fc.tuple(fc.constant(axis), fc.nat(s[axis]! - 1), fc.nat(s[axis]! - 1)))
      .map(([axis, p, q]) => ({
        op: { op: 'slice', axis, start: Math.min(p, q), end: Math.max(p, q) + 1 },
        inputs: [{ shape: s }],
      })),
  ),
  gather: fc.tuple(shape(1, 3), dim).map(([s, n]) => ({
    op: { op: 'gather' },
    inputs: [{ shape: s }, { shape: [n], dtype: 'i32' }],
    limit: s[0]!,
  })),
  pick: fc.tuple(dim, dim).map(([n, v]) => ({
    op: { op: 'pick' },
    inputs: [{ shape: [n, v] }, { shape: [n], dtype: 'i32' }],
    limit: v,
  })),
};

// Sums of at most 19 products below 4, roundings of 2^-24 each: 1e-5 is generous for one op, and tight enough that a
// transposed axis, a forgotten epsilon or an unshifted softmax cannot hide below it.
test.each(Object.entries(INSTANCES))(
  'ONNX Runtime and the interpreter agree on %s of any shape, within rounding',
  async (_, instance) => {
    await fc.assert(
      fc.asyncProperty(instance, fc.nat(), async ({ op, inputs, limit, tolerance = 1e-5 }, seed) => {
        const graph = single(op, inputs);
        const feeds = feed(graph, seed, limit ?? 1);
        const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, graph, feeds)));
        expectClose(got!.y!, expected!.y!, tolerance, JSON.stringify({ op, inputs }));
      }),
      { numRuns: 25 },
    );
  },
);

/** Steps of a random program on values of shape (n, n): every result can feed every op. */
const STEPS: readonly ((g: GraphBuilder, x: Value, y: Value, rows: Value) => Value)[] = [
  (g, x, y) => g.mul(g.linear(x, y), g.scalar(0.25)),
  (g, x, y) => g.mul(g.matmul(x, y), g.scalar(0.25)),
  (g, x, y) => g.add(x, y),
  (g, x, y) => g.sub(x, y),
  (g, x, y) => g.mul(x, y),
  (g, x) => g.sigmoid(x),
  (g, x) => g.relu(x),
  (g, x) => g.tanh(x),
  (g, x) => g.erf(x),
  (g, x) => g.softmax(x),
  (g, x) => g.logSoftmax(x),
  (g, x) => g.rmsNorm(x, 0.1),
  (g, x) => g.layerNorm(x, 0.1),
  (g, x) => g.transpose(x, [1, 0]),
  (g, x) => g.reshape(g.transpose(g.reshape(x, [...x.shape, 1]), [2, 1, 0]), x.shape),
  (g, x, y) => g.slice(g.concat([x, y], 1), 1, 2, 2 + x.shape[1]!),
  (g, x, _, rows) => g.gather(x, rows),
  (g, x, y, rows) => g.add(y, g.reshape(g.pick(x, rows), [x.shape[0]!, 1])),
];

test('they agree on programs of any ops: every value within 1e-4 of the largest before it', async () => {
  const step = fc.tuple(fc.nat(STEPS.length - 1), fc.nat(), fc.nat());
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 2, max: 9 }),
      fc.array(step, { minLength: 2, maxLength: 12 }),
      fc.nat(),
      async (n, steps, seed) => {
        const g = new GraphBuilder('random');
        const values = [g.input('a', [n, n]), g.input('b', [n, n])];
        const rows = g.input('rows', [n], 'i32');
        for (const [which, i, j] of steps) {
          const y = STEPS[which]!(g, values[i % values.length]!, values[j % values.length]!, rows);
          g.output(`y${values.length - 2}`, y);
          values.push(y);
        }
        const graph = g.build();
        const feeds = feed(graph, seed, n);
        const [got, expected] = await Promise.all([engine, interpreter].map((e) => evaluate(e, graph, feeds)));
        let peak = 1;
        steps.forEach(([which], k) => {
          const oracle = expected![`y${k}`]!;
          peak = Float32Array.from(oracle).reduce((a, b) => Math.max(a, Math.abs(b)), peak);
          expect(Number.isFinite(peak)).toBe(true);
          expectClose(got![`y${k}`]!, oracle, 1e-4 * peak, `y${k} = ${STEPS[which]!}, size ${n}`);
        });
      },
    ),
    { numRuns: 150 },
  );
});

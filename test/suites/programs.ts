/**
 * Programs of all kinds: every op on shapes it accepts, and steps that random programs are made of.
 *
 * @module
 */
import fc from 'fast-check';
import type { GraphBuilder } from '../../src/graph/graph.ts';
import type { Dtype, Op, Shape, Value } from '../../src/nouns.ts';

const dim = fc.integer({ min: 1, max: 19 });
const shape = (minLength: number, maxLength: number) =>
  fc.array(fc.integer({ min: 1, max: 7 }), { minLength, maxLength });
/** Replaces some axes by 1, and drops some of the first ones. */
const thinned = (of: Shape) =>
  fc
    .tuple(fc.array(fc.boolean(), { minLength: of.length, maxLength: of.length }), fc.nat(of.length))
    .map(([keep, drop]) => of.map((n, i) => (keep[i] ? n : 1)).slice(drop));

export interface Instance {
  readonly op: Op;
  readonly inputs: readonly { readonly shape: Shape; readonly dtype?: Dtype }[];
  /** Indices stay below it. */
  readonly limit?: number;
  /** Numbers from 1/2 up. */
  readonly positive?: boolean;
  /** Where results are large. */
  readonly tolerance?: number;
}

const unary = (op: Op) => shape(1, 3).map((s): Instance => ({ op, inputs: [{ shape: s }] }));
const binary = (op: Op) =>
  shape(0, 4).chain((s) =>
    fc.tuple(thinned(s), thinned(s)).map(([a, b]): Instance => ({ op, inputs: [{ shape: a }, { shape: b }] })),
  );

/** An op on shapes it accepts. */
export const INSTANCES: { readonly [K in Op['op']]: fc.Arbitrary<Instance> } = {
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
  exp: unary({ op: 'exp' }),
  step: unary({ op: 'step' }),
  rsqrt: shape(1, 3).map((s): Instance => ({ op: { op: 'rsqrt' }, inputs: [{ shape: s }], positive: true })),
  softmax: unary({ op: 'softmax' }),
  logSoftmax: unary({ op: 'logSoftmax' }),
  rmsNorm: unary({ op: 'rmsNorm', epsilon: 1e-2 }),
  layerNorm: unary({ op: 'layerNorm', epsilon: 1e-2 }),
  sum: shape(1, 4).chain((s) =>
    fc
      .shuffledSubarray([...s.keys()], { minLength: 1 })
      .map((axes) => ({ op: { op: 'sum', axes }, inputs: [{ shape: s }], tolerance: 7 ** 4 * 1e-6 })),
  ),
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
  oneHot: fc.tuple(dim, dim).map(([n, depth]) => ({
    op: { op: 'oneHot', depth },
    inputs: [{ shape: [n], dtype: 'i32' }],
    limit: depth,
  })),
};

/** Steps of a random program on values of shape (n, n): every result can feed every op. */
export const STEPS: readonly ((g: GraphBuilder, x: Value, y: Value, rows: Value) => Value)[] = [
  (g, x, y) => g.mul(g.linear(x, y), g.scalar(0.25)),
  (g, x, y) => g.mul(g.matmul(x, y), g.scalar(0.25)),
  (g, x, y) => g.add(x, y),
  (g, x, y) => g.sub(x, y),
  (g, x, y) => g.mul(x, y),
  (g, x) => g.sigmoid(x),
  (g, x) => g.relu(x),
  (g, x) => g.tanh(x),
  (g, x) => g.erf(x),
  (g, x) => g.exp(g.tanh(x)),
  (g, x) => g.rsqrt(g.exp(g.tanh(x))),
  (g, x, y) => g.add(y, g.mul(g.sum(x, [1]), g.scalar(0.25))),
  (g, x, y, rows) => g.mul(y, g.oneHot(rows, x.shape[1]!)),
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

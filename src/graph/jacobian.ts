/**
 * Derivatives of the ops of one input whose Jacobian J is symmetric, so that J v is both the tangent that `jvp` pushes
 * forward and the cotangent that `vjp` pulls back: functions of single elements (J is diagonal), and those of a row.
 *
 * With y the op's result, sums and means over the last axis:
 *
 *     softmax    J v = y ∘ (v - Σ y ∘ v)
 *     rmsNorm    J v = r ∘ (v - y ∘ mean(y ∘ v)),               r = 1 / sqrt(mean(x²) + epsilon)
 *     layerNorm  J v = r ∘ (v - mean(v) - y ∘ mean(y ∘ v)),     r = 1 / sqrt(variance(x) + epsilon)
 *
 * @module
 */
import type { Op, Value } from '../nouns.ts';
import type { GraphBuilder } from './graph.ts';
import type { OpOf } from './shape.ts';

export type Symmetric = 'sigmoid' | 'relu' | 'tanh' | 'erf' | 'exp' | 'rsqrt' | 'softmax' | 'rmsNorm' | 'layerNorm';

/** J v. `x`: the op's input, `y`: its result. */
type Product<K extends Op['op']> = (g: GraphBuilder, op: OpOf<K>, x: Value, y: Value, v: Value) => Value;

const square = (g: GraphBuilder, x: Value): Value => g.mul(x, x);

/** Over the last axis, which stays with length 1. */
export const rowSum = (g: GraphBuilder, x: Value): Value => g.sum(x, [x.shape.length - 1]);

const rowMean = (g: GraphBuilder, x: Value): Value => g.mul(rowSum(g, x), g.scalar(1 / x.shape.at(-1)!));

/** 1 / sqrt(mean(x²) + epsilon) of every row. */
const inverseNorm = (g: GraphBuilder, x: Value, epsilon: number): Value =>
  g.rsqrt(g.add(rowMean(g, square(g, x)), g.scalar(epsilon)));

const along = (g: GraphBuilder, y: Value, v: Value): Value => g.mul(y, rowMean(g, g.mul(y, v)));

const TABLE: { readonly [K in Symmetric]: Product<K> } = {
  sigmoid: (g, _, __, y, v) => g.mul(v, g.mul(y, g.sub(g.scalar(1), y))),
  relu: (g, _, __, y, v) => g.mul(v, g.step(y)),
  tanh: (g, _, __, y, v) => g.mul(v, g.sub(g.scalar(1), square(g, y))),
  erf: (g, _, x, __, v) => g.mul(v, g.mul(g.exp(g.mul(square(g, x), g.scalar(-1))), g.scalar(2 / Math.sqrt(Math.PI)))),
  exp: (g, _, __, y, v) => g.mul(v, y),
  rsqrt: (g, _, __, y, v) => g.mul(v, g.mul(g.mul(square(g, y), y), g.scalar(-1 / 2))),
  softmax: (g, _, __, y, v) => g.mul(y, g.sub(v, rowSum(g, g.mul(y, v)))),
  rmsNorm: (g, { epsilon }, x, y, v) => g.mul(inverseNorm(g, x, epsilon), g.sub(v, along(g, y, v))),
  layerNorm: (g, { epsilon }, x, y, v) => {
    const centred = g.sub(x, rowMean(g, x));
    return g.mul(inverseNorm(g, centred, epsilon), g.sub(g.sub(v, rowMean(g, v)), along(g, y, v)));
  },
};

/** J v of an op with a symmetric Jacobian. @param v of the shape of x and y */
export function jacobianProduct(g: GraphBuilder, op: OpOf<Symmetric>, x: Value, y: Value, v: Value): Value {
  // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
  return (TABLE[op.op as Symmetric] as Product<never>)(g, op as never, x, y, v);
}

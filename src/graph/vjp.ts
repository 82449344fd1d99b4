/**
 * Reverse-mode differentiation of a program (Griewank and Walther 2008, Evaluating Derivatives, chapter 3): a program
 * that pulls cotangents of the outputs back to cotangents of inputs.
 *
 * Of `vjp` the forward nodes are written again inside, so nothing but a program's inputs has to be kept between its own
 * run and that of its derivative: gradient checkpointing at the borders of programs (Chen et al. 2016, arXiv:1604.06174).
 * `splitVjp` keeps products with weights, nearly all of the arithmetic, and has what is cheap computed again: selective
 * recomputation (Korthikanti et al. 2022, arXiv:2205.05198).
 *
 * @module
 */
import type { Graph, Node, Op, Shape, Value } from '../nouns.ts';
import { GraphBuilder } from './graph.ts';
import { jacobianProduct, rowSum, type Symmetric } from './jacobian.ts';
import { dependents, noDerivative, pruned, replay } from './replay.ts';
import { type OpOf, size } from './shape.ts';

/** The cotangent of a value has its name and this. */
export const BAR = '.bar';

/** A value that is kept from a program's run for its derivative's has its name and this. */
export const KEPT = '.kept';

/**
 * Cotangents of the inputs `x` of a node, from that of its result `y`; undefined for indices, and where the derivative
 * is 0 everywhere.
 */
type Rule<K extends Op['op']> = (
  g: GraphBuilder,
  op: OpOf<K>,
  x: readonly Value[],
  y: Value,
  bar: Value,
) => readonly (Value | undefined)[];

const negated = (g: GraphBuilder, x: Value): Value => g.mul(x, g.scalar(-1));

/** Swaps the last two axes. */
function turned(g: GraphBuilder, x: Value): Value {
  const axes = [...x.shape.keys()];
  const [row = 0, column = 0] = axes.slice(-2);
  return g.transpose(x, [...axes.slice(0, -2), column, row]);
}

/** Sums over the axes along which something of `shape` was repeated to become `x`. */
function summedTo(g: GraphBuilder, x: Value, shape: Shape): Value {
  const missing = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter((axis) => x.shape[axis] !== (axis < missing ? 1 : shape[axis - missing]));
  const sum = axes.length > 0 ? g.sum(x, axes) : x;
  return missing > 0 ? g.reshape(sum, shape) : sum;
}

/** `x` between zeros along an axis, `before` of them and as many after as make it `length` long. */
function padded(g: GraphBuilder, x: Value, axis: number, before: number, length: number): Value {
  const after = length - before - x.shape[axis]!;
  const filling = (n: number) => (n > 0 ? [g.zeros(x.shape.with(axis, n))] : []);
  const parts = [...filling(before), x, ...filling(after)];
  return parts.length > 1 ? g.concat(parts, axis) : x;
}

const symmetric: Rule<Symmetric> = (g, op, [x], y, bar) => [jacobianProduct(g, op, x!, y, bar)];
const flat: Rule<Op['op']> = (_, __, x) => x.map(() => undefined);

const RULES: { readonly [K in Op['op']]: Rule<K> | undefined } = {
  linear: (g, _, [x, w, more], __, bar) => [
    g.matmul(bar, w!),
    g.matmul(turned(g, bar), x!),
    more && summedTo(g, bar, more.shape),
  ],
  rowScale: undefined,
  quantise: undefined,
  linear8: undefined,
  matmul: (g, _, [a, b], __, bar) => [
    summedTo(g, g.matmul(bar, turned(g, b!)), a!.shape),
    summedTo(g, g.matmul(turned(g, a!), bar), b!.shape),
  ],
  add: (g, _, [a, b], __, bar) => [summedTo(g, bar, a!.shape), summedTo(g, bar, b!.shape)],
  sub: (g, _, [a, b], __, bar) => [summedTo(g, bar, a!.shape), negated(g, summedTo(g, bar, b!.shape))],
  mul: (g, _, [a, b], __, bar) => [summedTo(g, g.mul(bar, b!), a!.shape), summedTo(g, g.mul(bar, a!), b!.shape)],
  sigmoid: symmetric,
  relu: symmetric,
  tanh: symmetric,
  erf: symmetric,
  exp: symmetric,
  rsqrt: symmetric,
  step: flat,
  softmax: symmetric,
  logSoftmax: (g, _, [x], __, bar) => [g.sub(bar, g.mul(g.softmax(x!), rowSum(g, bar)))],
  rmsNorm: symmetric,
  layerNorm: symmetric,
  sum: (g, _, [x], __, bar) => [g.add(bar, g.zeros(x!.shape))],
  reshape: (g, _, [x], __, bar) => [g.reshape(bar, x!.shape)],
  transpose: (g, { perm }, _, __, bar) => [
    g.transpose(
      bar,
      perm.map((_, axis) => perm.indexOf(axis)),
    ),
  ],
  concat: (g, { axis }, xs, _, bar) => {
    let start = 0;
    return xs.map(({ shape }) => {
      const end = start + shape[axis]!;
      const own = g.slice(bar, axis, start, end);
      start = end;
      return own;
    });
  },
  slice: (g, { axis, start }, [x], _, bar) => [padded(g, bar, axis, start, x!.shape[axis]!)],
  // Rows that were read several times get the sum of what comes back: a product with the rows' one-hot matrix.
  gather: (g, _, [table, index], __, bar) => {
    const [rows = 0] = table!.shape;
    const [count = 0] = index!.shape;
    const back = g.matmul(turned(g, g.oneHot(index!, rows)), g.reshape(bar, [count, size(bar.shape) / count]));
    return [g.reshape(back, table!.shape), undefined];
  },
  pick: (g, _, [x, index], __, bar) => {
    const [rows = 0, columns = 0] = x!.shape;
    return [g.mul(g.oneHot(index!, columns), g.reshape(bar, [rows, 1])), undefined];
  },
  oneHot: flat,
};

/**
 * The vector-Jacobian product of a program.
 *
 * @param wrt f32 inputs to differentiate with respect to.
 * @returns a program with the inputs of `graph` and a cotangent `<output>.bar` of every f32 output; its outputs are
 * `<input>.bar`, Σ over outputs of (∂output/∂input)ᵀ cotangent, for each name of `wrt`.
 * @throws {RangeError} where `wrt` names no f32 input, or an op on the way has no derivative (the 8-bit ones)
 */
export const vjp = (graph: Graph, wrt: readonly string[]): Graph => derivative(graph, wrt, []);

/** @param kept results of nodes that are inputs here, called `<name>.kept`, and not computed again. */
function derivative(graph: Graph, wrt: readonly string[], kept: readonly Value[]): Graph {
  const g = new GraphBuilder(`${graph.name}, vjp`);
  const values = replay(graph, g, new Map(kept.map(({ name }) => [name, name + KEPT])));
  const active = dependents(graph, wrt);
  const bars = new Map<string, Value>();
  const add = (name: string, bar: Value): void => {
    const sofar = bars.get(name);
    bars.set(name, sofar ? g.add(sofar, bar) : bar);
  };
  for (const { name, dtype, shape } of graph.outputs) if (dtype === 'f32') add(name, g.input(name + BAR, shape));
  for (const { op, inputs, output } of graph.nodes.toReversed()) {
    if (!active.has(output.name)) continue;
    // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
    const rule = RULES[op.op] as Rule<never> | undefined;
    if (!rule) throw noDerivative(op.op, graph);
    const bar = bars.get(output.name);
    if (!bar) continue;
    const x = inputs.map((name) => values.get(name)!);
    const own = rule(g, op as never, x, values.get(output.name)!, bar);
    for (const [i, name] of inputs.entries()) if (own[i] && active.has(name)) add(name, own[i]);
  }
  for (const name of wrt) g.output(name + BAR, bars.get(name) ?? g.zeros(values.get(name)!.shape));
  return pruned(g.build());
}

/** A program and its derivative that share what the first computes. */
export interface SplitVjp {
  /** The program, with an output `<name>.kept` for each value that is kept. */
  readonly forward: Graph;
  /** As `vjp`, with these as inputs. */
  readonly backward: Graph;
}

/** As `vjp`, in two programs: of the first, products with weights are kept for the second as far as it reads them. */
export function splitVjp(graph: Graph, wrt: readonly string[]): SplitVjp {
  const all = keepable(graph);
  const read = new Set(derivative(graph, wrt, all).nodes.flatMap(({ inputs }) => inputs));
  const kept = all.filter(({ name }) => read.has(name + KEPT));
  const copies = kept.map(({ name, dtype, shape }): Node => {
    return { op: { op: 'reshape', shape }, inputs: [name], output: { name: name + KEPT, dtype, shape } };
  });
  return {
    forward: {
      ...graph,
      nodes: [...graph.nodes, ...copies],
      outputs: [...graph.outputs, ...copies.map(({ output }) => output)],
    },
    backward: derivative(graph, wrt, kept),
  };
}

/** What is worth the memory: results of products with weights, and what `relu` makes of them, which is read in their place. */
function keepable({ nodes }: Graph): readonly Value[] {
  const products = nodes.filter(({ op }) => op.op === 'linear').map(({ output }) => output);
  const names = new Set(products.map(({ name }) => name));
  const rectified = nodes.filter(({ op, inputs }) => op.op === 'relu' && names.has(inputs[0]!));
  return [...products, ...rectified.map(({ output }) => output)];
}

/**
 * Forward-mode differentiation of a program (Griewank and Walther 2008, Evaluating Derivatives, chapter 3): a program
 * that computes what the first one does and, beside it, how much that changes along a direction of its inputs.
 *
 * @module
 */
import type { Graph, Op, Shape, Value } from '../nouns.ts';
import { GraphBuilder } from './graph.ts';
import { jacobianProduct, rowSum, type Symmetric } from './jacobian.ts';
import { dependents, noDerivative, pruned, replay } from './replay.ts';
import type { OpOf } from './shape.ts';

/** The tangent of a value has its name and this. */
export const DOT = '.dot';

/**
 * Tangent of a node's result `y`, from its inputs `x` and their tangents; one that is undefined is 0. At least one is
 * there.
 */
type Rule<K extends Op['op']> = (
  g: GraphBuilder,
  op: OpOf<K>,
  x: readonly Value[],
  dots: readonly (Value | undefined)[],
  y: Value,
) => Value | undefined;

/** Repeated to `shape`. */
const spread = (g: GraphBuilder, x: Value, shape: Shape): Value =>
  String(x.shape) === String(shape) ? x : g.add(x, g.zeros(shape));

/** Of terms that may be absent. */
const total = (g: GraphBuilder, terms: readonly (Value | undefined)[]): Value | undefined =>
  terms.reduce((sum, term) => (sum && term ? g.add(sum, term) : (sum ?? term)), undefined);

const symmetric: Rule<Symmetric> = (g, op, [x], [dot], y) => jacobianProduct(g, op, x!, y, dot!);
/** Moves elements about. */
const moved: Rule<'reshape' | 'transpose' | 'slice' | 'sum'> = (g, op, _, [dot]) => g.node(op, [dot!]);
/** Reads elements by an index. */
const read: Rule<'gather' | 'pick'> = (g, op, [, index], [dot]) => dot && g.node(op, [dot, index!]);
const flat: Rule<Op['op']> = () => undefined;

const RULES: { readonly [K in Op['op']]: Rule<K> | undefined } = {
  linear: (g, _, [x, w], [dx, dw, more], y) => {
    const terms = [dx && g.linear(dx, w!), dw && g.linear(x!, dw), more && spread(g, more, y.shape)];
    return total(g, terms);
  },
  rowScale: undefined,
  quantise: undefined,
  linear8: undefined,
  matmul: (g, _, [a, b], [da, db]) => total(g, [da && g.matmul(da, b!), db && g.matmul(a!, db)]),
  add: (g, _, __, [da, db], y) => total(g, [da && spread(g, da, y.shape), db && spread(g, db, y.shape)]),
  sub: (g, _, __, [da, db], y) => {
    const minus = db && g.mul(db, g.scalar(-1));
    return total(g, [da && spread(g, da, y.shape), minus && spread(g, minus, y.shape)]);
  },
  mul: (g, _, [a, b], [da, db]) => total(g, [da && g.mul(da, b!), db && g.mul(a!, db)]),
  sigmoid: symmetric,
  relu: symmetric,
  tanh: symmetric,
  erf: symmetric,
  exp: symmetric,
  rsqrt: symmetric,
  step: flat,
  softmax: symmetric,
  logSoftmax: (g, _, [x], [dot]) => g.sub(dot!, rowSum(g, g.mul(g.softmax(x!), dot!))),
  rmsNorm: symmetric,
  layerNorm: symmetric,
  sum: moved,
  reshape: moved,
  transpose: moved,
  concat: (g, { axis }, xs, dots) =>
    g.concat(
      xs.map(({ shape }, i) => dots[i] ?? g.zeros(shape)),
      axis,
    ),
  slice: moved,
  gather: read,
  pick: read,
  oneHot: flat,
};

/**
 * The Jacobian-vector product of a program.
 *
 * @param wrt f32 inputs that move.
 * @returns a program with the inputs of `graph` and a tangent `<input>.dot` of each of `wrt`; its outputs are those of
 * `graph` and, for every f32 output, `<output>.dot`, Σ over inputs of (∂output/∂input) tangent.
 * @throws {RangeError} where `wrt` names no f32 input, or an op on the way has no derivative (the 8-bit ones)
 */
export function jvp(graph: Graph, wrt: readonly string[]): Graph {
  const g = new GraphBuilder(`${graph.name}, jvp`);
  const values = replay(graph, g);
  const active = dependents(graph, wrt);
  const dots = new Map<string, Value>();
  for (const name of wrt) dots.set(name, g.input(name + DOT, values.get(name)!.shape));
  for (const { op, inputs, output } of graph.nodes) {
    if (!active.has(output.name)) continue;
    // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
    const rule = RULES[op.op] as Rule<never> | undefined;
    if (!rule) throw noDerivative(op.op, graph);
    const own = inputs.map((name) => dots.get(name));
    if (!own.some((dot) => dot)) continue;
    const x = inputs.map((name) => values.get(name)!);
    const dot = rule(g, op as never, x, own, values.get(output.name)!);
    if (dot) dots.set(output.name, dot);
  }
  for (const { name, dtype, shape } of graph.outputs) {
    g.output(name, values.get(name)!);
    if (dtype === 'f32') g.output(name + DOT, dots.get(name) ?? g.zeros(shape));
  }
  return pruned(g.build());
}

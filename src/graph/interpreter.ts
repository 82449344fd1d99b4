/**
 * Runs programs in plain TypeScript: what every op means, and the oracle the other engines are tested against. Values
 * are kept in f32 while sums and functions are computed in f64, so the only error is one rounding per element of each
 * node. Slow on purpose. `inDoubles` keeps values in f64 as well.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Graph, Op, Shape } from '../nouns.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { checkArrays } from './arrays.ts';
import { LEVELS, SMALLEST_PEAK, ZERO_POINT } from './int8.ts';
import { type OpOf, size } from './shape.ts';

type Data = TypedArray | Float64Array;

interface Tensor {
  readonly shape: Shape;
  /** Row-major. */
  readonly data: Data;
}

function like(data: Data, length: number): Data {
  if (data instanceof Float64Array) return new Float64Array(length);
  if (data instanceof Float32Array) return new Float32Array(length);
  if (data instanceof Int32Array) return new Int32Array(length);
  return data instanceof Int8Array ? new Int8Array(length) : new Uint8Array(length);
}

/** Elements from one index to the next along each axis of a row-major array. */
const stridesOf = (shape: Shape): number[] => shape.map((_, axis) => size(shape.slice(axis + 1)));

/** Copies what strides and an offset see of `data` into a row-major array of `shape`. */
function view(data: Data, shape: Shape, strides: readonly number[], offset = 0): Data {
  const out = like(data, size(shape));
  const index = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
  return out;
}

/** Repeats `x` along the axes where it has length 1, or none, and `shape` has more. */
function broadcastTo({ shape: from, data }: Tensor, shape: Shape): Data {
  const missing = shape.length - from.length;
  const strides = stridesOf(from);
  return view(
    data,
    shape,
    shape.map((_, axis) => ((from[axis - missing] ?? 1) === 1 ? 0 : strides[axis - missing]!)),
  );
}

/** out (n,m) += a (n,k) · b (k,m), summed in f64; `transposed`: b is (m,k). */
function product(a: Data, b: Data, [n, k, m]: readonly [number, number, number], transposed: boolean): Data {
  const out = like(a, n * m);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < m; j++) {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a[i * k + l]! * (transposed ? b[j * k + l]! : b[l * m + j]!);
      out[i * m + j] = sum;
    }
  }
  return out;
}

function zip(f: (x: number, y: number) => number, [a, b]: readonly Tensor[], shape: Shape): Data {
  const x = broadcastTo(a!, shape);
  const y = broadcastTo(b!, shape);
  return x.map((_, i) => f(x[i]!, y[i]!));
}

/** Applies `f` to every row along the last axis; rows of the result have length `wide`. */
function rows([x]: readonly Tensor[], f: (row: Float64Array) => Float64Array, wide: number = x!.shape.at(-1)!): Data {
  const width = x!.shape.at(-1)!;
  const out = like(x!.data, (x!.data.length / width) * wide);
  for (let at = 0, to = 0; to < out.length; at += width, to += wide)
    out.set(f(Float64Array.from(x!.data.subarray(at, at + width))), to);
  return out;
}

const mean = (row: Float64Array): number => row.reduce((a, b) => a + b, 0) / row.length;
const minus = (row: Float64Array, c: number): Float64Array => row.map((x) => x - c);
const divided = (row: Float64Array, c: number): Float64Array => row.map((x) => x / c);

function logSumExp(row: Float64Array): number {
  const peak = row.reduce((a, b) => Math.max(a, b));
  return peak + Math.log(row.reduce((sum, x) => sum + Math.exp(x - peak), 0));
}

const rmsNorm = (row: Float64Array, epsilon: number): Float64Array =>
  divided(row, Math.sqrt(mean(row.map((x) => x * x)) + epsilon));

/**
 * 2/√π ∫ exp(-t²) dt from 0 to x, by a series without subtractions: 2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!! (Abramowitz and
 * Stegun 1964, 7.1.6). From 6 on it is 1 in doubles.
 */
function erf(x: number): number {
  if (Math.abs(x) >= 6) return Math.sign(x);
  let [term, sum] = [x, x];
  for (let n = 1; Math.abs(term) > Number.EPSILON * Math.abs(sum) * 2 ** -4; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** Ties go to the even number. */
function nearest(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/** Of a row that holds an infinity or a NaN it is NaN, and so is what is computed with it: no loss comes of it. */
function rowScale(row: Float64Array): Float64Array {
  const peak = row.reduce((most, x) => Math.max(most, Math.abs(x)), SMALLEST_PEAK);
  return Float64Array.of(Number.isFinite(peak) ? peak / LEVELS : Number.NaN);
}

function checked(index: Data, limit: number, op: string): Data {
  const wrong = index.find((i) => i < 0 || i >= limit);
  if (wrong !== undefined) throw new RangeError(`"${op}" has no index ${wrong} among ${limit}`);
  return index;
}

/** Data of the result, whose shape is given. */
type Rule<K extends Op['op']> = (op: OpOf<K>, x: readonly Tensor[], shape: Shape) => Data;

const RULES: { readonly [K in Op['op']]: Rule<K> } = {
  linear: (_, [x, w, more], shape) => {
    const y = product(x!.data, w!.data, [x!.shape[0]!, x!.shape[1]!, w!.shape[0]!], true);
    const added = more && broadcastTo(more, shape);
    return added ? y.map((value, i) => value + added[i]!) : y;
  },
  rowScale: (_, x) => rows(x, rowScale, 1),
  quantise: (_, [x, scale]) => {
    const width = x!.shape[1]!;
    const steps = (v: number, i: number) => nearest(Math.fround(v / scale!.data[Math.floor(i / width)]!));
    return Uint8Array.from(x!.data, (v, i) => Math.min(255, Math.max(0, ZERO_POINT + steps(v, i))));
  },
  linear8: (_, [q, scale, w, wScale], [n, o]) => {
    const i = q!.shape[1]!;
    const out = like(scale!.data, n! * o!);
    for (let row = 0; row < n!; row++)
      for (let column = 0; column < o!; column++) {
        let sum = 0; // of integers: exact
        for (let l = 0; l < i; l++) sum += (q!.data[row * i + l]! - ZERO_POINT) * w!.data[l * o! + column]!;
        out[row * o! + column] = sum * wScale!.data[column]! * scale!.data[row]!;
      }
    return out;
  },
  matmul: (_, [a, b], shape) => {
    const leading = shape.slice(0, -2);
    const [n, k, m] = [a!.shape.at(-2)!, a!.shape.at(-1)!, b!.shape.at(-1)!];
    const [as, bs] = [broadcastTo(a!, [...leading, n, k]), broadcastTo(b!, [...leading, k, m])];
    const out = like(a!.data, size(shape));
    for (let s = 0; s < size(leading); s++) {
      const [aMatrix, bMatrix] = [as.subarray(s * n * k, (s + 1) * n * k), bs.subarray(s * k * m, (s + 1) * k * m)];
      out.set(product(aMatrix, bMatrix, [n, k, m], false), s * n * m);
    }
    return out;
  },
  add: (_, x, shape) => zip((a, b) => a + b, x, shape),
  sub: (_, x, shape) => zip((a, b) => a - b, x, shape),
  mul: (_, x, shape) => zip((a, b) => a * b, x, shape),
  sigmoid: (_, [x]) => x!.data.map((v) => 1 / (1 + Math.exp(-v))),
  relu: (_, [x]) => x!.data.map((v) => Math.max(v, 0)),
  tanh: (_, [x]) => x!.data.map(Math.tanh),
  erf: (_, [x]) => x!.data.map(erf),
  exp: (_, [x]) => x!.data.map(Math.exp),
  step: (_, [x]) => x!.data.map((v) => (v > 0 ? 1 : 0)),
  rsqrt: (_, [x]) => x!.data.map((v) => 1 / Math.sqrt(v)),
  softmax: (_, x) => rows(x, (row) => minus(row, logSumExp(row)).map(Math.exp)),
  logSoftmax: (_, x) => rows(x, (row) => minus(row, logSumExp(row))),
  rmsNorm: ({ epsilon }, x) => rows(x, (row) => rmsNorm(row, epsilon)),
  layerNorm: ({ epsilon }, x) => rows(x, (row) => rmsNorm(minus(row, mean(row)), epsilon)),
  sum: ({ axes }, [x], shape) => {
    // Summed axes last: what is summed is then a row.
    const kept = shape.flatMap((_, axis) => (axes.includes(axis) ? [] : [axis]));
    const perm = [...kept, ...axes];
    const strides = stridesOf(x!.shape);
    const turned = perm.map((axis) => x!.shape[axis]!);
    const data = view(
      x!.data,
      turned,
      perm.map((axis) => strides[axis]!),
    );
    const flat = { shape: [size(shape), data.length / size(shape)], data };
    return rows([flat], (row) => Float64Array.of(row.reduce((a, b) => a + b, 0)), 1);
  },
  reshape: (_, [x]) => x!.data,
  transpose: ({ perm }, [x], shape) => {
    const strides = stridesOf(x!.shape);
    return view(
      x!.data,
      shape,
      perm.map((axis) => strides[axis]!),
    );
  },
  concat: ({ axis }, xs, shape) => {
    const out = like(xs[0]!.data, size(shape));
    const run = (s: Shape) => size(s.slice(axis)); // elements of one operand that stay together
    let column = 0;
    for (const { shape: from, data } of xs) {
      for (let at = 0, to = column; at < data.length; at += run(from), to += run(shape)) {
        out.set(data.subarray(at, at + run(from)), to);
      }
      column += run(from);
    }
    return out;
  },
  slice: ({ axis, start }, [x], shape) => {
    const strides = stridesOf(x!.shape);
    return view(x!.data, shape, strides, start * strides[axis]!);
  },
  gather: (_, [table, index], shape) => {
    const width = size(table!.shape.slice(1));
    const out = like(table!.data, size(shape));
    checked(index!.data, table!.shape[0]!, 'gather').forEach((row, i) => {
      out.set(table!.data.subarray(row * width, (row + 1) * width), i * width);
    });
    return out;
  },
  pick: (_, [x, index], shape) => {
    const width = x!.shape[1]!;
    const out = like(x!.data, size(shape));
    checked(index!.data, width, 'pick').forEach((column, i) => {
      out[i] = x!.data[i * width + column]!;
    });
    return out;
  },
  oneHot: ({ depth }, [index], shape) => {
    const out = new Float32Array(size(shape));
    checked(index!.data, depth, 'oneHot').forEach((column, i) => {
      out[i * depth + column] = 1;
    });
    return out;
  },
};

const asIs = (data: Data): Data => data;
const wide = (data: Data): Data => (data instanceof Float32Array ? Float64Array.from(data) : data);

/** Runs the nodes in their order. @param given values of inputs and constants. @param kept how results are kept. */
function evaluate(
  { nodes }: Graph,
  given: Iterable<readonly [string, Tensor]>,
  kept: typeof asIs,
): Map<string, Tensor> {
  const values = new Map(given);
  for (const { op, inputs, output } of nodes) {
    // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
    const rule = RULES[op.op] as Rule<never>;
    const x = inputs.map((name) => values.get(name)!);
    values.set(output.name, { shape: output.shape, data: kept(rule(op as never, x, output.shape)) });
  }
  return values;
}

/**
 * The same definitions with every value in f64, so that differences of results are good for derivatives.
 * @param feeds one array per input; f64 where a program run by an engine takes f32.
 */
export function inDoubles(
  graph: Graph,
  feeds: Readonly<Record<string, Float64Array | Int32Array>>,
): Record<string, Float64Array> {
  const values = evaluate(
    graph,
    [
      ...graph.inputs.map(({ name, shape }) => [name, { shape, data: feeds[name]! }] as const),
      ...graph.constants.map(({ name, shape, data }) => [name, { shape, data: wide(data) }] as const),
    ],
    wide,
  );
  return Object.fromEntries(graph.outputs.map(({ name }) => [name, Float64Array.from(values.get(name)!.data)]));
}

/** The oracle. @returns an engine whose programs run in this thread. */
export const interpreter: Engine = {
  name: 'interpreter',
  async compile(graph) {
    let released = false;
    return {
      async run(feeds, outputs) {
        checkArrays(graph, feeds, outputs);
        try {
          if (released) throw new RangeError('it was released');
          const values = evaluate(
            graph,
            [
              ...graph.inputs.map(({ name, shape }) => [name, { shape, data: feeds[name]! }] as const),
              ...graph.constants.map((constant) => [constant.name, constant] as const),
            ],
            asIs,
          );
          for (const { name } of graph.outputs) outputs[name]!.set(values.get(name)!.data);
        } catch (cause) {
          throw new Fault('ENGINE_FAILED', `program "${graph.name}" did not run: ${String(cause)}`, { cause });
        }
      },
      async release() {
        released = true;
      },
    };
  },
};

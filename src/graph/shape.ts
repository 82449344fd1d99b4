/**
 * What each op accepts and gives: the definition of the tensor programs' types. `onnx.ts` and `interpreter.ts` compute
 * what is typed here.
 *
 * @module
 */
import type { Dtype, Op, Shape, Value } from '../nouns.ts';

/** The variant of `Op` called K. */
export type OpOf<K extends Op['op']> = Op extends infer O
  ? O extends { readonly op: infer Names }
    ? K extends Names
      ? O
      : never
    : never
  : never;

/** Type of a value, without its name. */
export type Typed = Pick<Value, 'dtype' | 'shape'>;

/** Number of elements. */
export const size = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** NumPy broadcasting of two shapes; undefined where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const pairs = Array.from({ length: rank }, (_, i) => [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1]);
  if (pairs.some(([x, y]) => x !== y && x !== 1 && y !== 1)) return undefined;
  return pairs.map(([x, y]) => (x === 1 ? y! : x!));
}

const equal = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((n, i) => n === b[i]);
const isAxis = (axis: number, a: Shape): boolean => Number.isInteger(axis) && axis >= 0 && axis < a.length;

interface Rule<K extends Op['op']> {
  /** How many inputs; `many` is one or more. */
  readonly inputs: 1 | 2 | 4 | 'many';
  /** `f32`: all are. `any`: all have one dtype. `indexed`: any, then an i32 index. Else one by one. */
  readonly takes: 'f32' | 'any' | 'indexed' | readonly Dtype[];
  /** Absent: the result has that of the first. */
  readonly gives?: Dtype;
  /** The shape of the result, from those of the inputs; undefined: refused. */
  readonly shape: (op: OpOf<K>, a: Shape, b: Shape, all: readonly Shape[]) => Shape | undefined;
}

type Elementwise = 'sigmoid' | 'relu' | 'tanh' | 'erf' | 'exp' | 'step' | 'rsqrt';

const elementwise: Rule<Elementwise> = { inputs: 1, takes: 'f32', shape: (_, a) => a };
const broadcasting: Rule<'add' | 'sub' | 'mul'> = { inputs: 2, takes: 'f32', shape: (_, a, b) => broadcast(a, b) };
const lastAxis = {
  inputs: 1,
  takes: 'f32',
  shape: (_: Op, a: Shape): Shape | undefined => (a.length >= 1 ? a : undefined),
} as const;

const RULES: { readonly [K in Op['op']]: Rule<K> } = {
  linear: {
    inputs: 'many',
    takes: 'f32',
    shape: (_, a, b, [, , more, ...rest]) => {
      const out = a.length === 2 && b.length === 2 && a[1] === b[1] ? [a[0]!, b[0]!] : undefined;
      const isAdded = !more || (out && (equal(more, out) || equal(more, [out[1]!])));
      return isAdded && rest.length === 0 ? out : undefined;
    },
  },
  rowScale: { inputs: 1, takes: 'f32', shape: (_, a) => (a.length === 2 ? [a[0]!] : undefined) },
  quantise: {
    inputs: 2,
    takes: 'f32',
    gives: 'u8',
    shape: (_, a, b) => (a.length === 2 && equal(b, [a[0]!]) ? a : undefined),
  },
  linear8: {
    inputs: 4,
    takes: ['u8', 'f32', 'i8', 'f32'],
    gives: 'f32',
    shape: (_, a, b, [, , w, c]) =>
      a.length === 2 && equal(b, [a[0]!]) && w!.length === 2 && a[1] === w![0] && equal(c!, [w![1]!])
        ? [a[0]!, w![1]!]
        : undefined,
  },
  matmul: {
    inputs: 2,
    takes: 'f32',
    shape: (_, a, b) => {
      if (a.length < 2 || b.length < 2 || a.at(-1) !== b.at(-2)) return undefined;
      const leading = broadcast(a.slice(0, -2), b.slice(0, -2));
      return leading && [...leading, a.at(-2)!, b.at(-1)!];
    },
  },
  add: broadcasting,
  sub: broadcasting,
  mul: broadcasting,
  sigmoid: elementwise,
  relu: elementwise,
  tanh: elementwise,
  erf: elementwise,
  exp: elementwise,
  step: elementwise,
  rsqrt: elementwise,
  softmax: lastAxis,
  logSoftmax: lastAxis,
  rmsNorm: lastAxis,
  layerNorm: lastAxis,
  sum: {
    inputs: 1,
    takes: 'f32',
    shape: ({ axes }, a) =>
      axes.length > 0 && new Set(axes).size === axes.length && axes.every((axis) => isAxis(axis, a))
        ? a.map((n, axis) => (axes.includes(axis) ? 1 : n))
        : undefined,
  },
  reshape: { inputs: 1, takes: 'any', shape: (op, a) => (size(op.shape) === size(a) ? op.shape : undefined) },
  transpose: {
    inputs: 1,
    takes: 'any',
    shape: ({ perm }, a) =>
      perm.length === a.length && new Set(perm).size === a.length && perm.every((axis) => isAxis(axis, a))
        ? perm.map((axis) => a[axis]!)
        : undefined,
  },
  concat: {
    inputs: 'many',
    takes: 'any',
    shape: ({ axis }, a, _, all) =>
      isAxis(axis, a) && all.every((s) => equal(s.with(axis, 0), a.with(axis, 0)))
        ? a.with(
            axis,
            all.reduce((sum, s) => sum + s[axis]!, 0),
          )
        : undefined,
  },
  slice: {
    inputs: 1,
    takes: 'any',
    shape: ({ axis, start, end }, a) =>
      isAxis(axis, a) && [start, end].every(Number.isInteger) && 0 <= start && start < end && end <= a[axis]!
        ? a.with(axis, end - start)
        : undefined,
  },
  gather: {
    inputs: 2,
    takes: 'indexed',
    shape: (_, a, b) => (a.length >= 1 && b.length === 1 ? [b[0]!, ...a.slice(1)] : undefined),
  },
  pick: {
    inputs: 2,
    takes: 'indexed',
    shape: (_, a, b) => (a.length === 2 && b.length === 1 && a[0] === b[0] ? [a[0]!] : undefined),
  },
  oneHot: {
    inputs: 1,
    takes: ['i32'],
    gives: 'f32',
    shape: ({ depth }, a) => (a.length === 1 && Number.isInteger(depth) && depth > 0 ? [a[0]!, depth] : undefined),
  },
};

const show = ({ dtype, shape }: Typed): string => `${dtype}(${shape.join(',')})`;

/** Type of what an op gives. @throws {RangeError} naming op and inputs, where it does not take them. */
export function infer(op: Op, inputs: readonly Typed[]): Typed {
  // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
  const rule = RULES[op.op] as Rule<never>;
  const [first] = inputs;
  const shapes = inputs.map((x) => x.shape);
  const counted = rule.inputs === 'many' ? inputs.length >= 1 : inputs.length === rule.inputs;
  const wanted = (i: number): Dtype | undefined => {
    if (typeof rule.takes !== 'string') return rule.takes[i];
    return rule.takes === 'f32' ? 'f32' : rule.takes === 'indexed' && i === 1 ? 'i32' : first?.dtype;
  };
  const typed = counted && inputs.every((x, i) => x.dtype === wanted(i));
  const shape = typed ? rule.shape(op as never, shapes[0]!, shapes[1] ?? [], shapes) : undefined;
  if (!first || !shape) {
    throw new RangeError(`${JSON.stringify(op)} does not take ${inputs.map(show).join(' ') || 'no inputs'}`);
  }
  return { dtype: rule.gives ?? first.dtype, shape };
}

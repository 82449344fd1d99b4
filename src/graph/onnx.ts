/**
 * Graph → ONNX: the bytes of a model that ONNX Runtime loads. Opset 17, static shapes, i32 indices; field numbers are
 * those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
 *
 * @module
 */
import type { Graph, Op, Shape, Value } from '../nouns.ts';
import { LEVELS, SMALLEST_PEAK, ZERO_POINT } from './int8.ts';
import { concat, float, int, bytes as lengthDelimited, message, text } from './protobuf.ts';
import { withoutIdleReshapes } from './replay.ts';
import type { OpOf } from './shape.ts';

const IR_VERSION = 8;
const OPSET = 17;
/** TensorProto.DataType */
const DATA_TYPE = { f32: 1, u8: 2, i8: 3, i32: 6, i64: 7 } as const;
/** Operators of ONNX Runtime's own. */
const MICROSOFT = 'com.microsoft';

// ONNX calls integers that shape the result inputs, and wants them as i64.
type Data = Float32Array | Int32Array | Uint8Array | BigInt64Array;

function dtypeOf(data: Data): keyof typeof DATA_TYPE {
  if (data instanceof Float32Array) return 'f32';
  if (data instanceof Int32Array) return 'i32';
  return data instanceof Uint8Array ? 'u8' : 'i64';
}

/** TensorProto. Raw data is little-endian, as every JavaScript engine in use keeps its arrays. */
const tensor = (name: string, shape: Shape, data: Data): Uint8Array[] => [
  ...shape.map((n) => int(1, n)),
  int(2, DATA_TYPE[dtypeOf(data)]),
  text(8, name),
  lengthDelimited(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
];

/** ValueInfoProto. */
const valueInfo = ({ name, dtype, shape }: Value): Uint8Array[] => {
  const dims = shape.map((n) => message(1, int(1, n)));
  return [text(1, name), message(2, message(1, int(1, DATA_TYPE[dtype]), message(2, ...dims)))];
};

/** AttributeProto; types FLOAT = 1, INT = 2, INTS = 7. */
const floatAttribute = (name: string, x: number): Uint8Array[] => [text(1, name), float(2, x), int(20, 1)];
const intAttribute = (name: string, n: number): Uint8Array[] => [text(1, name), int(3, n), int(20, 2)];
const intsAttribute = (name: string, ns: readonly number[]): Uint8Array[] => [
  text(1, name),
  ...ns.map((n) => int(8, n)),
  int(20, 7),
];

/** Collects NodeProtos and initialisers under names no graph uses. */
class OnnxGraph {
  readonly nodes: Uint8Array[] = [];
  readonly initializers: Uint8Array[] = [];
  #count = 0;

  initializer(shape: Shape, data: Data, name = `$${this.#count++}`): string {
    this.initializers.push(message(5, ...tensor(name, shape, data)));
    return name;
  }

  scalar(x: number): string {
    return this.initializer([], Float32Array.of(x));
  }

  i64(...ns: readonly number[]): string {
    return this.initializer([ns.length], BigInt64Array.from(ns, BigInt));
  }

  node(
    type: string,
    inputs: readonly string[],
    attributes: readonly Uint8Array[][] = [],
    output = `$${this.#count++}`,
    domain = '',
  ): string {
    this.nodes.push(
      message(
        1,
        ...inputs.map((name) => text(1, name)),
        text(2, output),
        text(3, `${type}:${output}`),
        text(4, type),
        ...attributes.map((fields) => message(5, ...fields)),
        text(7, domain),
      ),
    );
    return output;
  }
}

/** Writes one op. `x`: its inputs; the last node written must be called `y.name`. */
type Lowering<K extends Op['op']> = (g: OnnxGraph, op: OpOf<K>, x: readonly Value[], y: Value) => void;

const names = (values: readonly Value[]): string[] => values.map((v) => v.name);

const same =
  (type: string): Lowering<Op['op']> =>
  (g, _, x, y) =>
    g.node(type, names(x), [], y.name);

// Gains and biases are the program's own multiplications and additions, as a probe may give every sequence its own:
// the operators get ones. SimplifiedLayerNormalization is ONNX Runtime's root-mean-square norm on all of its devices.
const norm =
  (type: string): Lowering<'rmsNorm' | 'layerNorm'> =>
  (g, { epsilon }, x, y) => {
    const n = y.shape.at(-1)!;
    const ones = g.initializer([n], new Float32Array(n).fill(1));
    g.node(type, [...names(x), ones], [intAttribute('axis', -1), floatAttribute('epsilon', epsilon)], y.name);
  };

const LOWERINGS: { readonly [K in Op['op']]: Lowering<K> } = {
  linear: (g, _, x, y) => g.node('Gemm', names(x), [intAttribute('transB', 1)], y.name),
  // Extremes pass by a NaN, where a sum does not: it makes the scale NaN as well.
  rowScale: (g, _, [x], y) => {
    const axis = [intsAttribute('axes', [1]), intAttribute('keepdims', 0)];
    const least = g.node('Neg', [g.node('ReduceMin', [x!.name], axis)]);
    const peak = g.node('Max', [g.node('ReduceMax', [x!.name], axis), least, g.scalar(SMALLEST_PEAK)]);
    const sum = g.node('ReduceSum', [x!.name, g.i64(1)], [intAttribute('keepdims', 0)]);
    g.node('Add', [g.node('Div', [peak, g.scalar(LEVELS)]), g.node('Mul', [sum, g.scalar(0)])], [], y.name);
  },
  quantise: (g, _, [x, scale], y) => {
    const zeroPoint = g.initializer(scale!.shape, new Uint8Array(scale!.shape[0]!).fill(ZERO_POINT));
    g.node('QuantizeLinear', [x!.name, scale!.name, zeroPoint], [intAttribute('axis', 0)], y.name);
  },
  // The runtime's own operator turns integers to floats, times the weights' scales, while they are in the cache.
  linear8: (g, _, [q, scale, w, wScale], y) => {
    const zeroPoint = g.initializer([], Uint8Array.of(ZERO_POINT));
    const inputs = [q!.name, w!.name, g.scalar(1), wScale!.name, zeroPoint];
    const product = g.node('MatMulIntegerToFloat', inputs, [], undefined, MICROSOFT);
    g.node('Mul', [product, g.node('Reshape', [scale!.name, g.i64(-1, 1)])], [], y.name);
  },
  matmul: same('MatMul'),
  add: same('Add'),
  sub: same('Sub'),
  mul: same('Mul'),
  sigmoid: same('Sigmoid'),
  relu: same('Relu'),
  tanh: same('Tanh'),
  erf: same('Erf'),
  exp: same('Exp'),
  step: (g, _, [x], y) => {
    const above = g.node('Greater', [x!.name, g.scalar(0)]);
    g.node('Cast', [above], [intAttribute('to', DATA_TYPE.f32)], y.name);
  },
  rsqrt: (g, _, x, y) => g.node('Reciprocal', [g.node('Sqrt', names(x))], [], y.name),
  softmax: same('Softmax'),
  logSoftmax: same('LogSoftmax'),
  rmsNorm: norm('SimplifiedLayerNormalization'),
  layerNorm: norm('LayerNormalization'),
  sum: (g, { axes }, [x], y) => g.node('ReduceSum', [x!.name, g.i64(...axes)], [intAttribute('keepdims', 1)], y.name),
  reshape: (g, { shape }, [x], y) => g.node('Reshape', [x!.name, g.i64(...shape)], [], y.name),
  transpose: (g, { perm }, x, y) => g.node('Transpose', names(x), [intsAttribute('perm', perm)], y.name),
  concat: (g, { axis }, x, y) => g.node('Concat', names(x), [intAttribute('axis', axis)], y.name),
  slice: (g, { axis, start, end }, x, y) =>
    g.node('Slice', [...names(x), g.i64(start), g.i64(end), g.i64(axis)], [], y.name),
  gather: (g, _, x, y) => g.node('Gather', names(x), [intAttribute('axis', 0)], y.name),
  pick: (g, _, [x, index], y) => {
    const column = g.node('Unsqueeze', [index!.name, g.i64(1)]);
    const picked = g.node('GatherElements', [x!.name, column], [intAttribute('axis', 1)]);
    g.node('Squeeze', [picked, g.i64(1)], [], y.name);
  },
  // ONNX Runtime's own OneHot fills its result on one thread.
  oneHot: (g, { depth }, [index], y) => {
    const columns = g.initializer(
      [1, depth],
      Int32Array.from({ length: depth }, (_, i) => i),
    );
    const isOne = g.node('Equal', [g.node('Unsqueeze', [index!.name, g.i64(1)]), columns]);
    g.node('Cast', [isOne], [intAttribute('to', DATA_TYPE.f32)], y.name);
  },
};

/**
 * ModelProto of a program.
 *
 * Nothing in it is an Identity, though every output of a program ends in a reshape that changes nothing. ONNX Runtime
 * (1.30) would remove one by calling its input by the output's name, if nobody else reads that; but as it moves a Transpose
 * into a Gemm it forgets for a while that the Gemm reads its other inputs, and the Gemm is left with a name that is gone.
 */
export function toOnnx(program: Graph): Uint8Array {
  const graph = withoutIdleReshapes(program);
  const g = new OnnxGraph();
  const values = new Map<string, Value>();
  for (const value of [...graph.inputs, ...graph.constants]) values.set(value.name, value);
  for (const { name, shape, data } of graph.constants) g.initializer(shape, data, name);
  for (const { op, inputs, output } of graph.nodes) {
    // The table's entry is for this kind of op: TypeScript forgets that when it looks it up, hence `never`.
    const lower = LOWERINGS[op.op] as Lowering<never>;
    lower(
      g,
      op as never,
      inputs.map((name) => values.get(name)!),
      output,
    );
    values.set(output.name, output);
  }
  return concat([
    int(1, IR_VERSION),
    text(2, 'murmur'),
    message(
      7,
      ...g.nodes,
      text(2, graph.name),
      ...g.initializers,
      ...graph.inputs.map((v) => message(11, ...valueInfo(v))),
      ...graph.outputs.map((v) => message(12, ...valueInfo(v))),
    ),
    message(8, text(1, ''), int(2, OPSET)),
    message(8, text(1, MICROSOFT), int(2, 1)),
  ]);
}

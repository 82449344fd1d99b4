/**
 * Builds tensor programs. A builder checks shapes as nodes are added, so that a wrong program cannot be made; the
 * result is plain data (`Graph`) that `onnx.ts` serialises and `interpreter.ts` runs.
 *
 * @module
 */
import type { Dtype, Graph, Node, Op, Shape, Value } from '../nouns.ts';

export const size = (shape: Shape): number => shape.reduce((a, b) => a * b, 1);

/** NumPy broadcasting of two shapes. @throws {RangeError} where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw new RangeError(`shapes (${a}) and (${b}) do not broadcast`);
    return x === 1 ? y : x;
  });
}

const expect = (ok: boolean, op: string, shapes: readonly Shape[]): void => {
  if (!ok) throw new RangeError(`"${op}" does not take shapes ${shapes.map((s) => `(${s})`).join(' ')}`);
};

/** The shape an op gives; the definition of what it accepts. */
export function inferShape(op: Op, shapes: readonly Shape[]): Shape {
  const [a = [], b = []] = shapes;
  const last = a.length - 1;
  switch (op.op) {
    case 'linear':
      expect(a.length === 2 && b.length === 2 && a[1] === b[1], op.op, shapes);
      return [a[0]!, b[0]!];
    case 'matmul': {
      expect(a.length >= 2 && b.length >= 2 && a[last] === b[b.length - 2], op.op, shapes);
      return [...broadcast(a.slice(0, -2), b.slice(0, -2)), a[last - 1]!, b[b.length - 1]!];
    }
    case 'add':
    case 'sub':
    case 'mul':
      return broadcast(a, b);
    case 'sigmoid':
    case 'relu':
      return a;
    case 'softmax':
    case 'logSoftmax':
    case 'rmsNorm':
    case 'layerNorm':
      expect(a.length >= 1, op.op, shapes);
      return a;
    case 'reshape':
      expect(size(op.shape) === size(a), op.op, [a, op.shape]);
      return op.shape;
    case 'transpose':
      expect(op.perm.length === a.length && new Set(op.perm).size === a.length, op.op, [a, op.perm]);
      return op.perm.map((axis) => a[axis]!);
    case 'concat': {
      const { axis } = op;
      const like = (s: Shape) => s.length === a.length && s.every((n, i) => i === axis || n === a[i]);
      expect(axis >= 0 && axis < a.length && shapes.every(like), op.op, shapes);
      return a.map((n, i) => (i === axis ? shapes.reduce((sum, s) => sum + s[axis]!, 0) : n));
    }
    case 'slice':
      expect(op.start >= 0 && op.start < op.end && op.end <= (a[op.axis] ?? 0), op.op, [
        a,
        [op.axis, op.start, op.end],
      ]);
      return a.map((n, i) => (i === op.axis ? op.end - op.start : n));
    case 'gather':
      expect(a.length >= 1 && b.length === 1, op.op, shapes);
      return [b[0]!, ...a.slice(1)];
    case 'pick':
      expect(a.length === 2 && b.length === 1 && a[0] === b[0], op.op, shapes);
      return [a[0]!];
  }
}

/** Collects the nodes of one program. Values are handles; arithmetic reads in the order it runs. */
export class GraphBuilder {
  readonly #inputs: Value[] = [];
  readonly #constants: (Value & { data: Float32Array | Int32Array })[] = [];
  readonly #nodes: Node[] = [];
  readonly #outputs: Value[] = [];
  #count = 0;

  input(name: string, shape: Shape, dtype: Dtype = 'f32'): Value {
    if (this.#inputs.some((v) => v.name === name)) throw new RangeError(`input "${name}" is declared twice`);
    const value = { name, dtype, shape };
    this.#inputs.push(value);
    return value;
  }

  constant(data: Float32Array | Int32Array, shape: Shape = [data.length]): Value {
    const dtype = data instanceof Float32Array ? 'f32' : 'i32';
    const value = { name: `c${this.#count++}`, dtype, shape, data } as const;
    this.#constants.push(value);
    return value;
  }

  scalar(x: number): Value {
    return this.constant(Float32Array.of(x), []);
  }

  /** @param name of a graph output: the node's value then becomes one. */
  node(op: Op, inputs: readonly Value[], name?: string): Value {
    const shape = inferShape(
      op,
      inputs.map((v) => v.shape),
    );
    const output = { name: name ?? `t${this.#count++}`, dtype: inputs[0]!.dtype, shape };
    this.#nodes.push({ op, inputs: inputs.map((v) => v.name), output });
    return output;
  }

  linear = (x: Value, w: Value): Value => this.node({ op: 'linear' }, [x, w]);
  matmul = (a: Value, b: Value): Value => this.node({ op: 'matmul' }, [a, b]);
  add = (a: Value, b: Value): Value => this.node({ op: 'add' }, [a, b]);
  sub = (a: Value, b: Value): Value => this.node({ op: 'sub' }, [a, b]);
  mul = (a: Value, b: Value): Value => this.node({ op: 'mul' }, [a, b]);
  sigmoid = (x: Value): Value => this.node({ op: 'sigmoid' }, [x]);
  relu = (x: Value): Value => this.node({ op: 'relu' }, [x]);
  softmax = (x: Value): Value => this.node({ op: 'softmax' }, [x]);
  logSoftmax = (x: Value): Value => this.node({ op: 'logSoftmax' }, [x]);
  /** x / sqrt(mean(x²) + epsilon) over the last axis. */
  rmsNorm = (x: Value, epsilon: number): Value => this.node({ op: 'rmsNorm', epsilon }, [x]);
  /** (x - mean) / sqrt(variance + epsilon) over the last axis. */
  layerNorm = (x: Value, epsilon: number): Value => this.node({ op: 'layerNorm', epsilon }, [x]);
  reshape = (x: Value, shape: Shape): Value => this.node({ op: 'reshape', shape }, [x]);
  transpose = (x: Value, perm: Shape): Value => this.node({ op: 'transpose', perm }, [x]);
  concat = (xs: readonly Value[], axis: number): Value => this.node({ op: 'concat', axis }, xs);
  slice = (x: Value, axis: number, start: number, end: number): Value =>
    this.node({ op: 'slice', axis, start, end }, [x]);
  gather = (table: Value, index: Value): Value => this.node({ op: 'gather' }, [table, index]);
  pick = (x: Value, index: Value): Value => this.node({ op: 'pick' }, [x, index]);

  /** Names a value as an output of the program (through a reshape to its own shape: ONNX outputs need their own name). */
  output(name: string, x: Value): void {
    this.#outputs.push(this.node({ op: 'reshape', shape: x.shape }, [x], name));
  }

  build(): Graph {
    return { inputs: this.#inputs, constants: this.#constants, nodes: this.#nodes, outputs: this.#outputs };
  }
}

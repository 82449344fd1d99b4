/**
 * Builds tensor programs. A builder checks names and types as nodes are added, so that a wrong program cannot be made;
 * the result is plain data (`Graph`) that `onnx.ts` serialises and `interpreter.ts` runs.
 *
 * @module
 */
import type { Dtype, Graph, Node, Op, Shape, Value } from '../nouns.ts';
import { infer, size } from './shape.ts';

/**
 * Collects the nodes of one program. Values are handles; arithmetic reads in the order it runs. Every method throws a
 * RangeError that names what does not fit.
 */
export class GraphBuilder {
  readonly #name: string;
  readonly #names = new Set<string>();
  readonly #values = new Set<Value>();
  readonly #inputs: Value[] = [];
  readonly #constants: (Value & { data: Float32Array | Int32Array })[] = [];
  readonly #nodes: Node[] = [];
  readonly #outputs: Value[] = [];

  /** @param name of the program, for messages. */
  constructor(name = 'program') {
    this.#name = name;
  }

  #declare<V extends Value>(value: V): V {
    const { name, shape } = value;
    if (this.#names.has(name)) throw new RangeError(`"${name}" is declared twice in program "${this.#name}"`);
    if (!shape.every((n) => Number.isInteger(n) && n > 0)) {
      throw new RangeError(`"${name}" expected positive whole dimensions, got (${shape.join(',')})`);
    }
    this.#names.add(name);
    this.#values.add(value);
    return value;
  }

  /** A name no input or output should take: models name theirs, the rest is counted. */
  #fresh = (): string => `%${this.#names.size}`;

  input(name: string, shape: Shape, dtype: Dtype = 'f32'): Value {
    const value = this.#declare({ name, dtype, shape });
    this.#inputs.push(value);
    return value;
  }

  constant(data: Float32Array | Int32Array, shape: Shape = [data.length]): Value {
    if (data.length !== size(shape)) {
      throw new RangeError(
        `"data" expected ${size(shape)} elements for shape (${shape.join(',')}), got ${data.length}`,
      );
    }
    const dtype = data instanceof Float32Array ? 'f32' : 'i32';
    const value = this.#declare({ name: this.#fresh(), dtype, shape, data });
    this.#constants.push(value);
    return value;
  }

  zeros = (shape: Shape): Value => this.constant(new Float32Array(size(shape)), shape);

  scalar(x: number): Value {
    return this.constant(Float32Array.of(x), []);
  }

  node(op: Op, inputs: readonly Value[]): Value {
    return this.#node(op, inputs, this.#fresh());
  }

  #node(op: Op, inputs: readonly Value[], name: string): Value {
    const stranger = inputs.find((v) => !this.#values.has(v));
    if (stranger) throw new RangeError(`"${stranger.name}" is not a value of program "${this.#name}"`);
    const output = this.#declare({ name, ...infer(op, inputs) });
    this.#nodes.push({ op, inputs: inputs.map((v) => v.name), output });
    return output;
  }

  /** x wᵀ, plus `more` (n,o) or (o) if it is given: added where the product is made, it takes no pass of its own. */
  linear = (x: Value, w: Value, more?: Value): Value => this.node({ op: 'linear' }, more ? [x, w, more] : [x, w]);
  /** What `quantise` and `linear8` take: one scale serves all products that read the same x. */
  rowScale = (x: Value): Value => this.node({ op: 'rowScale' }, [x]);
  quantise = (x: Value, scale: Value): Value => this.node({ op: 'quantise' }, [x, scale]);
  linear8 = (q: Value, scale: Value, w: Value, wScale: Value): Value =>
    this.node({ op: 'linear8' }, [q, scale, w, wScale]);
  matmul = (a: Value, b: Value): Value => this.node({ op: 'matmul' }, [a, b]);
  add = (a: Value, b: Value): Value => this.node({ op: 'add' }, [a, b]);
  sub = (a: Value, b: Value): Value => this.node({ op: 'sub' }, [a, b]);
  mul = (a: Value, b: Value): Value => this.node({ op: 'mul' }, [a, b]);
  sigmoid = (x: Value): Value => this.node({ op: 'sigmoid' }, [x]);
  relu = (x: Value): Value => this.node({ op: 'relu' }, [x]);
  tanh = (x: Value): Value => this.node({ op: 'tanh' }, [x]);
  erf = (x: Value): Value => this.node({ op: 'erf' }, [x]);
  exp = (x: Value): Value => this.node({ op: 'exp' }, [x]);
  step = (x: Value): Value => this.node({ op: 'step' }, [x]);
  rsqrt = (x: Value): Value => this.node({ op: 'rsqrt' }, [x]);
  softmax = (x: Value): Value => this.node({ op: 'softmax' }, [x]);
  logSoftmax = (x: Value): Value => this.node({ op: 'logSoftmax' }, [x]);
  /** x / sqrt(mean(x²) + epsilon) over the last axis. */
  rmsNorm = (x: Value, epsilon: number): Value => this.node({ op: 'rmsNorm', epsilon }, [x]);
  /** (x - mean) / sqrt(variance + epsilon) over the last axis. */
  layerNorm = (x: Value, epsilon: number): Value => this.node({ op: 'layerNorm', epsilon }, [x]);
  /** Over these axes, which stay with length 1. */
  sum = (x: Value, axes: Shape): Value => this.node({ op: 'sum', axes }, [x]);
  reshape = (x: Value, shape: Shape): Value => this.node({ op: 'reshape', shape }, [x]);
  transpose = (x: Value, perm: Shape): Value => this.node({ op: 'transpose', perm }, [x]);
  concat = (xs: readonly Value[], axis: number): Value => this.node({ op: 'concat', axis }, xs);
  slice = (x: Value, axis: number, start: number, end: number): Value =>
    this.node({ op: 'slice', axis, start, end }, [x]);
  /** Rows of `table`; an index outside it is refused when the program runs (ONNX Runtime reads -1 as the last row). */
  gather = (table: Value, index: Value): Value => this.node({ op: 'gather' }, [table, index]);
  pick = (x: Value, index: Value): Value => this.node({ op: 'pick' }, [x, index]);
  /** Rows of the unit matrix: what turns `gather` and `pick` round. */
  oneHot = (index: Value, depth: number): Value => this.node({ op: 'oneHot', depth }, [index]);

  /** Makes a value an output called `name`, through a reshape to its own shape: an output needs a name of its own. */
  output(name: string, x: Value): void {
    this.#outputs.push(this.#node({ op: 'reshape', shape: x.shape }, [x], name));
  }

  build(): Graph {
    if (this.#outputs.length === 0) throw new RangeError(`program "${this.#name}" has no output`);
    return {
      name: this.#name,
      inputs: [...this.#inputs],
      constants: [...this.#constants],
      nodes: [...this.#nodes],
      outputs: [...this.#outputs],
    };
  }
}

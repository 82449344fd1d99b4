/**
 * Access to weights inside a program, in both forms of `stage.ts`, so that an architecture is written once. In plain
 * form a weight is used as it is. In sided form a matrix has a low-rank term beside its product and a vector has one
 * copy a sequence:
 *
 *     y = x Wᵀ + (x · v) u          u (S,r,out), v (S,r,in): a direction for each of the S sequences
 *
 * In int8 x Wᵀ is a product of bytes; what stands beside it is not rounded, as a perturbation would not survive it.
 *
 * Which inputs a program reads, how, and in which stored shape is recorded as it is written: bindings and the list of
 * a model's tensors come out of the same text as the mathematics, so they cannot disagree with it.
 *
 * @module
 */
import { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../nouns.ts';
import type { Access, Dims, Form } from './stage.ts';

/** One use of a tensor by a program. */
export interface Use {
  readonly input: string;
  readonly access: Access;
  /** As stored in the checkpoint. */
  readonly shape: readonly number[];
}

/** Activations as bytes, and the scale of each row. */
interface Quantised {
  readonly q: Value;
  readonly scale: Value;
}

/** A program being written. Activations are (S·R, n): R rows of each sequence, one after the other. */
export class Sketch {
  readonly g: GraphBuilder;
  readonly dims: Dims;
  readonly form: Form;
  readonly uses: Use[] = [];
  readonly #quantised = new Map<Value, Quantised>();

  constructor(name: string, dims: Dims, form: Form) {
    this.g = new GraphBuilder(name);
    this.dims = dims;
    this.form = form;
  }

  /** (S·R, n) -> (S, R, n). */
  #apart(x: Value): Value {
    const [rows = 0, n = 0] = x.shape;
    const { sequences } = this.dims;
    return this.g.reshape(x, [sequences, rows / sequences, n]);
  }

  /** (S, R, n) -> (S·R, n). */
  together(x: Value): Value {
    const [sequences = 0, rows = 0, n = 0] = x.shape;
    return this.g.reshape(x, [sequences * rows, n]);
  }

  #factor(input: string, side: 'u' | 'v', length: number, rank: number): Value {
    return this.g.input(`${input}.${side}`, [this.dims.sequences, rank, length]);
  }

  /** vᵀ (S,length,r). A single column is declared as one: multiplying with it is several times faster than with a row. */
  #columns(input: string, length: number, rank: number): Value {
    if (rank === 1) return this.g.input(`${input}.v`, [this.dims.sequences, length, 1]);
    return this.g.transpose(this.#factor(input, 'v', length, rank), [0, 2, 1]);
  }

  /** x Wᵀ. A lone row is doubled: runtimes add up the product of one row in another order, and its bits would differ. */
  #rows(x: Value, w: Value, more?: Value): Value {
    const { g } = this;
    if (x.shape[0] !== 1) return g.linear(x, w, more);
    const twice = (row: Value): Value => (row.shape.length === 2 ? g.concat([row, row], 0) : row);
    return g.slice(g.linear(twice(x), w, more && twice(more)), 0, 0, 1);
  }

  /** Once for all products that read x. */
  #quantise(x: Value): Quantised {
    const known = this.#quantised.get(x);
    if (known) return known;
    const scale = this.g.rowScale(x);
    const made = { q: this.g.quantise(x, scale), scale };
    this.#quantised.set(x, made);
    return made;
  }

  /** x Wᵀ in the form's precision, plus `more`. */
  #base(x: Value, input: string, rows: number, more?: Value): Value {
    const { g } = this;
    const inner = x.shape[1]!;
    if (this.form.precision !== 'int8') return this.#rows(x, g.input(input, [rows, inner]), more);
    const { q, scale } = this.#quantise(x);
    const y = g.linear8(q, scale, g.input(input, [inner, rows], 'i8'), g.input(`${input}.scale`, [rows]));
    return more ? g.add(y, more) : y;
  }

  /** x Wᵀ + bias and, in sided form, (x · v) u beside it. @param rows of the matrix that `input` holds. */
  #product(x: Value, input: string, rows: number, bias?: string): Value {
    const { g, form } = this;
    if (bias !== undefined) this.#useVector(bias, rows);
    if (form.kind === 'plain')
      return this.#base(x, input, rows, bias === undefined ? undefined : g.input(bias, [rows]));
    const u = this.#factor(input, 'u', rows, form.rank);
    const along = g.matmul(this.#apart(x), this.#columns(input, x.shape[1]!, form.rank)); // x · v, (S,R,r)
    const side = bias === undefined ? g.matmul(along, u) : this.#sideWithBias(along, u, bias);
    return this.#base(x, input, rows, this.together(side));
  }

  /** [x · v, 1] [u; bias]: the widest values are passed over once less. */
  #sideWithBias(along: Value, u: Value, bias: string): Value {
    const { g } = this;
    const [sequences = 0, rows = 0] = along.shape;
    const ones = g.constant(new Float32Array(sequences * rows).fill(1), [sequences, rows, 1]);
    const own = g.input(bias, [sequences, 1, u.shape[2]!]);
    return g.matmul(g.concat([along, ones], 2), g.concat([u, own], 1));
  }

  /** x (S·R, in) -> x Wᵀ (S·R, out), plus a bias if one is named. */
  linear(x: Value, input: string, out: number, bias?: string): Value {
    this.uses.push({ input, access: { as: 'matrix' }, shape: [out, x.shape[1]!] });
    return this.#product(x, input, out, bias);
  }

  /** x (S·P, in) -> products with `count` consecutive rows of a stored (out, in) matrix, (S·P, count). */
  piece(x: Value, input: string, out: number, first: number, count: number): Value {
    this.uses.push({ input, access: { as: 'piece', first, count }, shape: [out, x.shape[1]!] });
    return this.#product(x, input, count);
  }

  /** x (S·P, in) -> products with C chosen rows of a stored (out, in) matrix, (S·P, C). */
  choices(x: Value, input: string, out: number, choices: number): Value {
    this.uses.push({ input, access: { as: 'rows', of: 'choices' }, shape: [out, x.shape[1]!] });
    return this.#product(x, input, choices);
  }

  /** Rows of a stored (length, n) table: one a token (S,T,n), or one a position (1,T,n) unless a side moves them apart. */
  rows(input: string, [length, n]: readonly [number, number], access: Access & { as: 'rows' }): Value {
    const { g, form } = this;
    const { sequences, tokens } = this.dims;
    this.uses.push({ input, access, shape: [length, n] });
    const copies = access.of === 'positions' ? 1 : sequences;
    const rows = g.reshape(g.input(input, [copies * tokens, n]), [copies, tokens, n]);
    if (form.kind === 'plain') return rows;
    const u = this.#factor(input, 'u', tokens, form.rank);
    const v = this.#factor(input, 'v', n, form.rank);
    return g.add(rows, g.matmul(g.transpose(u, [0, 2, 1]), v));
  }

  /** x ∘ gain. @param input a stored (n) vector. */
  scale(x: Value, input: string): Value {
    return this.#with(x, input, this.g.mul);
  }

  /** x + bias. @param input a stored (n) vector. */
  shift(x: Value, input: string): Value {
    return this.#with(x, input, this.g.add);
  }

  #useVector(input: string, n: number): void {
    this.uses.push({ input, access: { as: 'vector' }, shape: [n] });
  }

  #with(x: Value, input: string, combine: (x: Value, w: Value) => Value): Value {
    const n = x.shape[1]!;
    this.#useVector(input, n);
    if (this.form.kind === 'plain') return combine(x, this.g.input(input, [n]));
    return this.together(combine(this.#apart(x), this.g.input(input, [this.dims.sequences, 1, n])));
  }
}

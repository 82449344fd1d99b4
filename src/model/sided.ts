/**
 * Access to weights inside a program, in both forms of `stage.ts`, so that an architecture is written once. In plain
 * form a weight is used as it is. In sided form a matrix has a low-rank term beside its product and a vector has one
 * copy a sequence:
 *
 *     y = x Wᵀ + (x · v) u          u (S,r,out), v (S,r,in): a direction for each of the S sequences
 *     y = x W + (x · u) v           of a matrix stored (in, out): rows and columns change places, the noise does not
 *
 * In int8 x Wᵀ is a product of bytes; what stands beside it is not rounded, as a perturbation would not survive it.
 *
 * An adapter adds inputs where the architecture names a product, a key or an embedding; then they alone have sides.
 *
 * Which inputs a program reads, how, and in which stored shape is recorded as it is written: bindings and the list of
 * a model's tensors come out of the same text as the mathematics, so they cannot disagree with it.
 *
 * @module
 */
import { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../nouns.ts';
import { isMatrix } from '../numeric/noise.ts';
import { type Addition, PROMPT } from './adapter.ts';
import type { Access, Dims, Form } from './stage.ts';

/** One use of a tensor by a program. */
export interface Use {
  readonly input: string;
  readonly access: Access;
  /** As stored in the checkpoint. */
  readonly shape: readonly number[];
  /** Of an adapter. */
  readonly added?: true;
}

/** Activations as bytes, and the scale of each row. */
interface Quantised {
  readonly q: Value;
  readonly scale: Value;
}

/** How a matrix lies in the checkpoint: a row for each output, or for each input. */
type Stored = 'matrix' | 'transposed';

/** A program being written. Activations are (S·R, n): R rows of each sequence, one after the other. */
export class Sketch {
  readonly g: GraphBuilder;
  readonly dims: Dims;
  readonly form: Form;
  readonly addition: Addition | undefined;
  readonly uses: Use[] = [];
  readonly #quantised = new Map<Value, Quantised>();

  constructor(name: string, dims: Dims, form: Form, addition?: Addition) {
    this.g = new GraphBuilder(name);
    this.dims = dims;
    this.form = form;
    this.addition = addition;
  }

  /** Form of what the architecture itself reads. */
  get #own(): Form {
    return this.addition && this.form.kind === 'sided' ? { ...this.form, kind: 'plain' } : this.form;
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
  #columns(input: string, side: 'u' | 'v', length: number, rank: number): Value {
    if (rank === 1) return this.g.input(`${input}.${side}`, [this.dims.sequences, length, 1]);
    return this.g.transpose(this.#factor(input, side, length, rank), [0, 2, 1]);
  }

  /** x Wᵀ. A lone row is doubled: runtimes add up the product of one row in another order, and its bits would differ. */
  #rows(x: Value, w: Value, more?: Value): Value {
    const { g } = this;
    return x.shape[0] === 1 ? g.slice(g.linear(g.concat([x, x], 0), w, more), 0, 0, 1) : g.linear(x, w, more);
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

  /** x Wᵀ in the form's precision, plus `more`. Runtimes multiply with a transposed matrix without making it. */
  #base(x: Value, input: string, rows: number, stored: Stored, more?: Value): Value {
    const { g } = this;
    const inner = x.shape[1]!;
    if (this.form.precision !== 'int8') {
      const upright = stored === 'matrix';
      const w = upright ? g.input(input, [rows, inner]) : g.transpose(g.input(input, [inner, rows]), [1, 0]);
      return this.#rows(x, w, more);
    }
    const { q, scale } = this.#quantise(x);
    const y = g.linear8(q, scale, g.input(input, [inner, rows], 'i8'), g.input(`${input}.scale`, [rows]));
    return more ? g.add(y, more) : y;
  }

  /**
   * x Wᵀ + bias and, in sided form, (x · v) u beside it.
   * @param rows outputs that `input` holds weights for.
   */
  #product(x: Value, input: string, rows: number, stored: Stored, bias?: string): Value {
    const { g } = this;
    const form = this.#own;
    if (form.kind === 'plain')
      return this.#base(x, input, rows, stored, bias === undefined ? undefined : g.input(bias, [rows]));
    const [inner, outer] = stored === 'matrix' ? (['v', 'u'] as const) : (['u', 'v'] as const);
    const u = this.#factor(input, outer, rows, form.rank);
    const along = g.matmul(this.#apart(x), this.#columns(input, inner, x.shape[1]!, form.rank)); // x · v, (S,R,r)
    const side = bias === undefined ? g.matmul(along, u) : this.#sideWithBias(along, u, bias);
    return this.#base(x, input, rows, stored, this.together(side));
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
    if (bias !== undefined) this.#useVector(bias, out);
    return this.#adapted(x, input, this.#product(x, input, out, 'matrix', bias));
  }

  /** y + (alpha / r) (x Aᵀ) Bᵀ, if the matrix is a target: Hu et al. 2021, section 4.1. */
  #adapted(x: Value, input: string, y: Value): Value {
    const { g } = this;
    const lora = this.addition?.lora;
    if (!lora?.isTarget(input)) return y;
    const name = (side: 'A' | 'B'): string => input.replace(/weight$/, `lora_${side}.weight`);
    const along = g.mul(this.#added(x, name('A'), lora.rank), g.scalar(lora.scale));
    return g.add(y, this.#added(along, name('B'), y.shape[1]!));
  }

  /** x Wᵀ with a matrix of the adapter. */
  #added(x: Value, input: string, rows: number): Value {
    const { g, form } = this;
    const shape = [rows, x.shape[1]!] as const;
    if (!this.#useTable(input, shape)) {
      if (form.kind === 'plain') return this.#rows(x, g.input(input, shape));
      const own = g.input(input, [this.dims.sequences, ...shape]);
      return this.together(g.matmul(this.#apart(x), g.transpose(own, [0, 2, 1])));
    }
    const w = g.input(input, shape);
    if (form.kind === 'plain') return this.#rows(x, w);
    const u = this.#factor(input, 'u', rows, form.rank);
    const along = g.matmul(this.#apart(x), this.#columns(input, 'v', shape[1], form.rank));
    return this.#rows(x, w, this.together(g.matmul(along, u)));
  }

  /** @returns whether it is one for low-rank noise. */
  #useTable(input: string, shape: readonly number[]): boolean {
    const wide = isMatrix(shape);
    this.uses.push({ input, access: { as: wide ? 'table' : 'vector' }, shape, added: true });
    return wide;
  }

  /** A table (n, width) of the adapter, one for each sequence: (S, n, width). */
  #table(input: string, [n, width]: readonly [number, number]): Value {
    const { g, form } = this;
    const { sequences } = this.dims;
    const wide = this.#useTable(input, [n, width]);
    if (form.kind === 'sided' && !wide) return g.input(input, [sequences, n, width]);
    const table = g.reshape(g.input(input, [n, width]), [1, n, width]);
    if (form.kind === 'plain')
      return sequences === 1
        ? table
        : g.concat(
            Array.from({ length: sequences }, () => table),
            0,
          );
    const u = this.#factor(input, 'u', n, form.rank);
    return g.add(table, g.matmul(g.transpose(u, [0, 2, 1]), this.#factor(input, 'v', width, form.rank)));
  }

  /** Keys or values (S,G,T,d) -> (S,G,m+T,d), those of a prefix first. @param input where it has its name from. */
  prefixed(x: Value, input: string): Value {
    const { g } = this;
    const [sequences = 0, groups = 0, , headDim = 0] = x.shape;
    if (this.addition?.capture) g.output(input, x);
    const m = this.addition?.prefix;
    if (m === undefined) return x;
    const table = g.reshape(this.#table(input, [m, groups * headDim]), [sequences, m, groups, headDim]);
    return g.concat([g.transpose(table, [0, 2, 1, 3]), x], 2);
  }

  /** Embeddings of tokens (S,T,n) -> (S,m+T,n), those of a prompt first. */
  prompted(x: Value): Value {
    const m = this.addition?.prompt;
    return m === undefined ? x : this.g.concat([this.#table(PROMPT, [m, x.shape[2]!]), x], 1);
  }

  /** Rows of positions as they stand behind a prefix, or around a prompt. */
  #placed(access: Access & { as: 'rows' }): Access & { as: 'rows' } {
    if (access.of !== 'positions') return access;
    const { prefix = 0, prompt } = this.addition ?? {};
    return { ...access, offset: access.offset + prefix, ...(prompt === undefined ? {} : { more: prompt }) };
  }

  /** The same with a matrix that is stored (in, out), as GPT-2's Conv1D stores it. */
  conv1d(x: Value, input: string, out: number, bias: string): Value {
    this.uses.push({ input, access: { as: 'transposed' }, shape: [x.shape[1]!, out] });
    this.#useVector(bias, out);
    return this.#adapted(x, input, this.#product(x, input, out, 'transposed', bias));
  }

  /** x (S·P, in) -> products with `count` consecutive rows of a stored (out, in) matrix, (S·P, count), plus their biases. */
  piece(x: Value, input: string, out: number, first: number, count: number, bias?: string): Value {
    return this.#part(x, input, out, { as: 'piece', first, count }, count, bias);
  }

  /** x (S·P, in) -> products with C chosen rows of a stored (out, in) matrix, (S·P, C), plus their biases. */
  choices(x: Value, input: string, out: number, choices: number, bias?: string): Value {
    return this.#part(x, input, out, { as: 'rows', of: 'choices' }, choices, bias);
  }

  #part(x: Value, input: string, out: number, access: Access, count: number, bias?: string): Value {
    this.uses.push({ input, access, shape: [out, x.shape[1]!] });
    if (bias !== undefined) this.uses.push({ input: bias, access, shape: [out] });
    return this.#product(x, input, count, 'matrix', bias);
  }

  /**
   * Rows of a stored (length, n) table: one a token (S,T,n); one a position (1,T,n) or one for all (1,1,n), unless a
   * side moves them apart.
   */
  rows(input: string, [length, n]: readonly [number, number], given: Access & { as: 'rows' }): Value {
    const { g } = this;
    const form = this.#own;
    const access = this.#placed(given);
    const { sequences } = this.dims;
    const tokens = this.dims.tokens + (access.of === 'positions' ? (access.more ?? 0) : 0);
    if (access.of === 'one' && length === 1) return this.#onlyRow(input, n);
    this.uses.push({ input, access, shape: [length, n] });
    const copies = access.of === 'tokens' ? sequences : 1;
    const each = access.of === 'one' ? 1 : tokens;
    const rows = g.reshape(g.input(input, [copies * each, n]), [copies, each, n]);
    if (form.kind === 'plain') return rows;
    const u = this.#factor(input, 'u', each, form.rank);
    const v = this.#factor(input, 'v', n, form.rank);
    return g.add(rows, g.matmul(g.transpose(u, [0, 2, 1]), v));
  }

  /** A table of one row has no low-rank factors (docs/NUMBERS.md 3): it is read as a vector. */
  #onlyRow(input: string, n: number): Value {
    const { g } = this;
    this.uses.push({ input, access: { as: 'vector' }, shape: [1, n] });
    return this.#own.kind === 'plain'
      ? g.reshape(g.input(input, [n]), [1, 1, n])
      : g.input(input, [this.dims.sequences, 1, n]);
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
    if (this.#own.kind === 'plain') return combine(x, this.g.input(input, [n]));
    return this.together(combine(this.#apart(x), this.g.input(input, [this.dims.sequences, 1, n])));
  }
}

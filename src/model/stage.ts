/**
 * A model as data: a list of stages, each a program, the tensors it binds, and its constant inputs. Weights are inputs
 * of programs, never part of them, so few programs serve all layers, and a probe can pass perturbed weights in.
 *
 * Stages pass activations `x` of shape (S·T, D) on, S sequences of T tokens, right-padded: causal attention keeps
 * padding from touching what comes before it; where every token sees every other, a mask does (`batchInputs`).
 *
 * @module
 */
import type { Batch, Graph, Precision } from '../nouns.ts';
import type { AdapterView } from './adapter.ts';

export interface Dims {
  /** S: sequences in a call. */
  readonly sequences: number;
  /** T: tokens of each, padding included. */
  readonly tokens: number;
  /** P: scored positions of each, padding included. */
  readonly scored: number;
  /** Keys and values before the first token, hence its position: a prefix. None if absent. */
  readonly before?: number;
}

/**
 * How weights reach a program. `plain`: as they are. `sided`: matrices as they are with a low-rank term beside the
 * product, a direction for every sequence (y = x Wᵀ + (x·v) u, DESIGN 5), vectors perturbed, one for every sequence.
 *
 * `precision` is that of the products with matrices and choices: f32 if absent. In int8 their weights come rounded to
 * bytes (`Kernels.quantiseRows`) and activations are rounded on the way; sides and everything else stay f32.
 */
export type Form = ({ readonly kind: 'plain' } | { readonly kind: 'sided'; readonly rank: number }) & {
  readonly precision?: Precision;
};

/**
 * How a graph input reads a tensor, and the shapes it then has.
 *
 * | access | input | shape | sided: also |
 * |---|---|---|---|
 * | matrix (o,i) | `name` | (o,i) | `name.v` (S,r,i), `name.u` (S,r,o) |
 * | transposed: matrix stored (i,o) | `name` | (i,o) | `name.u` (S,r,i), `name.v` (S,r,o) |
 * | piece of a matrix, from (V,D) | `name` | (n,D) | `name.v` (S,r,D), `name.u` (S,r,n) |
 * | vector (n), or (1,n) | `name` | plain (n), sided (S,1,n) | |
 * | piece of a vector, from (V) | `name` | plain (n), sided (S,1,n) | |
 * | rows of tokens, from (V,D) | `name` | (S·T,D) | `name.u` (S,r,T), `name.v` (S,r,D) |
 * | table (n,D) of an adapter, in floats always | `name` | (n,D) | `name.v` (S,r,D), `name.u` (S,r,n) |
 * | rows of positions, from (M,D) | `name` | (T,D), row t + offset, and `more` | `name.u` (S,r,T), `name.v` (S,r,D) |
 * | one row, from (M,D) | `name` | (1,D) | `name.u` (S,r,1), `name.v` (S,r,D) |
 * | rows of choices, from (V,D) | `name` | (C,D) | `name.v` (S,r,D), `name.u` (S,r,C) |
 * | rows of choices, from (V) | `name` | plain (C), sided (S,1,C) | |
 *
 * In int8, `name` of a matrix is i8 (i,o) however it is stored, and of choices i8 (D,C), with `name.scale` (o) or (C)
 * beside it: a weight is their product.
 *
 * A table too thin for low-rank noise (one row, or one column) is read as a vector, in the shape it has. What a model
 * with an adapter binds of its base stands still: it is read in plain form always.
 *
 * For a matrix stored (R,C), z = Σ_r u_r v_rᵀ with u over R and v over C. `u` inputs carry the factor ±eps·scale.
 */
export type Access =
  | { readonly as: 'matrix' }
  | { readonly as: 'transposed' }
  /** Rows `first` … `first + count - 1`. */
  | { readonly as: 'piece'; readonly first: number; readonly count: number }
  | { readonly as: 'vector' }
  | { readonly as: 'table' }
  | { readonly as: 'rows'; readonly of: 'tokens' | 'choices' }
  /** Of T positions, and so many more. */
  | { readonly as: 'rows'; readonly of: 'positions'; readonly offset: number; readonly more?: number }
  | { readonly as: 'rows'; readonly of: 'one'; readonly row: number };

export interface Binding {
  /** Name of the graph input. */
  readonly input: string;
  /** Name of the tensor in the checkpoint. */
  readonly tensor: string;
  readonly access: Access;
  /** No direction moves it, in any round: of the base of a model with an adapter. */
  readonly still?: true;
}

export interface Stage {
  /** Stages with the same program text share compiled graphs. */
  readonly program: string;
  readonly bindings: readonly Binding[];
  build(dims: Dims, form: Form): Graph;
  /** Constant inputs (RoPE tables, masks) by name. Must depend on `dims` only. */
  constants(dims: Dims): Readonly<Record<string, Float32Array>>;
  /** Inputs that depend on the batch, such as the mask of its padding. Absent: there are none. */
  readonly batchInputs?: (batch: Padded) => Readonly<Record<string, Float32Array>>;
}

/** Where the padding of a batch is. */
export type Padded = Pick<Batch, 'sequences' | 'tokens' | 'lengths'>;

/**
 * What the head computes, piece by piece, from `x` (S·P, D), the scored rows of the last activations:
 * `lm`: input `targets` i32 (S·P), rows of the piece → `picked` (S·P), their logits, and `share` (S·P), the logarithms of
 * their parts in the piece's softmax. `choice` (one piece): `scores` (S·P, C), the logits of the bound choice rows.
 * `logits`: `logits` (S·P, n) of the piece's n rows.
 */
export type Head =
  | { readonly kind: 'lm' }
  | { readonly kind: 'choice'; readonly choices: number }
  | { readonly kind: 'logits' };

export interface TensorSpec {
  readonly name: string;
  /** As stored in the checkpoint, row-major. */
  readonly shape: readonly number[];
  /** Rank of the name in bytewise order over all tensors of the model. */
  readonly id: number;
}

/** What is trained in place of the model. */
export interface Adapter {
  readonly view: AdapterView;
  /** Names of its tensors, by id. */
  readonly tensors: readonly string[];
  /** Where names of the body start in the checkpoint, and in transformers. */
  readonly starts: readonly [stored: string, canonical: string];
}

/** An architecture bound to one config.json. */
export interface Model {
  /** `causal`: a token sees those before it, and the next one is predicted. `masked`: all see all, and what a mask hides is. */
  readonly kind: 'causal' | 'masked';
  readonly hidden: number;
  readonly vocabulary: number;
  /** Longest sequence of text: what an adapter puts before it is counted off. */
  readonly positions: number;
  readonly adapter?: Adapter;
  /** Embeddings before those of the tokens: stages behind `embed` have so many tokens more. */
  readonly virtual: number;
  /** Every tensor, ordered by id. A tied head has none of its own. */
  readonly tensors: readonly TensorSpec[];
  /** Token ids → x: no `x` input; output `y` (S·T, D), like the blocks'. */
  readonly embed: Stage;
  /** x → y, (S·T, D) both. */
  readonly blocks: readonly Stage[];
  /** x (S·T, D), `at` i32 (S·P) → y (S·P, D): scored rows, through the last norm. */
  readonly final: Stage;
  /** The head, cut into pieces of consecutive rows; a choice has one. */
  head(head: Head): readonly Piece[];
}

/** Part of the head. */
export interface Piece {
  readonly stage: Stage;
  /** First row of the head matrix in it, and how many. */
  readonly first: number;
  readonly count: number;
}

/** Sizes of the stages behind `embed`. */
export const behind = <D extends Dims>({ virtual }: Pick<Model, 'virtual'>, dims: D): D =>
  virtual === 0 ? dims : { ...dims, tokens: dims.tokens + virtual };

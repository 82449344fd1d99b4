/**
 * The port between the definition of Murmur's arithmetic and what runs it. `reference/` (plain TypeScript) is the
 * definition; `wasm/` must equal it bit for bit, and so must `webgpu/`, behind the port of device-kernels.ts.
 * docs/NUMBERS.md is the text of all.
 *
 * @module
 */
import type { DirectionKey, DirectionKind } from '../nouns.ts';

/** A record as `apply` sees it: a direction and the integer it is multiplied with (for one tensor). */
export interface Term {
  readonly key: DirectionKey;
  /** |c| <= 2^30 of a record. Those of records along one direction add up modulo 2^32. */
  readonly c: number;
}

/** A tensor's place in the noise: which part of a direction it reads. */
export interface TensorNoise {
  /** Rank in the bytewise-sorted list of tensor names, below 2^20. Tied tensors share one. */
  readonly id: number;
  /** As stored on the Hub. Two axes, both longer than 1, make a matrix; everything else is a vector of its elements. */
  readonly shape: readonly number[];
  /** A set bit for each element that dense directions move (`element-mask.ts`); on the others z is 0. Absent: all. */
  readonly moved?: Uint32Array;
}

/** A step of AdamW (`optimizer/adamw.ts`) on a tensor. */
export interface AdamStep {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** η / (1 - β1ᵗ) */
  readonly step: number;
  /** √(1 - β2ᵗ) */
  readonly root: number;
  /** What the gradient is multiplied with. */
  readonly factor: number;
  /** η λ */
  readonly decay: number;
}

/**
 * Kernels over arrays of their own memory: every array passed in must come from `f32`, `i32` or `i8` of the same
 * kernels (or be a subarray of one). Arrays passed as lists (`out`, `q`) are overwritten where said.
 */
export interface Kernels {
  readonly name: 'reference' | 'wasm';
  f32(length: number): Float32Array;
  i32(length: number): Int32Array;
  i8(length: number): Int8Array;

  /** out[i] = fround(q[i]) · 2^exponent. `out` may lie on `q`, element on element. */
  materialise(q: Int32Array, exponent: number, out: Float32Array): void;

  /**
   * Weights as bytes, for 8-bit products (docs/NUMBERS.md 1): q (rows, columns) -> out (columns, rows), transposed. The
   * largest |q| of a row becomes ±64, and w is about scale[row] · out[column, row].
   * @param scale (rows,), overwritten like `out`.
   */
  quantiseRows(q: Int32Array, columns: number, exponent: number, out: Int8Array, scale: Float32Array): void;

  /**
   * plus[i], minus[i] = fround(w[first + i] ± fround(delta · z[first + i])), w as in `materialise`; z is the direction
   * `key` of `kind` on `tensor`. For low-rank matrices z is the sum of `rank` outer products.
   *
   * @param q the whole tensor. @param first element where the equally long `plus` and `minus` begin; of low-rank
   * matrices they must be whole rows.
   */
  materialisePair(
    q: Int32Array,
    exponent: number,
    tensor: TensorNoise,
    kind: DirectionKind,
    rank: number,
    key: DirectionKey,
    delta: number,
    first: number,
    plus: Float32Array,
    minus: Float32Array,
  ): void;

  /**
   * Rademacher factors of low-rank directions, from element `first` on, for both sides of a measurement:
   * out (2 · keys, rank, n), out[2i, k, j] = ±fround(plus) and out[2i + 1, k, j] = ±fround(minus), with the sign of
   * element first + j of component k of direction keys[i].
   * @param stream U_STREAM (rows) or V_STREAM (columns). @param first a multiple of 128, the signs of a block.
   */
  factors(
    stream: 1 | 2,
    rank: number,
    tensorId: number,
    keys: readonly DirectionKey[],
    plus: number,
    minus: number,
    first: number,
    out: Float32Array,
  ): void;

  /** A component at the given elements: out[i] = ±fround(value), the sign that of element index[i]. */
  factorAt(
    stream: 1 | 2,
    component: number,
    tensorId: number,
    key: DirectionKey,
    value: number,
    index: Int32Array,
    out: Float32Array,
  ): void;

  /** For each record the word that rounds its coefficient on a tensor. */
  roundingWords(tensorId: number, records: readonly Pick<Term, 'key'>[]): Uint32Array;

  /** q[i] += Σ c·z[i] over the terms, modulo 2^32: any order of terms gives the same bits. */
  apply(q: Int32Array, tensor: TensorNoise, kind: DirectionKind, rank: number, terms: readonly Term[]): void;

  /** Keyed linear checksum (docs/NUMBERS.md 8): 64 bits as two u32, and max |q|. `offset` is the index of q[0] in the chunked whole. */
  checksum(
    q: Int32Array,
    key: number,
    offset: number,
  ): { readonly low: number; readonly high: number; readonly peak: number };

  /** max |q|, 0 of nothing. */
  peak(q: Int32Array): number;

  /**
   * Clipping, AdamW and its addition to the weights in one pass: `scale`, `adamw` and `addChange`, which are the definition.
   * Absent where nothing is faster than they are.
   *
   * @param q overwritten. @param g gradient, of any memory, as `m` and `v`, which are updated.
   * @returns as `addChange`: above 2^30 or NaN q is no use.
   */
  readonly adamw?: (
    q: Int32Array,
    exponent: number,
    g: Float32Array,
    m: Float32Array,
    v: Float32Array,
    by: AdamStep,
  ) => number;
}

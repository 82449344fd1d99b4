/**
 * Tensor programs as data: what is computed, without a word on how.
 *
 * @module
 */

export type Shape = readonly number[];
export type Dtype = 'f32' | 'i32' | 'i8' | 'u8';

/** A named array with a static, row-major shape. */
export interface Value {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: Shape;
}

/** What a node computes. `src/graph/shape.ts` types it, `interpreter.ts` says what it means, and ONNX must agree. */
export type Op =
  | { readonly op: 'linear' } // x (n,i), w (o,i) -> x wᵀ (n,o); with a third input, plus that: (n,o), or (o) for every row
  // The three parts of `linear` in 8 bits. Each row has a scale of its own, so that it does not depend on its company.
  | { readonly op: 'rowScale' } // x (n,i) -> max |x| / 127 of every row (n)
  | { readonly op: 'quantise' } // x (n,i), scale (n) -> 128 + x / scale, to the nearest, u8 (n,i)
  | { readonly op: 'linear8' } // q u8 (n,i), scale (n), w i8 (i,o), its scale (o) -> (q - 128) w · both scales (n,o)
  | { readonly op: 'matmul' } // (…,n,k), (…,k,m) -> (…,n,m); leading axes broadcast
  | { readonly op: 'add' | 'sub' | 'mul' } // broadcast
  | { readonly op: 'sigmoid' | 'relu' | 'tanh' | 'erf' | 'exp' } // element by element
  | { readonly op: 'step' } // 1 where an element is above 0, else 0
  | { readonly op: 'rsqrt' } // 1 / sqrt(x), element by element
  | { readonly op: 'softmax' | 'logSoftmax' } // over the last axis
  | { readonly op: 'rmsNorm' | 'layerNorm'; readonly epsilon: number } // over the last axis, no gain, no bias
  | { readonly op: 'sum'; readonly axes: Shape } // over these axes, which stay with length 1
  | { readonly op: 'reshape'; readonly shape: Shape }
  | { readonly op: 'transpose'; readonly perm: Shape }
  | { readonly op: 'concat'; readonly axis: number }
  | { readonly op: 'slice'; readonly axis: number; readonly start: number; readonly end: number }
  | { readonly op: 'gather' } // table (r,…), i32 index (n) -> rows (n,…)
  | { readonly op: 'pick' } // x (n,v), i32 index (n) -> x[i, index[i]] (n)
  | { readonly op: 'oneHot'; readonly depth: number }; // i32 index (n) -> (n,depth), 1 at [i, index[i]], else 0

export interface Node {
  readonly op: Op;
  readonly inputs: readonly string[];
  readonly output: Value;
}

/** A tensor program in single-assignment form, nodes in topological order. Weights are inputs, like everything else. */
export interface Graph {
  /** For messages. */
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly constants: readonly (Value & { readonly data: Float32Array | Int32Array })[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly Value[];
}

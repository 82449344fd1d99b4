/**
 * What travels where peers exchange vectors, a value for each weight, in place of bytes. `nouns.ts` has the rest.
 *
 * @module
 */

/** How the values of a vector are written for a link: `compress/formats.ts`. */
export type Format = 'f32' | 'f16' | 'int8' | 'e3m0';

export type FirstOrder =
  | { readonly kind: 'adamw'; readonly beta1: number; readonly beta2: number; readonly epsilon: number }
  | { readonly kind: 'sgd'; readonly momentum: number };

/** Aggregations that a few shares cannot pull where they like. */
export type Robust = 'median' | 'trimmed_mean' | 'geometric_median' | 'krum' | 'multi_krum' | 'mda' | 'nna';

/** A step along a gradient. */
export interface Descent {
  readonly optim: FirstOrder;
  /** λ: part of a matrix that goes with every step, times the rate. */
  readonly weight_decay: number;
  /** Norm that a gradient is clipped to; 0: not at all. */
  readonly max_grad_norm: number;
  readonly per_device_train_batch_size: number;
  /** Batches of a step. */
  readonly gradient_accumulation_steps: number;
}

/**
 * A run whose peers train along gradients and exchange vectors with a value for each weight. A record of such a run is an
 * inner step. What a peer sends of a round is its **share**; what they come to is a **merge**: a change of the weights.
 *
 * `diloco`: a share is how far the peer's inner steps took its weights; the merge is an outer step along their mean
 * (docs/papers/diloco.md). `monna`: a share is that too, but each peer hears all of them and mixes those nearest to its
 * own; the merge is what the run publishes (docs/papers/monna.md). The others exchange gradients, and the merge is a step
 * of the optimizer. `ddp`: everybody waits for it. `dpu`: peers go on with the weights from before it, one step late.
 * `acco`: the same, but every second merge is tentative, an estimate of the weights to go on with, which the next one takes
 * back (docs/papers/acco.md).
 */
export interface Exchange extends Descent {
  readonly kind: 'diloco' | 'monna' | 'ddp' | 'dpu' | 'acco';
  /** Inner steps of a peer in a round: H. Of gradients: at most so many batches, of ddp 1. */
  readonly steps: number;
  /** Outer Nesterov step of `diloco`. */
  readonly outer_learning_rate: number;
  readonly outer_momentum: number;
  /** Of shares, and of merges. */
  readonly format: Format;
  /** A round merges one of so many groups of blocks, in turn (Streaming DiLoCo); 1: all weights every round. */
  readonly fragments: number;
  /** Inner steps that go on while a round is merged: τ. */
  readonly overlap: number;
  /** Part of its own weights that a peer keeps where it takes merged ones: α. 0 without overlap. */
  readonly mixing: number;
  /** The data is cut into so many parts, and a peer reads one of them; 1: everybody reads all. */
  readonly data_parts: number;
  /** How shares are made one, where peers may lie: `byzantine` of them at most. Absent: their mean (`src/aggregate`). */
  readonly aggregation?: { readonly by: Robust; readonly byzantine: number };
  /** Part of the shares that their peers keep to themselves: a study of lost messages. */
  readonly dropped: number;
}

/** What a peer added to a merge: it took steps `from` … `from + count - 1` of the round. */
export interface Share {
  readonly slot: number;
  readonly from: number;
  readonly count: number;
  /** SHA-256 over what it signed: the count and the hashes of its chunks. */
  readonly digest: Uint8Array;
}

/** A committed round of an exchange: the change of the weights, by hash, and whose shares it was made of. */
export interface Merge {
  readonly round: number;
  /** By slot, ascending. */
  readonly shares: readonly Share[];
  /** SHA-256 of each chunk of the change (`wire/chunks.ts`), in order. */
  readonly chunks: readonly Uint8Array[];
}

/** Chunks by hash, both ways. Whoever lacks some asks, a few at a time, and gets nothing that it did not ask for. */
export type ChunkMessage =
  | { readonly type: 'want'; readonly hashes: readonly Uint8Array[] }
  /** `packed`: `wire/chunks.ts`; empty: it is not here any more. */
  | { readonly type: 'chunk'; readonly hash: Uint8Array; readonly packed: Uint8Array };

/**
 * A peer makes parts of a merge, each a chunk: `shares` are those that it is made of, in that order, and of each part the
 * hashes are of their chunks. It says what they add up to, is told the norm of the whole, and says what the parts come to.
 * An attempt that somebody's death ended is followed by another of the same round.
 */
export type MergeOrder =
  | {
      readonly type: 'sum';
      readonly round: number;
      readonly attempt: number;
      readonly shares: readonly { readonly slot: number; readonly count: number }[];
      readonly parts: readonly { readonly part: number; readonly hashes: readonly Uint8Array[] }[];
    }
  | { readonly type: 'settle'; readonly round: number; readonly attempt: number; readonly norm: number };

export type MergeAnswer =
  /** Σ of the squares of the mean, by part; slots whose shares are no vectors. */
  | {
      readonly type: 'summed';
      readonly round: number;
      readonly attempt: number;
      readonly squares: readonly number[];
      readonly refused: readonly number[];
    }
  /** The change, a chunk a part. */
  | {
      readonly type: 'settled';
      readonly round: number;
      readonly attempt: number;
      readonly hashes: readonly Uint8Array[];
    };

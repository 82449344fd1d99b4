/**
 * What travels. The vocabulary of Murmur: types, shapes and units, no code.
 *
 * A **probe** is a direction in weight space, measured by a loss difference. It leaves its peer as one byte, is
 * **committed** in a round, lands in the **journal**, and is **applied** to the weights of every replica.
 *
 * @module
 */

export type * from './programs.ts';
export type * from './trust.ts';
export type * from './vectors.ts';

import type { Audit, Privacy, ScalarAggregation } from './trust.ts';
import type { ChunkMessage, Exchange, Merge, MergeAnswer, MergeOrder } from './vectors.ts';

/** Lower-case hexadecimal text. */
export type Hex = string;

/** A file named by what it holds. `path` is relative to the folder it came from. */
export interface BlobRef {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: Hex;
}

// ---------------------------------------------------------------------------------------------------- directions

/**
 * How z is drawn (docs/NUMBERS.md 3). `lowrank`: matrices get a sum of `rank` outer products of Rademacher vectors,
 * vectors are dense Rademacher. `rademacher` and `binomial` are dense for every tensor.
 */
export type DirectionKind = 'lowrank' | 'rademacher' | 'binomial';

export interface Direction {
  readonly kind: DirectionKind;
  /** Outer products per matrix; 1 for the dense kinds. */
  readonly rank: number;
  /**
   * What one unit of integer noise is worth, so that every kind has unit variance: 1 for Rademacher and rank 1,
   * 1/2 for binomial, 1/sqrt(rank) for low rank. Written in the manifest, hence never recomputed.
   */
  readonly scale: number;
  /** `lowrank`: v stays for so many rounds, u is new in each (LOZO's ν). Absent: 1. */
  readonly lazy?: number;
}

/**
 * Which directions a run has, where it is not one for each record. `pool`: so many for the whole run, drawn anew for
 * every record (FedKSeed). `shared`: so many a round, each measured by several records (DeComFL).
 */
export type DirectionSet = { readonly pool: number } | { readonly shared: number };

/**
 * Dense directions that are 0 on most elements: a `kept / of` part of them moves. `random`: drawn once for the run.
 * `magnitude`: those whose weight is at most the quantile kept / of of |w| of their tensor's base (Sparse-MeZO).
 */
export interface ElementMask {
  readonly by: 'random' | 'magnitude';
  readonly kept: number;
  readonly of: number;
}

/** The name of one direction: everything that its noise depends on, except the tensor. All are u32. */
export interface DirectionKey {
  /** Round in which it was measured. */
  readonly round: number;
  /** First four bytes of the run id, little-endian. */
  readonly run: number;
  /** Index of the record inside its slot and round. */
  readonly sample: number;
  /** Peer slot, SHARED_SLOT where the round's records are numbered over all peers, or POOL_SLOT. */
  readonly slot: number;
  /** Round that the column factors of a low-rank direction are of, where it is an earlier one (`Direction.lazy`). */
  readonly columns?: number;
}

/** Each round perturbs and updates a `kept / of` part of the tensors, drawn anew (docs/NUMBERS.md 3). 1 <= kept < of. */
export interface TensorMask {
  readonly kept: number;
  readonly of: number;
}

/** Of the products with weights while losses are measured: floats, or bytes (`Form` in model/stage.ts says which). */
export type Precision = 'f32' | 'int8';

/** The slot of directions that belong to the round and not to a peer (docs/NUMBERS.md 2). */
export const SHARED_SLOT = 0xffff_fffe;
/** The slot of directions that belong to the run: its pool. */
export const POOL_SLOT = 0xffff_ffff;

// -------------------------------------------------------------------------------------------------------- manifest

/** Which tensors are trained. Those of an adapter are added to the model's; all others then stay the base's. */
export type View =
  | 'full'
  /** The last blocks with what follows them. */
  | { readonly last_blocks: number }
  /** W + (alpha / rank) B A on the matrices whose names end in one of `targets` (Hu et al. 2021, arXiv:2106.09685). */
  | { readonly lora: { readonly rank: number; readonly alpha: number; readonly targets: readonly string[] } }
  /** So many keys and values before those of every block (Li & Liang 2021, arXiv:2101.00190). */
  | { readonly prefix: { readonly tokens: number } }
  /** So many embeddings before those of the tokens (Lester et al. 2021, arXiv:2104.08691). */
  | { readonly prompt: { readonly tokens: number } };

/** How a record's number is measured. Absent in a manifest: `spsa`. */
export type Estimator = 'spsa' | 'conservative' | 'forward_gradient';

/**
 * From measured slopes to a step. Absent in a manifest: plain SGD. Which of them keep a round's records independent of
 * each other and of the order of rounds is said in docs/NUMBERS.md 6.
 */
export type Optimizer =
  | { readonly kind: 'sign' }
  | { readonly kind: 'normalised' }
  | { readonly kind: 'momentum'; readonly beta: number; readonly window: number }
  | {
      readonly kind: 'scalar_adam';
      readonly beta1: number;
      readonly beta2: number;
      readonly epsilon: number;
      readonly window: number;
    }
  | { readonly kind: 'adam'; readonly beta1: number; readonly beta2: number; readonly epsilon: number };

/** What is made small. Absent in a manifest: the task's loss. The others are of samples of a task, the larger the better. */
export type Objective = 'accuracy' | 'f1' | { readonly reward: BlobRef };

/** What a sample is and how it is scored. */
export type Task =
  /** Language modelling over windows of `window` + 1 tokens: every token after the first is scored. */
  | { readonly kind: 'lm'; readonly window: number }
  /** Classification by label-word logits at the end of a prompt (MeZO, App. E.2). `{column}` stands for a column. */
  | {
      readonly kind: 'choice';
      readonly prompt: string;
      readonly label_column: string;
      /** Label value in the data → word that stands for it, in the order of the classes. */
      readonly labels: readonly { readonly value: string; readonly word: string }[];
      readonly rows?: string;
    }
  /** Language modelling of masked tokens: a `masked` part of each window is hidden and scored (BERT, arXiv:1810.04805). */
  | { readonly kind: 'masked_lm'; readonly window: number; readonly masked: number }
  /** Multiple choice: trained on the right candidate's tokens, judged by mean log-likelihood (MeZO, App. E.2). */
  | {
      readonly kind: 'candidates';
      readonly prompt: string;
      readonly candidates_column: string;
      readonly answer_column: string;
      /** Name of what makes the columns out of the rows of a data set (`data/tasks`). Absent: they are there. */
      readonly rows?: string;
    }
  /** An answer in words. Trained on the first accepted one, judged by F1 of what is written. No column: prompts alone. */
  | {
      readonly kind: 'answer';
      readonly prompt: string;
      readonly answers_column: string;
      readonly max_new_tokens: number;
      readonly stop: readonly string[];
      /** Of texts that an objective is measured on. Absent: the likeliest token, as in evaluations. */
      readonly temperature?: number;
      readonly rows?: string;
    };

/** Everything that changes bits. Its canonical JSON is the first record of the journal; its SHA-256 is the run id. */
export interface Manifest {
  readonly format: 1;
  /** Version of docs/NUMBERS.md: noise, byte and apply. */
  readonly numbers: 1;
  /** The base checkpoint: config.json, safetensors and tokenizer files, each by hash. */
  readonly base: { readonly name: string; readonly files: readonly BlobRef[] };
  /** Which tensors are trained (`model/view.ts`). */
  readonly view: View;
  /** `exchange`: peers train along gradients, and the keys of probes say nothing. */
  readonly method: 'onebyte' | 'exchange';
  readonly exchange?: Exchange;
  readonly estimator?: Estimator;
  readonly optimizer?: Optimizer;
  readonly objective?: Objective;
  readonly direction: Direction;
  readonly directions?: DirectionSet;
  /** For shared directions. Absent: the records of one add up, like all others. */
  readonly scalar_aggregation?: ScalarAggregation;
  /** Absent: bytes tell what they tell (docs/THREATS.md). */
  readonly privacy?: Privacy;
  /** Absent: every round perturbs and updates every tensor. */
  readonly tensor_mask?: TensorMask;
  readonly element_mask?: ElementMask;
  /** A round perturbs and updates the tensors of so many neighbouring blocks, in turn. Absent: all. */
  readonly blocks_per_round?: number;
  /** Half the distance between the two measurements, in units of weights. */
  readonly eps: number;
  readonly learning_rate: number;
  readonly lr_scheduler_type: 'constant' | 'linear' | 'cosine';
  readonly warmup_steps: number;
  /** Rounds in the run. */
  readonly max_steps: number;
  readonly reduction: 'mean' | 'sqrt' | 'sum';
  /** Records (bytes) asked for in a round, over all peers. */
  readonly records_per_round: number;
  /** Samples whose mean loss one record measures: 1 is a direction per sample. */
  readonly samples_per_record: number;
  /** Byte scale of round 0 (docs/NUMBERS.md 5): an integer in units of 2^-32. */
  readonly initial_scale: number;
  /** Largest |code| that counts, 1 to 127. */
  readonly clip: number;
  readonly task: Task;
  readonly data: {
    readonly train: BlobRef;
    /** Held-out data; absent: a contiguous tail of `train`. */
    readonly eval?: BlobRef;
    /** Part of `train` held out at its end, when `eval` and `sample.per_class` are absent. */
    readonly eval_fraction: number;
    /**
     * A part of the rows of `train`, drawn by `seed` (docs/NUMBERS.md 7): so many of every class, and without `eval` as
     * many again to be held out; or the first so many of those drawn. Absent: all of them, in their order.
     */
    readonly sample?: ({ readonly per_class: number } | { readonly first: number }) & { readonly seed: number };
  };
  readonly seed: number;
  /**
   * The least precision that losses are measured in. A peer may measure in f32 in an int8 run: what it sends is a byte of
   * the same slope. Int8 is for low-rank directions only, which stand beside the bytes; a dense one would be rounded away.
   */
  readonly forward_precision: Precision;
  /** Ed25519 public key of the coordinator: signs every record of the journal. */
  readonly coordinator: Hex;
}

// ---------------------------------------------------------------------------------------------------------- rounds

/** Codes a peer measured: records `from` … `from + codes.length - 1` of a round. `NO_LOSS` marks an unusable one. */
export interface Segment {
  readonly slot: number;
  readonly from: number;
  readonly codes: Int8Array;
}

/** The code of a probe whose loss was not a number. */
export const NO_LOSS = -128;

/** What every replica needs to turn a round's codes into integers. A pure function of the manifest and the journal. */
export interface Header {
  readonly round: number;
  /** Codes in the set that are not NO_LOSS. */
  readonly usable: number;
  /** Learning rate × direction scale × reduction, as an exact double. */
  readonly gain: number;
  /** Loss slope per code: an integer in units of 2^-32. */
  readonly scale: number;
  readonly clip: number;
}

export interface Round {
  readonly header: Header;
  /** Sorted by `from`; ranges do not overlap. */
  readonly segments: readonly Segment[];
}

// --------------------------------------------------------------------------------------------------------- records

/** Journal entries. docs/WIRE.md gives their bytes. */
export type Entry =
  | { readonly type: 'manifest'; readonly manifest: Manifest }
  | { readonly type: 'admit'; readonly slot: number; readonly key: Uint8Array; readonly name: string }
  | { readonly type: 'evict'; readonly slot: number; readonly reason: string }
  | { readonly type: 'round'; readonly round: Round }
  | { readonly type: 'merge'; readonly merge: Merge }
  | { readonly type: 'audit'; readonly audit: Audit }
  /** `round`: rounds applied when it was measured; 0 is the base. */
  | {
      readonly type: 'evaluation';
      readonly round: number;
      readonly slot: number;
      readonly metrics: Readonly<Record<string, number>>;
    }
  /** SHA-256 Merkle root of the weights after `round` rounds. */
  | { readonly type: 'digest'; readonly round: number; readonly root: Uint8Array }
  /** The records of `slot` in rounds `from` … `to` - 1 count no more. */
  | { readonly type: 'revoke'; readonly slot: number; readonly from: number; readonly to: number }
  /** Rounds `round` and later count no more: the next one has this number again. */
  | { readonly type: 'rewind'; readonly round: number }
  /** SHA-256 of what must be known of the journal up to the end of `round` rounds, to go on from there (`standing.ts`). */
  | { readonly type: 'standing'; readonly round: number; readonly hash: Uint8Array };

/** The slot under which the host itself reports. */
export const HOST_SLOT = 0xffff_fffd;

/**
 * Most records (bytes) in a round, hence in a contribution. Even if every one came from another peer, at 15 bytes a
 * segment at most, the round fits into MAX_RECORD_BYTES; and no run that we can imagine has more peers than that.
 */
export const MAX_RECORDS_PER_ROUND = 65_536;

/** Longest journal record, all its bytes counted. */
export const MAX_RECORD_BYTES: number = 1 << 20;

/** Weights of a chunk: half a megabyte in f32, so that what must be said at once never waits long behind one. */
export const CHUNK_WEIGHTS: number = 1 << 17;
/** Shares that a merge is made of, at most: as many as a host takes at a time, and more. */
export const MAX_SHARES = 1024;
/** Chunks of a vector at most: the count and their hashes are a contribution. 2^28 weights and a little less. */
export const MAX_CHUNKS: number = MAX_RECORDS_PER_ROUND / 32 - 1;

// -------------------------------------------------------------------------------------------------------- messages

/** From a peer to the host. docs/WIRE.md gives their bytes. */
export type PeerMessage =
  | {
      readonly type: 'hello';
      readonly version: number;
      readonly key: Uint8Array;
      readonly code: string;
      readonly name: string;
    }
  /** Ed25519 over the host's challenge: proves possession of `key`. */
  | { readonly type: 'prove'; readonly signature: Uint8Array }
  /** Weights stand at `round` rounds applied with this checksum; work may be assigned. */
  | { readonly type: 'ready'; readonly round: number; readonly checksum: Uint8Array }
  | {
      readonly type: 'contribution';
      readonly round: number;
      readonly from: number;
      readonly codes: Int8Array;
      readonly signature: Uint8Array;
    }
  | { readonly type: 'checksum'; readonly round: number; readonly checksum: Uint8Array }
  | ChunkMessage
  | MergeAnswer;

/** From the host to a peer. */
export type HostMessage =
  | { readonly type: 'challenge'; readonly nonce: Uint8Array; readonly run: Uint8Array }
  /** `head`: rounds committed so far. The journal up to it is fetched over HTTP. */
  | { readonly type: 'admitted'; readonly slot: number; readonly head: number }
  /** Measure records `from` … `from + count - 1` of `round`; after `deadlineMs` they may be left out. */
  | {
      readonly type: 'open';
      readonly round: number;
      readonly from: number;
      readonly count: number;
      readonly deadlineMs: number;
    }
  /** A journal record, byte for byte, and the byte of the journal it starts at: gaps and repeats show. */
  | { readonly type: 'commit'; readonly offset: number; readonly record: Uint8Array }
  /** The coordinator's signature over an accepted contribution. */
  | {
      readonly type: 'receipt';
      readonly round: number;
      readonly from: number;
      readonly count: number;
      readonly signature: Uint8Array;
    }
  | { readonly type: 'refused'; readonly code: string; readonly detail: string }
  /** The host takes a snapshot of the weights after `round` rounds, whose digest comes later: who shares keeps its own now. */
  | { readonly type: 'snapshot'; readonly round: number }
  | { readonly type: 'done'; readonly round: number }
  | ChunkMessage
  | MergeOrder;

// ------------------------------------------------------------------------------------------------------------ data

/** One training example, tokenised. */
export interface Example {
  /** (t,) input ids. */
  readonly tokens: Int32Array;
  /** (p,) indices into `tokens` at which the model's next-token prediction is scored, ascending. */
  readonly at: Int32Array;
  /** (p,) the token expected there, or for a choice task the class (p = 1). */
  readonly targets: Int32Array;
  /** Multiple choice: every candidate as an example of its own, and the indices of the right ones. */
  readonly choice?: { readonly candidates: readonly Example[]; readonly right: readonly number[] };
  /** A text to be written: its prompt, as tokens too, what is accepted, and the row that it was made of. */
  readonly answer?: { readonly ids: readonly number[]; readonly prompt: string; readonly accepted: readonly string[] };
  readonly row?: Readonly<Record<string, unknown>>;
}

/** Examples in the fixed shape of one program call: S sequences of T tokens, P scored positions each, both padded. */
export interface Batch {
  readonly sequences: number;
  readonly tokens: number;
  readonly scored: number;
  /** (S·T) token ids. */
  readonly ids: Int32Array;
  /** (S·P) rows of the (S·T) activations at which a prediction is scored. */
  readonly at: Int32Array;
  /** (S·P) what is expected there. */
  readonly targets: Int32Array;
  /** (S·P) 1 where a position counts, 0 where it is padding. */
  readonly weights: Float32Array;
  /** (S) tokens of each sequence; what follows them is padding. */
  readonly lengths: Int32Array;
  /** (S) index of each sequence's example in the list that was batched. */
  readonly members: Int32Array;
  /** Of a text that is written: `Dims.past`, and (S) the position of the first of each sequence's tokens. */
  readonly past?: number;
  readonly starts?: Int32Array;
}

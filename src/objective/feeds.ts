/**
 * Weights → inputs of a program. Every probe passes here: dense ones as perturbed copies in scratch, low-rank ones as
 * factors beside the product. The master weights are read, never written.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import type { Access, Binding, Dims, Form, Stage } from '../model/stage.ts';
import type { Tensor, Weights } from '../model/weights.ts';
import type { Batch, DirectionKey, DirectionKind } from '../nouns.ts';
import { isMatrix, U_STREAM, V_STREAM } from '../numeric/noise.ts';
import { asInts, padded, type Scratch } from './scratch.ts';

/** What is added to the weights while a loss is measured. `delta` is eps · scale, the length of one unit of noise. */
export type Perturbation =
  | { readonly kind: 'none' }
  /** One direction for the call, materialised: lane 0 is θ + delta z, lane 1 is θ - delta z. */
  | {
      readonly kind: 'dense';
      readonly noise: DirectionKind;
      readonly rank: number;
      readonly delta: number;
      readonly key: DirectionKey;
    }
  /** One low-rank direction for each pair of sequences: sequence 2i gets +delta z, 2i + 1 gets -delta z. */
  | {
      readonly kind: 'sided';
      readonly rank: number;
      readonly delta: number;
      /** (batches)(S/2) */
      readonly keys: readonly (readonly DirectionKey[])[];
    };

export const formOf = (p: Perturbation): Form =>
  p.kind === 'sided' ? { kind: 'sided', rank: p.rank } : { kind: 'plain' };

/** Copies of the weights that a call needs at once: two for a dense pair of measurements. */
export const lanesOf = (p: Perturbation): number => (p.kind === 'dense' ? 2 : 1);

export type Feeds = Record<string, Float32Array>;

type RowAccess = Access & { readonly as: 'rows' };

/** Rows of a stored matrix that a call reads. */
function rowsOf(access: RowAccess, batch: Batch, choices: Int32Array): Int32Array {
  switch (access.of) {
    case 'tokens':
      return batch.ids;
    case 'choices':
      return choices;
    case 'positions':
      return Int32Array.from({ length: batch.tokens }, (_, t) => t + access.offset);
  }
}

/** How many these are. */
const rowCount = ({ of }: RowAccess, { sequences, tokens }: Dims, choices: number): number =>
  of === 'tokens' ? sequences * tokens : of === 'choices' ? choices : tokens;

const width = (tensor: Tensor): number => tensor.shape[1]!;

/** Feeds of a stage that all batches share: whole tensors, once a lane. */
export function stageFeeds(stage: Stage, weights: Weights, p: Perturbation, scratch: Scratch): Feeds[] {
  const { kernels } = weights;
  const lanes: Feeds[] = Array.from({ length: lanesOf(p) }, () => ({}));
  for (const { input, tensor: name, access } of stage.bindings) {
    const tensor = weights.byName(name);
    if (p.kind === 'dense') {
      // Row access too: noise is addressed by element, so rows are copied out of the perturbed whole.
      const [plus, minus] = lanes.map((lane) => (lane[input] = scratch.take(tensor.q.length)));
      kernels.materialisePair(tensor.q, tensor.exponent, tensor, p.noise, p.rank, p.key, p.delta, 0, plus!, minus!);
    } else if (access.as === 'matrix' || (access.as === 'vector' && p.kind === 'none')) {
      const whole = scratch.take(tensor.q.length);
      lanes[0]![input] = whole;
      kernels.materialise(tensor.q, tensor.exponent, whole);
    }
  }
  return lanes;
}

/** Feeds of a stage that depend on the batch: rows, and the sides of low-rank directions. */
export function batchFeeds(
  stage: Stage,
  weights: Weights,
  p: Perturbation,
  whole: Feeds,
  batch: Batch,
  index: number,
  choices: Int32Array,
  scratch: Scratch,
): Feeds {
  const feeds: Feeds = { ...whole };
  for (const binding of stage.bindings) {
    const tensor = weights.byName(binding.tensor);
    const { access, input } = binding;
    if (access.as === 'rows') {
      const rows = rowsOf(access, batch, choices);
      feeds[input] = gatherRows(tensor, rows, whole[input], weights, scratch);
    }
    if (p.kind === 'sided')
      Object.assign(feeds, sides(binding, tensor, weights, p, p.keys[index]!, batch, choices, scratch));
  }
  return feeds;
}

/** Rows of a tensor: out of its perturbed copy where there is one, else straight from the masters. */
function gatherRows(
  tensor: Tensor,
  rows: Int32Array,
  perturbed: Float32Array | undefined,
  { kernels }: Weights,
  scratch: Scratch,
): Float32Array {
  const w = width(tensor);
  const out = scratch.take(rows.length * w);
  if (perturbed) copyRows(perturbed, rows, w, out);
  else {
    const fixed = asInts(out); // fixed point first, made floats where it lies
    copyRows(tensor.q, rows, w, fixed);
    kernels.materialise(fixed, tensor.exponent, out);
  }
  return out;
}

function copyRows<A extends Float32Array | Int32Array>(table: A, rows: Int32Array, width: number, out: A): void {
  rows.forEach((row, i) => {
    out.set(table.subarray(row * width, (row + 1) * width), i * width);
  });
}

/** The low-rank sides of one binding: `.u` and `.v` of a matrix, perturbed copies of a vector. */
function sides(
  { input, access }: Binding,
  tensor: Tensor,
  { kernels }: Weights,
  { rank, delta }: Perturbation & { kind: 'sided' },
  keys: readonly DirectionKey[],
  batch: Batch,
  choices: Int32Array,
  scratch: Scratch,
): Feeds {
  if (access.as === 'vector') {
    const n = tensor.q.length;
    const out = scratch.take(batch.sequences * n);
    keys.forEach((key, i) => {
      const [plus, minus] = [out.subarray(2 * i * n, (2 * i + 1) * n), out.subarray((2 * i + 1) * n, (2 * i + 2) * n)];
      kernels.materialisePair(tensor.q, tensor.exponent, tensor, 'rademacher', 1, key, delta, 0, plus, minus);
    });
    return { [input]: out };
  }
  if (!isMatrix(tensor.shape))
    throw new Fault(
      'MODEL_UNSUPPORTED',
      `tensor "${tensor.name}" (${tensor.shape}) is too thin for low-rank noise; use direction rademacher`,
    );
  const tall = uLength(access, tensor.shape, batch, choices.length);
  const wide = width(tensor);
  const u = scratch.take(batch.sequences * rank * tall);
  const v = scratch.take(batch.sequences * rank * wide);
  const rows = access.as === 'rows' ? rowsOf(access, batch, choices) : [];
  const index = asInts(scratch.take(rows.length)); // where the kernels can read it
  index.set(rows);
  for (let s = 0; s < batch.sequences; s++) {
    const key = keys[s >> 1]!;
    const value = s & 1 ? -delta : delta;
    for (let k = 0; k < rank; k++) {
      const at = (s * rank + k) * tall;
      const uk = u.subarray(at, at + tall);
      if (access.as === 'matrix') kernels.factor(U_STREAM, k, tensor.id, key, value, uk);
      else {
        const own = access.of === 'tokens' ? index.subarray(s * batch.tokens, (s + 1) * batch.tokens) : index;
        kernels.factorAt(U_STREAM, k, tensor.id, key, value, own, uk);
      }
      const vk = v.subarray((s * rank + k) * wide, (s * rank + k + 1) * wide);
      if (s & 1) vk.set(v.subarray(((s - 1) * rank + k) * wide, ((s - 1) * rank + k + 1) * wide));
      else kernels.factor(V_STREAM, k, tensor.id, key, 1, vk);
    }
  }
  return { [`${input}.u`]: u, [`${input}.v`]: v };
}

/** Elements of one `.u`: see `Access`. */
function uLength(access: Access, shape: readonly number[], dims: Dims, choices: number): number {
  if (access.as !== 'rows') return shape[0]!;
  return access.of === 'choices' ? choices : dims.tokens;
}

/** What of a perturbation decides how much scratch it takes. */
export type PerturbationKind =
  | Pick<Perturbation & { kind: 'none' | 'dense' }, 'kind'>
  | Pick<Perturbation & { kind: 'sided' }, 'kind' | 'rank'>;

/** Floats of scratch that a stage takes for one batch, `stageFeeds` and `batchFeeds` together. */
export function stageScratch(
  stage: Stage,
  shapeOf: (tensor: string) => readonly number[],
  dims: Dims,
  p: PerturbationKind,
  choices: number,
): number {
  const { sequences } = dims;
  let floats = 0;
  for (const { tensor, access } of stage.bindings) {
    const shape = shapeOf(tensor);
    const whole = padded(size(shape));
    const wide = shape[1] ?? 0;
    const rows = access.as === 'rows' ? rowCount(access, dims, choices) : 0;
    floats += padded(rows * wide);
    if (p.kind === 'dense') floats += 2 * whole;
    else if (access.as === 'matrix' || (access.as === 'vector' && p.kind === 'none')) floats += whole;
    if (p.kind !== 'sided') continue;
    if (access.as === 'vector') floats += padded(sequences * size(shape));
    else {
      const tall = uLength(access, shape, dims, choices);
      floats += padded(sequences * p.rank * tall) + padded(sequences * p.rank * wide) + padded(rows);
    }
  }
  return floats;
}

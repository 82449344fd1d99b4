/**
 * Weights → inputs of a program. Every probe passes here: dense ones as perturbed copies in scratch, low-rank ones as
 * factors beside the product, with weights as floats or as bytes. The master weights are read, never written.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import { type Access, type Binding, type Dims, isContinued, type Stage } from '../model/stage.ts';
import type { Page, Tensor } from '../model/weights.ts';
import type { Batch, DirectionKey } from '../nouns.ts';
import { isMatrix, U_STREAM, V_STREAM } from '../numeric/noise.ts';
import { asInts, floatsOf, padded } from '../numeric/scratch.ts';
import {
  type Dense,
  lanesOf,
  type Perturbation,
  type PerturbationKind,
  precisionOf,
  type Sided,
} from './perturbation.ts';

export type Feeds = Record<string, Float32Array | Int8Array>;

/** A vector, all or part of it. */
export const isVector = (access: Access, shape: readonly number[]): boolean =>
  access.as === 'vector' || shape.length === 1;

/** Whether a program multiplies with what it reads so, hence takes bytes in int8. */
const MULTIPLIED: ReadonlySet<Access['as']> = new Set(['matrix', 'transposed', 'piece']);
const isMultiplied = (access: Access, shape: readonly number[]): boolean =>
  !isVector(access, shape) && (MULTIPLIED.has(access.as) || (access.as === 'rows' && access.of === 'choices'));

const asBytes = (access: Access, shape: readonly number[], p: PerturbationKind): boolean =>
  isMultiplied(access, shape) && precisionOf(p) === 'int8';

export type RowAccess = Access & { readonly as: 'rows' };

/** Rows of a stored matrix that a call reads. */
export function rowsOf(access: RowAccess, batch: Batch, choices: Int32Array): Int32Array {
  switch (access.of) {
    case 'tokens':
      return batch.ids;
    case 'choices':
      return choices;
    case 'positions':
      return Int32Array.from({ length: rowCount(access, batch, 0) }, (_, i) => {
        const each = batch.tokens + (access.more ?? 0);
        return (batch.starts?.[Math.floor(i / each)] ?? 0) + (i % each) + access.offset;
      });
    case 'one':
      return Int32Array.of(access.row);
  }
}

/** Whether each sequence of a call reads rows of its own. */
const readsApart = ({ of }: RowAccess, dims: Pick<Dims, 'past'>): boolean =>
  of === 'tokens' || (of === 'positions' && isContinued(dims));

/** How many these are. */
const rowCount = (access: RowAccess, dims: Dims, choices: number): number => {
  const each = dims.tokens + (access.of === 'positions' ? (access.more ?? 0) : 0);
  if (readsApart(access, dims)) return dims.sequences * each;
  return { tokens: each, positions: each, choices, one: 1 }[access.of];
};

/** Elements of a row; a vector has rows of one. */
export const width = (shape: readonly number[]): number => shape[1] ?? 1;

/** Neighbouring elements of a tensor. */
interface Span {
  readonly first: number;
  readonly count: number;
}

/** What stands still is read as it is, and by both lanes. */
const onBinding = <P extends PerturbationKind>({ still }: Binding, p: P): P | (PerturbationKind & { kind: 'none' }) =>
  still ? { kind: 'none', precision: precisionOf(p) } : p;

const shared = (lanes: readonly Feeds[]): Feeds[] => lanes.map((lane) => ({ ...lanes[0], ...lane }));

/** Elements of a tensor that a stage reads as a whole: all, or a piece. `undefined`: chosen rows, batch by batch. */
export function span(access: Access, shape: readonly number[]): Span | undefined {
  if (access.as === 'rows') return undefined;
  if (access.as === 'piece') return { first: access.first * width(shape), count: access.count * width(shape) };
  return { first: 0, count: size(shape) };
}

/** Many rows of a small table are cheaper perturbed with all of it: noise is made in groups of 512 elements. */
const asTable = (rows: number, shape: readonly number[]): boolean => 2 * rows >= shape[0]!;

/** Θ ± delta z on elements `first` …, both lanes; Θ twice where the direction does not move the tensor. */
function perturbed(
  tensor: Tensor,
  { kernels }: Page,
  p: Dense,
  key: DirectionKey,
  first: number,
  [plus, minus]: readonly Float32Array[],
): void {
  const delta = p.kept(tensor.id) ? p.delta : 0;
  kernels.materialisePair(tensor.q, tensor.exponent, tensor, p.noise, p.rank, key, delta, first, plus!, minus!);
}

/**
 * Feeds of a stage that all batches share, once a lane.
 * @param key of the direction that a dense perturbation measures now.
 */
export function stageFeeds(stage: Stage, page: Page, on: Perturbation, key: DirectionKey | undefined): Feeds[] {
  const { kernels, scratch } = page;
  const lanes: Feeds[] = Array.from({ length: lanesOf(on) }, () => ({}));
  for (const binding of stage.bindings) {
    const { input, tensor: name, access } = binding;
    const p = onBinding(binding, on);
    const tensor = page.tensor(name);
    const whole = span(access, tensor.shape);
    if (whole === undefined || (p.kind === 'sided' && isVector(access, tensor.shape))) continue;
    const { first, count } = whole;
    if (p.kind === 'dense') {
      const pair = lanes.map((lane) => (lane[input] = scratch.take(count)));
      perturbed(tensor, page, p, key!, first, pair);
      continue;
    }
    const q = tensor.q.subarray(first, first + count);
    if (asBytes(access, tensor.shape, p))
      Object.assign(lanes[0]!, bytesOf(input, q, tensor, page, access.as === 'transposed'));
    else kernels.materialise(q, tensor.exponent, (lanes[0]![input] = scratch.take(count)));
  }
  return shared(lanes);
}

/** Rows q of a tensor as bytes, with the scale of each. @param turned where outputs are columns: theirs. */
function bytesOf(
  input: string,
  q: Int32Array,
  { shape, exponent }: Tensor,
  { kernels, scratch }: Page,
  turned = false,
): Feeds {
  const columns = turned ? shape[0]! : width(shape);
  const out = scratch.bytes(q.length);
  const scale = scratch.take(q.length / columns);
  const mark = scratch.mark();
  const rows = turned ? transposed(q, width(shape), asInts(scratch.take(q.length))) : q;
  kernels.quantiseRows(rows, columns, exponent, out, scale);
  scratch.release(mark);
  return { [input]: out, [`${input}.scale`]: scale };
}

/** Sides of the squares that are turned at once: both stay in the cache. */
const SQUARE = 32;

function transposed(q: Int32Array, columns: number, out: Int32Array): Int32Array {
  const rows = q.length / columns;
  for (let r = 0; r < rows; r += SQUARE)
    for (let c = 0; c < columns; c += SQUARE)
      for (let i = r; i < Math.min(r + SQUARE, rows); i++)
        for (let j = c; j < Math.min(c + SQUARE, columns); j++) out[j * rows + i] = q[i * columns + j]!;
  return out;
}

/** Feeds of a stage that depend on the batch, once a lane: its own, rows, and the sides of low-rank directions. */
export function batchFeeds(
  stage: Stage,
  page: Page,
  on: Perturbation,
  batch: Batch,
  choices: Int32Array,
  keys: readonly DirectionKey[],
): Feeds[] {
  const given = stage.batchInputs?.(batch);
  const lanes: Feeds[] = Array.from({ length: lanesOf(on) }, () => ({ ...given }));
  for (const binding of stage.bindings) {
    const p = onBinding(binding, on);
    const tensor = page.tensor(binding.tensor);
    const { access, input } = binding;
    if (access.as === 'rows' && !(p.kind === 'sided' && isVector(access, tensor.shape))) {
      const rows = rowsOf(access, batch, choices);
      if (p.kind === 'dense') {
        const gathered = perturbedRows(tensor, rows, page, p, keys[0]!);
        for (const [i, lane] of lanes.entries()) lane[input] = gathered[i]!;
      } else Object.assign(lanes[0]!, plainRows(input, tensor, rows, page, asBytes(access, tensor.shape, p)));
    }
    if (p.kind === 'sided') Object.assign(lanes[0]!, sides(binding, tensor, page, p, keys, batch, choices));
  }
  return shared(lanes);
}

/** Rows straight from the masters. */
function plainRows(input: string, tensor: Tensor, rows: Int32Array, page: Page, bytes: boolean): Feeds {
  const w = width(tensor.shape);
  const out = page.scratch.take(rows.length * w);
  const fixed = asInts(out); // fixed point first, made floats where it lies
  copyRows(tensor.q, rows, w, fixed);
  if (bytes) return bytesOf(input, fixed, tensor, page);
  page.kernels.materialise(fixed, tensor.exponent, out);
  return { [input]: out };
}

/** Rows of both perturbed copies. */
function perturbedRows(tensor: Tensor, rows: Int32Array, page: Page, p: Dense, key: DirectionKey): Float32Array[] {
  const { scratch } = page;
  const w = width(tensor.shape);
  const out = [0, 1].map(() => scratch.take(rows.length * w));
  if (asTable(rows.length, tensor.shape)) {
    const mark = scratch.mark();
    const tables = out.map(() => scratch.take(tensor.q.length));
    perturbed(tensor, page, p, key, 0, tables);
    for (const [i, table] of tables.entries()) copyRows(table, rows, w, out[i]!);
    scratch.release(mark);
  } else
    rows.forEach((row, i) => {
      const own = out.map((lane) => lane.subarray(i * w, (i + 1) * w));
      perturbed(tensor, page, p, key, row * w, own);
    });
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
  { kernels, scratch }: Page,
  { rank, delta: step, kept }: Sided,
  keys: readonly DirectionKey[],
  batch: Batch,
  choices: Int32Array,
): Feeds {
  const delta = kept(tensor.id) ? step : 0;
  if (isVector(access, tensor.shape)) {
    const parts = partsOf(access, tensor.shape, choices);
    const n = parts.reduce((sum, { count }) => sum + count, 0);
    const out = scratch.take(batch.sequences * n);
    for (const [i, key] of keys.entries()) {
      let plusAt = 2 * i * n;
      for (const { first, count } of parts) {
        const [plus, minus] = [plusAt, plusAt + n].map((at) => out.subarray(at, at + count));
        kernels.materialisePair(tensor.q, tensor.exponent, tensor, 'rademacher', 1, key, delta, first, plus!, minus!);
        plusAt += count;
      }
    }
    return { [input]: out };
  }
  if (!isMatrix(tensor.shape))
    throw new Fault(
      'MODEL_UNSUPPORTED',
      `tensor "${tensor.name}" (${tensor.shape}) is too thin for low-rank noise; use direction rademacher`,
    );
  const tall = uLength(access, tensor.shape, batch, choices.length);
  const wide = width(tensor.shape);
  const u = scratch.take(batch.sequences * rank * tall);
  const v = scratch.take(batch.sequences * rank * wide);
  kernels.factors(V_STREAM, rank, tensor.id, keys, 1, 1, 0, v);
  if (access.as !== 'rows') {
    const first = access.as === 'piece' ? access.first : 0;
    kernels.factors(U_STREAM, rank, tensor.id, keys, delta, -delta, first, u);
  } else {
    const rows = rowsOf(access, batch, choices);
    const index = asInts(scratch.take(rows.length)); // where the kernels can read it
    index.set(rows);
    for (let s = 0; s < batch.sequences; s++) {
      const own = readsApart(access, batch) ? index.subarray(s * batch.tokens, (s + 1) * batch.tokens) : index;
      for (let k = 0; k < rank; k++) {
        const uk = u.subarray((s * rank + k) * tall, (s * rank + k + 1) * tall);
        kernels.factorAt(U_STREAM, k, tensor.id, keys[s >> 1]!, s & 1 ? -delta : delta, own, uk);
      }
    }
  }
  return { [`${input}.u`]: u, [`${input}.v`]: v };
}

/** The parts of a vector that are read, one after the other: all of it, a piece, or chosen elements. */
const partsOf = (access: Access, shape: readonly number[], choices: Int32Array): readonly Span[] => {
  const whole = span(access, shape);
  return whole ? [whole] : Array.from(choices, (first) => ({ first, count: 1 }));
};

/** Elements of one `.u`: see `Access`. */
function uLength(access: Access, shape: readonly number[], dims: Dims, choices: number): number {
  if (access.as === 'piece') return access.count;
  if (access.as !== 'rows') return shape[0]!;
  return rowCount(access, { ...dims, sequences: 1 }, choices);
}

/** Floats of scratch that `bytesOf` takes. */
const bytesScratch = (count: number, columns: number): number => floatsOf(count) + padded(count / columns);

/** Floats of scratch that a stage takes for one batch, `stageFeeds` and `batchFeeds` together. */
export function stageScratch(
  stage: Stage,
  shapeOf: (tensor: string) => readonly number[],
  dims: Dims,
  on: PerturbationKind,
  choices: number,
): number {
  const { sequences } = dims;
  let floats = 0;
  /** Tables that are there for a moment, on top of what was taken before. */
  let most = 0;
  for (const binding of stage.bindings) {
    const { tensor, access } = binding;
    const p = onBinding(binding, on);
    const shape = shapeOf(tensor);
    const whole = span(access, shape);
    if (whole === undefined || (p.kind === 'sided' && isVector(access, shape))) continue;
    const turned = access.as === 'transposed';
    const columns = turned ? shape[0]! : width(shape);
    const bytes = asBytes(access, shape, p);
    floats += bytes ? bytesScratch(whole.count, columns) : lanesOf(p) * padded(whole.count);
    if (bytes && turned) most = Math.max(most, floats + padded(whole.count));
  }
  for (const binding of stage.bindings) {
    const { tensor, access } = binding;
    const p = onBinding(binding, on);
    const lanes = lanesOf(p);
    const shape = shapeOf(tensor);
    const wide = width(shape);
    const rows = access.as === 'rows' ? rowCount(access, dims, choices) : 0;
    if (p.kind === 'sided' && isVector(access, shape)) {
      floats += padded(sequences * (span(access, shape)?.count ?? choices));
      continue;
    }
    floats += lanes * padded(rows * wide);
    if (rows > 0 && asBytes(access, shape, p)) floats += bytesScratch(rows * wide, wide);
    if (p.kind === 'dense' && access.as === 'rows' && asTable(rows, shape))
      most = Math.max(most, floats + lanes * padded(size(shape)));
    if (p.kind !== 'sided') continue;
    const tall = uLength(access, shape, dims, choices);
    floats += padded(sequences * p.rank * tall) + padded(sequences * p.rank * wide) + padded(rows);
  }
  return Math.max(floats, most);
}

/**
 * The memory that a replica takes, from shapes alone: every term is the length of an array that is taken somewhere, or
 * what the runtime was seen to keep.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import { MEMORY_ELEMENTS, sharing } from '../model/resident.ts';
import type { Model } from '../model/stage.ts';
import { viewOf } from '../model/view.ts';
import { elementsOf, pagesOf, READ } from '../model/weights.ts';
import type { Manifest } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import { maskWords } from '../numeric/noise.ts';
import { wasmBytes } from '../numeric/wasm/wasm.ts';
import type { Demand } from './demand.ts';

/** What a replica keeps of weights besides the weights, in bytes. */
export interface State {
  /** Moments of an optimizer. */
  readonly moments: number;
  /** Which elements directions move. */
  readonly masks: number;
  /** What a step is made in: a gradient, or what Adam makes of a tensor. */
  readonly step: number;
}

/** Bytes at the moment a replica is largest. */
export interface Footprint extends State {
  /** Weights as integers. */
  readonly masters: number;
  /** One stage's weights as floats, perturbed, and what its kernels keep for themselves. */
  readonly scratch: number;
  readonly activations: number;
  /** What the programs hold between runs. */
  readonly runtime: number;
  /** Pieces of the checkpoint on their way, before anything is measured. */
  readonly loading: number;
  /** The process without any of these. */
  readonly base: number;
  readonly peak: number;
}

/** Pieces of a checkpoint that may be in memory at once: as bytes, as floats, and the one before, not yet collected. */
const PIECES = 3;
/** Of blocks on disk, those in memory: see `offloaded.ts`. */
const SLOTS = 2;
/** Of `Moments` in `apply/fold.ts`: two doubles. */
const ADAM = 16;
/** Arrays of a tensor that a step of Adam makes: weights before, sums, weights after. */
const FOLDED = 3;

const bytesOf = (tensors: readonly { readonly shape: readonly number[] }[]): number =>
  wasmBytes(tensors.map(({ shape }) => size(shape)));

/** @param offloaded whether blocks lie on disk. */
export function mastersBytes(model: Pick<Model, 'tensors' | 'blocks'>, offloaded: boolean): number {
  if (!offloaded) return bytesOf(model.tensors);
  const [first = [], ...blocks] = pagesOf(model);
  return bytesOf(first) + SLOTS * Math.max(0, ...blocks.map(bytesOf));
}

export const NO_STATE: State = { moments: 0, masks: 0, step: 0 };

/** Of a replica in a run of rounds. */
export function stateOf(
  model: Model,
  { view, optimizer, element_mask }: Pick<Manifest, 'view' | 'optimizer' | 'element_mask'>,
): State {
  const own = new Set(viewOf(model, view));
  const trained = model.tensors.filter(({ id }) => own.has(id));
  const isAdam = optimizer?.kind === 'adam';
  const words = model.tensors.reduce((sum, { shape }) => sum + maskWords(size(shape)), 0);
  return {
    moments: isAdam ? ADAM * elementsOf(trained) : 0,
    masks: element_mask ? 4 * words : 0,
    step: isAdam ? FOLDED * 4 * Math.max(...trained.map(({ shape }) => size(shape))) : 0,
  };
}

/**
 * Of a training along a gradient.
 * @param wanted tensors that move along it. @param arrays moments of each: 2 of AdamW, 1 of SGD. @param batches of a step.
 */
export function stateAlong(model: Model, wanted: Kept, arrays: number, batches: number): State {
  const bytes = 4 * elementsOf(model.tensors.filter(({ id }) => wanted(id)));
  return { moments: arrays * bytes, masks: 0, step: (batches > 1 ? 2 : 1) * bytes };
}

/**
 * @param demands of all that a replica does, one after the other: nothing is given back in between.
 * @param base bytes of the process. @param offloaded whether blocks lie on disk.
 */
export function footprint(
  model: Model,
  demands: readonly Demand[],
  state: State,
  base: number,
  offloaded: boolean,
): Footprint {
  const masters = mastersBytes(model, offloaded);
  const floats = Math.max(0, ...demands.map(({ scratch }) => scratch));
  // A model beyond one WebAssembly memory has scratch in each.
  const memories = offloaded ? 1 : sharing(pagesOf(model), floats, MEMORY_ELEMENTS).length;
  const scratch = 4 * floats * memories;
  const activations = demands.reduce((sum, demand) => sum + demand.activations, 0);
  const programs = new Map(demands.flatMap((demand) => [...demand.programs]));
  const runtime = [...programs.values()].reduce((a, b) => a + b, 0);
  const largest = Math.max(...model.tensors.map(({ shape }) => size(shape)));
  const loading = PIECES * 4 * Math.min(READ, largest);
  const { moments, masks, step } = state;
  const atWork = moments + step + scratch + activations + runtime;
  return {
    ...{ masters, moments, masks, step, scratch, activations, runtime, loading, base },
    peak: base + masters + masks + Math.max(loading, atWork),
  };
}

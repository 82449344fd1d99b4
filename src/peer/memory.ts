/**
 * The memory that a replica takes, from shapes alone: every term is the length of an array that is taken somewhere, or
 * what the runtime was seen to keep.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import { workingSet } from '../graph/working-set.ts';
import { MEMORY_ELEMENTS, sharing } from '../model/resident.ts';
import { behind, type Form, type Model, type Stage } from '../model/stage.ts';
import { pagesOf, READ } from '../model/weights.ts';
import { wasmBytes } from '../numeric/wasm/wasm.ts';
import { activationFloats, type Plan, scratchLength } from '../objective/forward.ts';

/** Bytes at the moment a replica is largest. */
export interface Footprint {
  /** Weights as integers. */
  readonly masters: number;
  /** One stage's weights as floats, perturbed, and what its kernels keep for themselves. */
  readonly scratch: number;
  readonly activations: number;
  /** What the programs hold between runs. */
  readonly runtime: number;
  /** Pieces of the checkpoint on their way, before the three above are needed. */
  readonly loading: number;
  /** The process without any of these. */
  readonly base: number;
  readonly peak: number;
}

/** What calls a replica makes. */
export interface Calls {
  readonly plans: readonly Plan[];
  /** Batches that one call is given. */
  readonly batches: number;
}

/** Pieces of a checkpoint that may be in memory at once: as bytes, as floats, and the one before, not yet collected. */
const PIECES = 3;
/** A compiled program beside its working set: its text, its plan, its threads. */
const SESSION = 1e6;
/** Of blocks on disk, those in memory: see `offloaded.ts`. */
const SLOTS = 2;

const bytesOf = (tensors: readonly { readonly shape: readonly number[] }[]): number =>
  wasmBytes(tensors.map(({ shape }) => size(shape)));

/** @param offloaded whether blocks lie on disk. */
export function mastersBytes(model: Pick<Model, 'tensors' | 'blocks'>, offloaded: boolean): number {
  if (!offloaded) return bytesOf(model.tensors);
  const [first = [], ...blocks] = pagesOf(model);
  return bytesOf(first) + SLOTS * Math.max(0, ...blocks.map(bytesOf));
}

/** Bytes that the programs of these calls hold, each counted once. */
function runtimeBytes(model: Model, plans: readonly Plan[]): number {
  const held = new Map<string, number>();
  for (const { dims, head, perturbation } of plans) {
    const form: Form = perturbation.kind === 'sided' ? perturbation : { kind: 'plain' };
    const stages: readonly Stage[] = [
      model.embed,
      ...model.blocks,
      model.final,
      ...model.head(head).map((p) => p.stage),
    ];
    for (const stage of stages) {
      const { sequences, tokens, scored } = stage === model.embed ? dims : behind(model, dims);
      const key = `${sequences} ${tokens} ${scored} ${JSON.stringify(form)} ${stage.program}`;
      if (!held.has(key)) held.set(key, SESSION + workingSet(stage.build({ sequences, tokens, scored }, form)));
    }
  }
  return [...held.values()].reduce((a, b) => a + b, 0);
}

/** @param base bytes of the process. @param offloaded whether blocks lie on disk. */
export function footprint(model: Model, { plans, batches }: Calls, base: number, offloaded: boolean): Footprint {
  const masters = mastersBytes(model, offloaded);
  const floats = scratchLength(model, plans);
  // A model beyond one WebAssembly memory has scratch in each.
  const memories = offloaded ? 1 : sharing(pagesOf(model), floats, MEMORY_ELEMENTS).length;
  const scratch = 4 * floats * memories;
  const activations = 4 * Math.max(0, ...plans.map((plan) => activationFloats(model, plan, batches)));
  const runtime = runtimeBytes(model, plans);
  const largest = Math.max(...model.tensors.map(({ shape }) => size(shape)));
  const loading = PIECES * 4 * Math.min(READ, largest);
  const peak = base + masters + Math.max(loading, scratch + activations + runtime);
  return { masters, scratch, activations, runtime, loading, base, peak };
}

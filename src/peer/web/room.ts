/**
 * Whether a run has room in a tab: said from the shapes of the model, before any of its weights are fetched.
 *
 * @module
 */
import { sequencesFor } from '../../data/batch.ts';
import { Fault } from '../../faults.ts';
import type { ByteSource } from '../../model/source.ts';
import type { Model } from '../../model/stage.ts';
import type { BlobRef, Manifest } from '../../nouns.ts';
import { headOf, type Plan, scratchLength } from '../../objective/forward.ts';
import { forwardDemand } from '../demand.ts';
import type { Fetcher } from '../fetcher.ts';
import { footprint, stateOf } from '../memory.ts';
import { openModel } from '../open-replica.ts';
import { plansOf } from '../plans.ts';

/** The page, its threads and the runtime before any model. */
const BASE = 150e6;
/** WebAssembly addresses so much, and the runtime is one memory. */
const RUNTIME_MOST = 2 ** 32;
/** Tokens of a sample at least, where only its data says how long it is. */
const FEW_TOKENS = 64;

export interface Room {
  /** Bytes that the runtime takes for itself. */
  readonly runtime: number;
  /** Bytes in all. */
  readonly total: number;
}

/** A call that every run of this kind makes. */
function leastCall(model: Model, { task, direction, forward_precision: precision }: Manifest): Plan {
  const tokens = Math.min(model.positions, task.kind === 'lm' ? task.window : FEW_TOKENS);
  const scored = task.kind === 'lm' ? tokens : 1;
  const perturbation =
    direction.kind === 'lowrank'
      ? ({ kind: 'sided', rank: direction.rank, precision } as const)
      : ({ kind: 'dense' } as const);
  return { dims: { sequences: sequencesFor(tokens), tokens, scored }, head: headOf(task), perturbation };
}

/** Pure. What a replica of the run takes in a tab at least: its data may ask for more. */
export function roomOf(model: Model, manifest: Manifest): Room {
  const least = leastCall(model, manifest);
  const demand = {
    ...forwardDemand(model, [least], 1),
    scratch: scratchLength(model, [least, ...plansOf(manifest, model, [], [])]),
  };
  const { scratch, activations, runtime, peak } = footprint(model, [demand], stateOf(model, manifest), BASE, false);
  // Feeds and outputs are copied into the runtime's memory and out of it.
  const own = runtime + scratch + activations;
  return { runtime: own, total: peak + scratch + activations };
}

const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** @param device bytes of memory of the machine, as far as the browser says. @throws {Fault} TOO_LARGE */
export function checkRoom({ runtime, total }: Room, device: number): void {
  const remedy = 'join from Node, where blocks can lie on disk (--offload_folder)';
  if (runtime > RUNTIME_MOST)
    throw new Fault(
      'TOO_LARGE',
      `one block of the model takes ${gigabytes(runtime)}, a tab computes in 4 GiB; ${remedy}`,
    );
  if (total > device)
    throw new Fault(
      'TOO_LARGE',
      `the model takes ${gigabytes(total)} and this device has ${gigabytes(device)}; ${remedy}`,
    );
}

/** A file that stays with the host: what is looked at of it is fetched, and not verified. */
const remoteSource = (fetcher: Fetcher, { path, sha256, bytes }: BlobRef): ByteSource => ({
  name: path,
  size: bytes,
  read: (offset, length) => fetcher.blob(sha256, offset, length),
});

/**
 * The model of a run, from its configuration and the heads of its checkpoints: a few kilobytes.
 * @param here files that need not be asked for.
 */
export async function modelAhead(
  { base, view }: Manifest,
  fetcher: Fetcher,
  here: (blob: BlobRef) => Promise<ByteSource | undefined>,
): Promise<Model> {
  const blobs = new Map(base.files.map((blob) => [blob.path, blob]));
  const open = async (name: string): Promise<ByteSource> => {
    const blob = blobs.get(name)!;
    return (await here(blob)) ?? remoteSource(fetcher, blob);
  };
  return (await openModel(new Set(blobs.keys()), open, view)).model;
}

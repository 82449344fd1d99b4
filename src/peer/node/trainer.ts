/**
 * A model that is trained on this machine alone, along its gradient: what `local-replica.ts` is to a run of bytes.
 *
 * @module
 */
import { root } from '../../apply/digest.ts';
import { backpropStep, type Settings, type StepReport, type Trainee, trainee } from '../../method/backprop.ts';
import { hybridStep, split } from '../../method/hybrid.ts';
import type { Manifest } from '../../nouns.ts';
import type { Kept } from '../../numeric/mask.ts';
import { createBackward } from '../../objective/backward.ts';
import type { Engine } from '../../ports.ts';
import { evaluate } from '../evaluate.ts';
import { type MakeData, materialised } from '../open-replica.ts';
import { nodeCrypto } from './crypto.ts';
import { openLearner, type ReplicaSpec } from './open-replica.ts';
import { readState, type TrainingState, writeState } from './training-state.ts';

export interface TrainerSpec extends ReplicaSpec {
  readonly settings: Settings;
  /** What else tells a run from another, beside manifest and settings. */
  readonly origin?: object;
}

export interface Trainer {
  /** Taken so far. */
  steps(): number;
  /** Takes one. @throws {Fault} DIVERGED, RANGE: the weights are no use then */
  step(): Promise<StepReport>;
  evaluate(): Promise<Readonly<Record<string, number>>>;
  /** SHA-256 Merkle root of all weights, as of a journal's. */
  root(): Promise<Uint8Array>;
  /** Writes all that resuming needs, as one file or not at all. */
  save(path: string): Promise<void>;
  /**
   * Goes on from a file that `save` wrote, if there is one.
   * @throws {Fault} OUTPUT_EXISTS where it is of another run, BLOB_MISMATCH where it is damaged
   */
  resume(path: string): Promise<void>;
  /** Weights of one tensor as f32, row-major. */
  tensor(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

/** @throws {Fault} as `openLearner` */
export async function openTrainer(spec: TrainerSpec, engine: Engine, makeData?: MakeData): Promise<Trainer> {
  const { settings, manifest, origin = {} } = spec;
  const { learner, model, held } = await openLearner(spec, engine, makeData);
  const { weights, view } = learner;
  const whole = new Set(view);
  const blocks = settings.zeroth?.backprop_blocks;
  const { first, zeroth }: { first: Kept; zeroth: Kept } =
    blocks === undefined ? { first: (id) => whole.has(id), zeroth: () => false } : split(model, view, blocks);
  const backward = createBackward(model, weights, engine);
  const of: Trainee = trainee(learner, backward, settings, first);
  let taken = 0;

  const identity = { manifest: identityOf(manifest), settings, ...origin };
  const state = (): TrainingState => ({
    identity,
    step: taken,
    powers: of.powers,
    weights,
    moved: view,
    moments: of.moments,
  });

  return {
    steps: () => taken,
    async step() {
      const report = settings.zeroth ? await hybridStep(of, zeroth, taken) : await backpropStep(of, taken);
      taken++;
      return report;
    },
    evaluate: () => evaluate(learner, held),
    root: () => root(weights, nodeCrypto),
    save: (path) => writeState(path, state()),
    async resume(path) {
      const found = await readState(path, state());
      if (!found) return;
      taken = found.step;
      of.powers = found.powers;
    },
    tensor: (name) => materialised(weights, name),
    async close() {
      await learner.forward.release();
      await backward.release();
      await weights.close();
    },
  };
}

/** What of a manifest says which run it is: nobody signs this one, and nothing is coded. */
const identityOf = ({ coordinator: _, initial_scale: __, clip: ___, ...rest }: Manifest): object => rest;

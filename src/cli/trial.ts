/**
 * One run among many: a configuration → the curve of its held-out metrics, against rounds, forward passes, bytes and
 * seconds. It is made in this process by one replica, whose bits are those of a swarm.
 *
 * @module
 */
import { nodeEngine } from '../engine/node.ts';
import { Fault, type FaultCode } from '../faults.ts';
import { forwardsPerRound, passesAlone } from '../method/cost.ts';
import type { Manifest } from '../nouns.ts';
import { verdict } from '../peer/guard.ts';
import { threadedReplica } from '../peer/node/replica-thread.ts';
import { type Judged, soloRun } from '../peer/node/solo.ts';
import { openTrainer } from '../peer/node/trainer.ts';
import { isAlone, settingsOf } from './alone.ts';
import type { RunConfig } from './config.ts';
import { isExchange } from './exchange.ts';
import { calibrated, draftManifest } from './prepare.ts';
import { NOBODY } from './train-alone.ts';
import type { Io } from './verb.ts';

export interface Point {
  readonly round: number;
  /** Forward passes of a sample, evaluations left out. */
  readonly forwards: number;
  /** Of gradients. */
  readonly bytes: number;
  readonly seconds: number;
  readonly metrics: Readonly<Record<string, number>>;
}

export interface Curve {
  readonly points: readonly Point[];
  /** The last round that was planned. */
  readonly rounds: number;
  /** Why it ended before. */
  readonly stopped?: string;
}

const pointsOf = (manifest: Manifest, judged: readonly Judged[]): Point[] =>
  judged.map(({ round, metrics, spent }) => ({
    round,
    forwards: round * forwardsPerRound(manifest),
    bytes: round * manifest.records_per_round,
    seconds: spent / 1000,
    metrics,
  }));

/** A curve of a method for one machine. */
async function trialAlone(config: RunConfig, threads: number, io: Io, isStopped: () => boolean): Promise<Curve> {
  const prepared = await draftManifest(config, NOBODY, io.output, io.env);
  const { manifest, rates } = prepared;
  const settings = settingsOf(config, rates.zo_learning_rate);
  const { max_eval_samples: maxEvalSamples, offload_folder: offloadFolder } = config;
  const trainer = await openTrainer(
    { ...prepared, settings, threads, maxEvalSamples, offloadFolder },
    nodeEngine({ threads }),
  );
  const samples = config.per_device_train_batch_size * config.gradient_accumulation_steps;
  const passes = passesAlone(config.method)!;
  const points: Point[] = [];
  let spent = 0;
  const course = async (): Promise<Curve> => {
    for (let round = 0; round <= config.max_steps && !isStopped(); round++) {
      if (round % config.eval_steps === 0 || round === config.max_steps) {
        const metrics = await trainer.evaluate();
        points.push({ round, forwards: round * samples * passes, bytes: 0, seconds: spent / 1000, metrics });
        const losses = points.map(({ round: at, metrics: m }) => ({ round: at, loss: m['eval/loss'] ?? Number.NaN }));
        const stopped = config.guard ? verdict(losses, manifest)?.detail : undefined;
        if (stopped !== undefined) return { points, rounds: config.max_steps, stopped };
      }
      if (round === config.max_steps) break;
      const from = performance.now();
      await trainer.step();
      spent += performance.now() - from;
    }
    return { points, rounds: config.max_steps };
  };
  try {
    return await orBroken(course, config.max_steps, () => points);
  } finally {
    await trainer.close();
  }
}

/** What ends a run that went wrong, and tells of its rate and not of the machine. */
const WILD: ReadonlySet<FaultCode> = new Set(['DIVERGED', 'RANGE']);

/** What a run came to until it broke off. @param points as far as they are known */
async function orBroken(run: () => Promise<Curve>, rounds: number, points: () => readonly Point[]): Promise<Curve> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Fault && WILD.has(error.code)) || points().length === 0) throw error;
    return { points: points(), rounds, stopped: error.message };
  }
}

/** @throws {Fault} as `train` does, before it begins; a run that diverges ends as a curve that says so */
export async function trial(config: RunConfig, threads: number, io: Io, isStopped: () => boolean): Promise<Curve> {
  if (isExchange(config))
    throw new Fault(
      'CONFIG_INVALID',
      `method ${config.method}: is of several peers, one replica cannot try it; use train`,
    );
  if (isAlone(config)) return trialAlone(config, threads, io, isStopped);
  const prepared = await draftManifest(config, NOBODY, io.output, io.env);
  const machine = { threads, offloadFolder: config.offload_folder };
  const manifest = await calibrated(prepared, machine);
  const replica = await threadedReplica({
    manifest,
    paths: prepared.paths,
    ...machine,
    maxEvalSamples: config.max_eval_samples,
  });
  const seen: Judged[] = [];
  const course = async (): Promise<Curve> => {
    const { stopped } = await soloRun(manifest, replica, {
      evalSteps: config.eval_steps,
      now: () => performance.now(),
      isStopped,
      judge(judged) {
        seen.push(judged);
        const losses = seen.map(({ round, metrics }) => ({ round, loss: metrics['eval/loss'] ?? Number.NaN }));
        return config.guard ? verdict(losses, manifest)?.detail : undefined;
      },
    });
    return {
      ...{ points: pointsOf(manifest, seen), rounds: manifest.max_steps },
      ...(stopped === undefined ? {} : { stopped }),
    };
  };
  try {
    return await orBroken(course, manifest.max_steps, () => pointsOf(manifest, seen));
  } finally {
    await replica.close();
  }
}

/**
 * `murmur train` with a method for one machine: no host, no peers, no journal. What it leaves in `output_dir` is the
 * trained model, and the state to go on from.
 *
 * @module
 */
import { mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { nodeEngine } from '../engine/node.ts';
import { Fault } from '../faults.ts';
import type { Settings } from '../method/backprop.ts';
import { toHex } from '../numeric/bytes.ts';
import { pacer } from '../peer/eta.ts';
import { lockFile } from '../peer/node/lock.ts';
import type { MakeData } from '../peer/node/open-replica.ts';
import { storedManifest } from '../peer/node/run-folder.ts';
import { type TrainingEvent, trainAlone } from '../peer/node/train-alone.ts';
import { openTrainer } from '../peer/node/trainer.ts';
import { settingsOf } from './alone.ts';
import type { RunConfig } from './config.ts';
import { exportModel } from './export.ts';
import type { Output } from './output.ts';
import { draftManifest, type Prepared, tokenCacheOf } from './prepare.ts';
import { withPerplexity } from './report.ts';
import { requireState, STATE_FILE } from './resume.ts';
import { recording, scribe } from './scribe.ts';
import { onInterrupt } from './signals.ts';
import type { Io } from './verb.ts';

/** Below `output_dir`. */
export const MODEL_FOLDER = 'model';

/** Nobody signs a run that nobody else takes part in. */
export const NOBODY: string = '0'.repeat(64);

/** A training with everything decided. */
export interface Alone extends Prepared {
  readonly settings: Settings;
  /** As `TrainerSpec.origin`. */
  readonly origin?: object;
  readonly makeData?: MakeData;
  readonly threads: number;
  readonly folder: string;
  readonly evalSteps: number;
  readonly saveSteps: number;
  readonly loggingSteps: number;
  readonly reportTo: RunConfig['report_to'];
  readonly maxEvalSamples: number | undefined;
  readonly offloadFolder: string | undefined;
  readonly tokenCache?: string | undefined;
}

/** @param threads to compute with. */
export async function runAlone(
  config: RunConfig,
  threads: number,
  { output, env }: Io,
): Promise<Readonly<Record<string, unknown>>> {
  if (config.resume) await requireState(config.resume);
  const prepared = await draftManifest(config, NOBODY, output, env);
  const settings = settingsOf(config, prepared.rates.zo_learning_rate);
  return finishAlone(
    {
      ...prepared,
      ...{ settings, threads, folder: config.output_dir },
      ...{
        evalSteps: config.eval_steps,
        saveSteps: config.save_steps ?? config.max_steps,
        loggingSteps: config.logging_steps,
        reportTo: config.report_to,
      },
      ...{
        maxEvalSamples: config.max_eval_samples,
        offloadFolder: config.offload_folder,
        tokenCache: tokenCacheOf(env),
      },
    },
    output,
  );
}

/** Takes all steps that are left, and writes the model. @returns the fields of the last event. */
export async function finishAlone(alone: Alone, output: Output): Promise<Readonly<Record<string, unknown>>> {
  const { manifest, folder, evalSteps, saveSteps, threads } = alone;
  const began = performance.now();
  if (await storedManifest(folder))
    throw new Fault('OUTPUT_EXISTS', `${folder} holds a run with a journal; name another output_dir`);
  const trainer = await openTrainer(alone, nodeEngine({ threads }), alone.makeData);
  const state = join(folder, STATE_FILE);
  await mkdir(folder, { recursive: true });
  const release = await lockFile(resolve(state));
  let asked = false;
  const deaf = onInterrupt(
    {
      first: () => {
        asked = true;
      },
      second: () => {
        throw new Fault('INTERRUPTED', 'stopped at once; repeat the command to go on from what was last saved');
      },
    },
    output,
  );
  try {
    await trainer.resume(state);
    const resumed = trainer.steps();
    if (resumed > 0) output.note(`going on after step ${resumed}`);
    const written = scribe({ folder, manifest, reportTo: alone.reportTo, now: () => new Date() });
    written.begin(resumed);
    const { before, after } = await trainAlone(trainer, {
      ...{ maxSteps: manifest.max_steps, evalSteps, saveSteps, state },
      onEvent: reporter(alone, recording(output, written)),
      stopped: () => asked,
      now: () => performance.now(),
    });
    const path = join(folder, MODEL_FOLDER);
    // A training that was over before has written it.
    if (!(await stat(path).catch(() => undefined))) await exportModel(alone, trainer, path);
    return {
      ...Object.fromEntries(Object.entries(before ?? {}).map(([name, value]) => [`${name}_before`, value])),
      ...withPerplexity(after, manifest.task),
      rounds: trainer.steps(),
      digest: toHex(await trainer.root()),
      path,
      seconds: Math.round((performance.now() - began) / 100) / 10,
    };
  } finally {
    deaf();
    await release();
    await trainer.close();
  }
}

/** Events with how far the training is. */
function reporter({ manifest: { max_steps }, loggingSteps }: Alone, output: Output): (event: TrainingEvent) => void {
  const pace = pacer(max_steps, () => performance.now());
  return (event) => {
    if (event.event === 'round') pace.hear(event.round);
    const eta_s = event.event === 'round' ? pace.left() : undefined;
    if (event.event === 'round' && event.round % loggingSteps !== 0 && event.round !== max_steps) return;
    output.event({ ...event, max_steps, ...(eta_s === undefined ? {} : { eta_s }) });
  };
}

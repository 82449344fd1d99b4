/**
 * A training on this machine from its first step to its last: evaluations, checkpoints, and the stop on request.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { StepReport } from '../../method/backprop.ts';
import type { Trainer } from './trainer.ts';

/** What it tells. `round`: steps taken. */
export type TrainingEvent =
  | ({ readonly event: 'round'; readonly round: number; readonly ms: number } & StepReport)
  | { readonly event: 'evaluation'; readonly round: number; readonly metrics: Readonly<Record<string, number>> }
  | { readonly event: 'saved'; readonly round: number; readonly path: string };

export interface Course {
  readonly maxSteps: number;
  readonly evalSteps: number;
  readonly saveSteps: number;
  /** Where the state is saved. */
  readonly state: string;
  readonly onEvent: (event: TrainingEvent) => void;
  /** Asked after every step: whether to save and stop. */
  readonly stopped: () => boolean;
  /** Milliseconds. */
  readonly now: () => number;
}

/** Lets what waits outside, such as a signal, be heard: a step keeps the thread to itself. */
const breath = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Takes the steps that are left and saves the last state.
 * @returns held-out metrics before the first step, if that was taken here, and after the last.
 * @throws {Fault} INTERRUPTED when it was stopped, all of it saved; DIVERGED; RANGE
 */
export async function trainAlone(
  trainer: Trainer,
  { maxSteps, evalSteps, saveSteps, state, onEvent, stopped, now }: Course,
): Promise<{ readonly before?: Readonly<Record<string, number>>; readonly after: Readonly<Record<string, number>> }> {
  const judge = async (): Promise<Readonly<Record<string, number>>> => {
    const metrics = await trainer.evaluate();
    onEvent({ event: 'evaluation', round: trainer.steps(), metrics });
    if (!Number.isFinite(metrics['eval/loss']))
      throw new Fault('DIVERGED', `the held-out loss became ${metrics['eval/loss']}; lower learning_rate`);
    return metrics;
  };
  const save = async (): Promise<void> => {
    await trainer.save(state);
    onEvent({ event: 'saved', round: trainer.steps(), path: state });
  };
  const before = trainer.steps() === 0 ? await judge() : undefined;
  let after = before;
  while (trainer.steps() < maxSteps) {
    const began = now();
    const report = await trainer.step();
    const round = trainer.steps();
    onEvent({ event: 'round', round, ms: now() - began, ...report });
    const over = round === maxSteps;
    if (over || round % evalSteps === 0) after = await judge();
    await breath();
    const stop = !over && stopped();
    if (over || stop || round % saveSteps === 0) await save();
    if (stop)
      throw new Fault(
        'INTERRUPTED',
        `stopped after step ${round} of ${maxSteps}, all of it saved; repeat the command to go on`,
      );
  }
  return { ...(before ? { before } : {}), after: after ?? (await judge()) };
}

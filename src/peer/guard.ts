/**
 * Whether a run still makes sense, from its held-out losses alone: it diverges, or it does not move.
 *
 * @module
 */
import type { FaultCode } from '../faults.ts';

/** A held-out loss after so many rounds. */
export interface Loss {
  readonly round: number;
  readonly loss: number;
}

export interface Verdict {
  readonly code: Extract<FaultCode, 'DIVERGED' | 'STALLED'>;
  /** What happened and what to try. */
  readonly detail: string;
}

/**
 * Twice in a row this much above the base, in nats or as a part of its loss: worse than knowing nothing. A run that only
 * climbs at its first rate comes back before that.
 */
const FAR = { nats: 1, part: 0.5 };
/** Evaluations after the base, and part of the rounds, that a run is given to move. */
const GRACE = { evaluations: 8, part: 0.5 };
/** A loss within this part of the base's has not moved. */
const STILL = 1e-3;

/**
 * @param losses of the base and of what followed, by round. @param learning_rate as it is, to say what to try.
 * @returns why to stop, or nothing.
 */
export function verdict(
  losses: readonly Loss[],
  { max_steps, learning_rate }: { readonly max_steps: number; readonly learning_rate: number },
): Verdict | undefined {
  const base = losses[0];
  const last = losses.at(-1);
  if (!base || !last || base.round !== 0) return undefined;
  const after = `after ${last.round} rounds`;
  if (!Number.isFinite(last.loss))
    return { code: 'DIVERGED', detail: `the held-out loss ${after} is not a number; try ${lower(learning_rate)}` };

  const limit = base.loss + Math.max(FAR.nats, FAR.part * Math.abs(base.loss));
  const latest = losses.slice(1).slice(-2);
  if (latest.length === 2 && latest.every(({ loss }) => loss > limit))
    return {
      code: 'DIVERGED',
      detail: `the held-out loss ${after} is ${show(last.loss)}, from ${show(base.loss)} at the base; try ${lower(learning_rate)}`,
    };

  const moved = losses.some(({ loss }) => Math.abs(loss - base.loss) > STILL * Math.abs(base.loss));
  if (!moved && losses.length > GRACE.evaluations && last.round >= GRACE.part * max_steps)
    return {
      code: 'STALLED',
      detail: `the held-out loss ${after} is still ${show(base.loss)}, that of the base; try ${higher(learning_rate)}, more records a round, or a prompt that says what the task is`,
    };
  return undefined;
}

const show = (loss: number): string => String(Number(loss.toPrecision(4)));
const lower = (rate: number): string => `--learning_rate ${Number((rate / 4).toPrecision(2))}`;
const higher = (rate: number): string => `--learning_rate ${Number((rate * 10).toPrecision(2))}`;

/** The losses among evaluations, by round. */
export const lossesOf = (evaluated: ReadonlyMap<number, Readonly<Record<string, number>>>): Loss[] =>
  [...evaluated]
    .flatMap(([round, metrics]) => {
      const loss = metrics['eval/loss'];
      return loss === undefined ? [] : [{ round, loss }];
    })
    .sort((a, b) => a.round - b.round);

/**
 * What a run has come to, for those who ask in the middle of it: kept from the events of its host, and before them from
 * its journal.
 *
 * @module
 */
import type { Entry } from '../nouns.ts';
import { pacer } from './eta.ts';
import type { HostEvent } from './events.ts';
import type { RunStatus } from './status.ts';

export interface News {
  hear(event: HostEvent): void;
  facts(): Pick<RunStatus, 'max_steps' | 'eta_s' | 'evaluation'>;
  /** Slot → why it was evicted. */
  readonly reasons: ReadonlyMap<number, string>;
}

/** Slot → why it was evicted, in the words of the journal. */
export const reasonsIn = (entries: readonly Entry[]): Map<number, string> =>
  new Map(entries.flatMap((entry) => (entry.type === 'evict' ? [[entry.slot, entry.reason] as const] : [])));

/** @param evaluated of the journal: round → metrics. */
export function newsOf(
  entries: readonly Entry[],
  maxSteps: number,
  evaluated: ReadonlyMap<number, Readonly<Record<string, number>>>,
  now: () => number,
): News {
  const pace = pacer(maxSteps, now);
  const reasons = reasonsIn(entries);
  const [last] = [...evaluated].slice(-1);
  let evaluation: RunStatus['evaluation'] = last && { round: last[0], metrics: last[1] };
  return {
    hear(event) {
      if (event.event === 'round' || event.event === 'merge') pace.hear(event.round);
      if (event.event === 'evicted') reasons.set(event.slot, event.reason);
      if (event.event === 'evaluation') evaluation = { round: event.round, metrics: event.metrics };
    },
    facts() {
      const eta_s = pace.left();
      return {
        max_steps: maxSteps,
        ...(eta_s === undefined ? {} : { eta_s }),
        ...(evaluation === undefined ? {} : { evaluation }),
      };
    },
    reasons,
  };
}

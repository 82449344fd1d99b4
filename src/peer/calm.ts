/**
 * Refusals at a pace that nobody outside can set: the first of a kind is told at once, then at most one a second, which
 * says how many there were. A flood costs its sender's line, not the host's terminal or disk.
 *
 * @module
 */
import type { Clock } from '../ports.ts';
import type { HostEvent } from './events.ts';

const PACE_MS = 1000;

type Refused = Extract<HostEvent, { readonly event: 'refused' }>;

export interface Calm {
  hear(event: HostEvent): void;
  /** Tells what is held back. */
  close(): void;
}

/** Passes events on to `tell`; of refusals of one peer, or of strangers, by one code, those that were held back as one. */
export function calmly(tell: (event: HostEvent) => void, clock: Clock): Calm {
  /** The latest that was held back, how many were, and how to stop waiting. */
  const held = new Map<string, { readonly last: Refused; readonly times: number; readonly cancel: () => void }>();

  function hold(key: string, last: Refused): void {
    held.set(key, { last, times: 0, cancel: clock.after(PACE_MS, () => release(key)) });
  }

  function release(key: string): void {
    const { last, times } = held.get(key)!;
    held.delete(key);
    if (times === 0) return;
    tell(times === 1 ? last : { ...last, times });
    hold(key, last);
  }

  return {
    hear(event) {
      if (event.event !== 'refused') return tell(event);
      const key = `${event.code} ${event.slot ?? ''}`;
      const before = held.get(key);
      if (before !== undefined) held.set(key, { ...before, last: event, times: before.times + 1 });
      else {
        tell(event);
        hold(key, event);
      }
    },
    close() {
      for (const { last, times, cancel } of held.values()) {
        cancel();
        if (times > 0) tell(times === 1 ? last : { ...last, times });
      }
      held.clear();
    },
  };
}

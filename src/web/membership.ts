/**
 * This browser as a peer: what the page shows of it, as a fold over its events.
 *
 * @module
 */
import type { JoinEvent } from '../browser.ts';
import { formatBytes } from '../figures.ts';

export interface Taking {
  /** What it is at, in words. */
  readonly doing: string;
  readonly device?: string;
  readonly slot?: number;
  /** Gradients sent. */
  readonly records: number;
  /** Rounds it had a part in. */
  readonly rounds: number;
  readonly paused: boolean;
}

export const STARTED: Taking = { doing: 'starting', records: 0, rounds: 0, paused: false };

/** What became of it when an event is in. */
export function after(before: Taking, event: JoinEvent): Taking {
  switch (event.event) {
    case 'device':
      return { ...before, device: event.backend === 'wasm' ? `${event.threads} threads` : event.adapter };
    case 'fetching':
      return {
        ...before,
        doing: `fetching ${event.path}: ${formatBytes(event.done)} of ${formatBytes(event.total)}`,
      };
    case 'connected':
      return { ...before, slot: event.slot, doing: 'connected' };
    case 'catchup':
      return { ...before, doing: `catching up: round ${event.round} of ${event.head}` };
    case 'ready':
      return { ...before, doing: 'ready' };
    case 'measured':
      return {
        ...before,
        doing: `measured ${event.records} gradients of round ${event.round + 1} in ${Math.ceil(event.ms)} ms`,
        records: before.records + event.records,
        rounds: before.rounds + 1,
      };
    case 'trained':
      return { ...before, doing: `took ${event.steps} steps`, records: before.records + event.steps };
    case 'paused':
      return { ...before, paused: true, doing: event.why === 'hidden' ? 'paused while hidden' : 'paused' };
    case 'resumed':
      return { ...before, paused: false, doing: 'going on' };
    case 'rebuild':
      return { ...before, doing: 'weights differed from the journal: rebuilding them' };
    case 'disconnected':
      return { ...before, doing: `disconnected: ${event.detail}; trying again` };
    default:
      return before;
  }
}

/**
 * What a peer in a browser tells the page: what every peer tells, and what only a tab has to say.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import type { ParticipantEvent } from '../events.ts';

export type WebPeerEvent =
  | ParticipantEvent
  /** The device passed its known-answer test, and computes from now on. */
  | { readonly event: 'device'; readonly backend: Backend; readonly adapter: string; readonly threads: number }
  /** `done` of `total` bytes of a file of the run are in this browser. */
  | { readonly event: 'fetching'; readonly path: string; readonly done: number; readonly total: number }
  /** The browser keeps the weights as they were after `round` rounds: a tab that comes back begins there. */
  | { readonly event: 'kept'; readonly round: number }
  /** The peer has left for a while, and keeps its weights. */
  | { readonly event: 'paused'; readonly why: PauseReason }
  | { readonly event: 'resumed' };

export type PauseReason = 'hidden' | 'asked';

/**
 * The door for browsers: what a page needs to take part in a run.
 *
 * @module
 */
import type { ParticipantEvent } from './peer/events.ts';
import type { ParticipantOutcome } from './peer/participant.ts';

export type Backend = 'webgpu' | 'wasm';

export type JoinEvent =
  | ParticipantEvent
  | { readonly event: 'device'; readonly backend: Backend; readonly adapter: string; readonly threads: number }
  | { readonly event: 'fetching'; readonly path: string; readonly done: number; readonly total: number }
  | { readonly event: 'paused'; readonly why: 'hidden' | 'asked' }
  | { readonly event: 'resumed' };

export interface JoinOptions {
  readonly name?: string;
  /** Default: webgpu where an adapter passes the known-answer test, else wasm. */
  readonly backend?: Backend;
  readonly threads?: number;
  readonly pauseWhenHidden?: boolean;
  readonly onEvent?: (event: JoinEvent) => void;
}

export type { ParticipantOutcome as JoinOutcome } from './peer/participant.ts';

export interface Membership {
  readonly finished: Promise<ParticipantOutcome>;
  pause(): void;
  resume(): void;
  /** Sends what is measured, and leaves. */
  leave(): void;
}

export type Join = (link: string, options?: JoinOptions) => Membership;

/**
 * How much an event matters: what `--log_level` lets through, and `--log_file` writes.
 *
 * @module
 */
import type { OutputEvent } from './events.ts';

/** The most urgent first. */
export const LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type Level = (typeof LEVELS)[number];

/** Whether something of a level is said where so much is asked for. */
export const reaches = (level: Level, asked: Level): boolean => LEVELS.indexOf(level) <= LEVELS.indexOf(asked);

/** Refusals that happen among friends: somebody was late, came twice, or the host was stopped. */
const FRIENDLY: readonly unknown[] = ['CONTRIBUTION_STALE', 'REPLACED', 'INTERRUPTED'];

/** Event → its level; `info` where it has no line here. */
const OF_EVENT: Readonly<Record<string, Level | ((event: OutputEvent) => Level)>> = {
  ...{ phase: 'debug', measured: 'debug', applied: 'debug', checksum: 'debug', moved: 'debug', progress: 'debug' },
  ...{ warning: 'warn', evicted: 'warn', disconnected: 'warn', rebuild: 'warn', error: 'error' },
  check: ({ state }) => (state === 'ok' ? 'info' : state === 'warn' ? 'warn' : 'error'),
  refused: ({ code }) => (FRIENDLY.includes(code) ? 'info' : 'warn'),
  done: ({ error }) => (error === undefined ? 'info' : 'error'),
};

export function levelOf(event: OutputEvent): Level {
  const level = Object.hasOwn(OF_EVENT, event.event) ? OF_EVENT[event.event]! : 'info';
  return typeof level === 'function' ? level(event) : level;
}

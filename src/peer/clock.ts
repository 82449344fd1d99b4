/**
 * The time of this machine. Browsers have the same three functions.
 *
 * @module
 */
import type { Clock } from '../ports.ts';

/** setTimeout takes no more, and fires at once. */
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, Math.min(ms, LONGEST_MS));
    return () => clearTimeout(timer);
  },
};

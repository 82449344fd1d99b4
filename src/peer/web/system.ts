/**
 * Time and entropy of a browser.
 *
 * @module
 */
import type { Clock } from '../../ports.ts';

export const webClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export const webEntropy = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));

/**
 * Time and entropy of this machine: the only place that reads them.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../../ports.ts';

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

export const systemEntropy = (bytes: number): Uint8Array => new Uint8Array(randomBytes(bytes));

/** A code that nobody guesses and anybody can copy: 96 bits. */
export const randomCode = (): string => randomBytes(12).toString('base64url');

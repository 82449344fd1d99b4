import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RETURN_MS, retryMs } from '../../src/peer/backoff.ts';

const word = fc.uint8Array({ minLength: 4, maxLength: 4 });
const attempt = fc.nat(100);
const wait = (n: number, bytes: Uint8Array, last = false): number => retryMs(n, () => bytes, last);

test('waits grow with attempts in vain, are spread by half, and end at what a host counts on', () => {
  fc.assert(
    fc.property(attempt, word, (n, bytes) => {
      const middle = wait(n, Uint8Array.of(128, 0, 0, 0));
      expect(wait(n, bytes)).toBeGreaterThanOrEqual(middle / 2);
      expect(wait(n, bytes)).toBeLessThanOrEqual(1.5 * middle);
      expect(wait(n, bytes)).toBeLessThanOrEqual(RETURN_MS);
      expect(wait(n + 1, bytes)).toBeGreaterThanOrEqual(wait(n, bytes));
    }),
  );
});

test('a peer that has the last round, or was there a moment ago, asks often enough to meet a host that stays five seconds for it', () => {
  fc.assert(
    fc.property(attempt, word, (n, bytes) => {
      expect(wait(n, bytes, true)).toBeLessThan(5000);
    }),
  );
});

/** When a host writes a snapshot, where nobody says. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { downloadMs, measured, type Pace, roundsBetween } from '../../src/peer/snapshot-pace.ts';

describe('rounds between two snapshots', () => {
  test('never, before anything was measured', () => {
    expect(roundsBetween(1000, {})).toBe(Number.POSITIVE_INFINITY);
  });

  test('replaying them takes at least as long as downloading one, and one fewer would not', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 36 }),
        fc.double({ min: 0.01, max: 1e5, noNaN: true }),
        (bytes, replayMs) => {
          const rounds = roundsBetween(bytes, { replayMs });
          expect(rounds * replayMs).toBeGreaterThanOrEqual(downloadMs(bytes) * (1 - 1e-12));
          if (rounds > 16) expect((rounds - 1) * replayMs).toBeLessThan(downloadMs(bytes) * (1 + 1e-12));
          expect(rounds).toBeGreaterThanOrEqual(16);
        },
      ),
    );
  });

  test('writing takes a twentieth of the time at most', () => {
    const pace: Pace = { replayMs: 1000, roundMs: 100, writeMs: 500 };
    expect(roundsBetween(1, pace)).toBe(100);
    expect(roundsBetween(1, { ...pace, writeMs: 10 })).toBe(16);
  });

  test('follow a running mean: one slow round says little', () => {
    let pace = measured({}, { replayMs: 8 });
    expect(pace).toEqual({ replayMs: 8 });
    pace = measured(pace, { replayMs: 16, roundMs: 4 });
    expect(pace).toEqual({ replayMs: 9, roundMs: 4 });
  });
});

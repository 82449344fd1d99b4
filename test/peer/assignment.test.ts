import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assign, type Worker } from '../../src/peer/assignment.ts';
import { lateRate, patience, QUORUM, roundSpan, updateRate } from '../../src/peer/pace.ts';

const workers: fc.Arbitrary<Worker[]> = fc.uniqueArray(
  fc.record({
    slot: fc.nat(1000),
    rate: fc.option(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), { nil: undefined }),
    worked: fc.integer({ min: -1, max: 50 }),
  }),
  { selector: ({ slot }) => slot, minLength: 1, maxLength: 40 },
);

describe('assignment', () => {
  test('ranges cover the round once, in the order of slots, and nobody gets nothing', () => {
    fc.assert(
      fc.property(workers, fc.integer({ min: 1, max: 300 }), (peers, records) => {
        const ranges = assign(peers, records);
        expect(ranges).toHaveLength(Math.min(peers.length, records));
        let from = 0;
        for (const [i, range] of ranges.entries()) {
          expect(range.from).toBe(from);
          expect(range.count).toBeGreaterThanOrEqual(1);
          if (i > 0) expect(range.slot).toBeGreaterThan(ranges[i - 1]!.slot);
          from += range.count;
        }
        expect(from).toBe(records);
      }),
    );
  });

  test('shares follow rates; a newcomer is taken to be average', () => {
    const peers = [0.01, 0.03, undefined].map((rate, slot) => ({ slot, rate, worked: -1 }));
    expect(assign(peers, 63).map(({ count }) => count)).toEqual([11, 31, 21]);
  });

  test('with more peers than records, those who waited longest work: nobody waits more than a turn', () => {
    let peers: Worker[] = [0, 1, 2, 3, 4].map((slot) => ({ slot, rate: 1, worked: -1 }));
    const turns: number[][] = [];
    for (let round = 0; round < 20; round++) {
      const chosen = assign(peers, 2).map(({ slot }) => slot);
      turns.push(chosen);
      peers = peers.map((peer) => (chosen.includes(peer.slot) ? { ...peer, worked: round } : peer));
    }
    for (let round = 2; round < turns.length; round++)
      expect(new Set(turns.slice(round - 2, round + 1).flat()).size, `${turns[round]} in round ${round}`).toBe(5);
  });
});

describe('pace', () => {
  test('a rate moves towards the newest measurement, and a clock that stands still is no infinite rate', () => {
    expect(updateRate(undefined, 10, 100)).toBeCloseTo(0.1);
    expect(updateRate(0.1, 10, 50)).toBeCloseTo(0.13);
    expect(Number.isFinite(updateRate(undefined, 10, 0))).toBe(true);
  });

  test('being late halves what is expected, until it fits', () => {
    expect(lateRate(undefined, 32, 8000)).toBeCloseTo(0.002);
    expect(lateRate(0.001, 32, 8000)).toBeCloseTo(0.0005);
  });

  test('a deadline is four times the slowest share, and never so short that latency decides', () => {
    expect(
      roundSpan([
        { count: 30, rate: 0.01 },
        { count: 10, rate: 0.01 },
      ]),
    ).toBeCloseTo(12_000);
    expect(roundSpan([{ count: 1, rate: 10 }])).toBe(2000);
    expect(
      roundSpan([
        { count: 30, rate: 0.01 },
        { count: 60, rate: undefined },
      ]),
    ).toBeCloseTo(24_000);
    expect(roundSpan([{ count: 1, rate: undefined }])).toBeGreaterThan(60_000);
  });

  test('waiting twice as long halves what is enough', () => {
    expect(patience(999, 1000)).toEqual({ needed: Number.POSITIVE_INFINITY, next: 1000 });
    expect(patience(1000, 1000)).toEqual({ needed: QUORUM, next: 2000 });
    expect(patience(2000, 1000)).toEqual({ needed: QUORUM / 2, next: 4000 });
    expect(patience(7999, 1000)).toEqual({ needed: QUORUM / 4, next: 8000 });
  });
});

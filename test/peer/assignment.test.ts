import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assign, capOf, type Worker } from '../../src/peer/assignment.ts';
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

  const shares: Readonly<Record<string, number>> = { alice: 0.25, bob: 0.1, carol: 1 };
  const invited = fc
    .tuple(workers, fc.array(fc.constantFrom('alice', 'bob', 'carol', undefined), { minLength: 40, maxLength: 40 }))
    .map(([peers, names]) => peers.map((peer, i) => ({ ...peer, invite: names[i], maxShare: shares[names[i] ?? ''] })));
  const of = (peers: readonly Worker[], name: string | undefined) =>
    new Set(peers.filter(({ invite }) => invite === name).map(({ slot }) => slot));

  test('no invite gets more than its part of a round, whoever else is there; ranges have no gap and nobody gets nothing', () => {
    fc.assert(
      fc.property(invited, fc.integer({ min: 1, max: 300 }), (peers, records) => {
        const ranges = assign(peers, records);
        let from = 0;
        for (const range of ranges) {
          expect(range.from).toBe(from);
          expect(range.count).toBeGreaterThanOrEqual(1);
          from += range.count;
        }
        for (const name of ['alice', 'bob']) {
          const had = ranges.filter(({ slot }) => of(peers, name).has(slot)).reduce((sum, { count }) => sum + count, 0);
          expect(had, name).toBeLessThanOrEqual(capOf(shares[name]!, records));
        }
        const free = of(peers, 'carol').size + of(peers, undefined).size > 0;
        expect(from <= records).toBe(true);
        if (free) expect(from, 'whoever has no cap takes what is left').toBe(records);
        // Where all are capped, each invite has what it may, or its cap is below one record.
        if (!free)
          for (const name of ['alice', 'bob'])
            if (of(peers, name).size > 0)
              expect(
                ranges.filter(({ slot }) => of(peers, name).has(slot)).reduce((n, { count }) => n + count, 0),
              ).toBe(capOf(shares[name]!, records));
      }),
    );
  });

  test('a part below one record is none; a capped peer ten times as fast leaves the rest to the others', () => {
    const peer = (slot: number, rate: number, invite?: string) => ({
      ...{ slot, rate, worked: -1, invite },
      maxShare: invite === undefined ? undefined : shares[invite],
    });
    expect(assign([peer(0, 1, 'bob'), peer(1, 1)], 9)).toEqual([{ slot: 1, from: 0, count: 9 }]);
    expect(assign([peer(0, 10, 'alice'), peer(1, 1), peer(2, 2), peer(3, 10, 'alice')], 40)).toEqual([
      { slot: 0, from: 0, count: 5 },
      { slot: 1, from: 5, count: 10 },
      { slot: 2, from: 15, count: 20 },
      { slot: 3, from: 35, count: 5 },
    ]);
    expect(assign([peer(0, 1, 'bob')], 5)).toEqual([]);
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

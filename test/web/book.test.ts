import { describe, expect, test } from 'vitest';
import { type Entry, HOST_SLOT, NO_LOSS } from '../../src/nouns.ts';
import { headerOf } from '../../src/optimizer/header.ts';
import { extend, type Ledger } from '../../src/peer/ledger.ts';
import { EMPTY, enter, metricsOf, type Verified } from '../../src/web/book.ts';
import { bytesFrom, MANIFEST } from '../journal/fixture.ts';

const SEGMENTS = [
  [
    { slot: 0, from: 0, codes: Int8Array.of(10, -30, NO_LOSS) },
    { slot: 1, from: 3, codes: Int8Array.of(20) },
  ],
  [{ slot: 1, from: 0, codes: Int8Array.of(NO_LOSS, NO_LOSS) }],
];

/** A run of two rounds whose headers are what its journal implies. */
function entries(): Entry[] {
  const before: Entry[] = [
    { type: 'manifest', manifest: MANIFEST },
    { type: 'admit', slot: 0, key: bytesFrom(32, 32), name: 'ada' },
    { type: 'admit', slot: 1, key: bytesFrom(64, 32), name: 'grace' },
    { type: 'evaluation', round: 0, slot: HOST_SLOT, metrics: { 'eval/accuracy': 0.5, 'eval/loss': 0.7 } },
  ];
  let ledger = before.reduce<Ledger | undefined>(extend, undefined)!;
  const rounds = SEGMENTS.map((segments, number): Entry => {
    const usable = segments.reduce((sum, { codes }) => sum + codes.filter((code) => code !== NO_LOSS).length, 0);
    const entry: Entry = {
      type: 'round',
      round: { header: headerOf(MANIFEST, ledger.scale, number, usable), segments },
    };
    ledger = extend(ledger, entry);
    return entry;
  });
  return [
    ...before,
    ...rounds,
    { type: 'evaluation', round: 2, slot: 1, metrics: { 'eval/loss': 0 } },
    { type: 'evaluation', round: 2, slot: HOST_SLOT, metrics: { 'eval/accuracy': 0.9, 'eval/loss': 0.4 } },
    { type: 'evict', slot: 0, reason: 'SIGNATURE_WRONG: twice' },
  ];
}

const verified = (all: readonly Entry[]): Verified[] =>
  all.map((entry, index) => ({ index, offset: 8 + 100 * index, length: 100, hash: `h${index}`, entry }));

describe('the book of a run', () => {
  const book = enter(EMPTY, verified(entries()));

  test('has of each round what was given, how much of it counted, and its mean |slope|', () => {
    const unit = MANIFEST.initial_scale / 2 ** 32;
    expect(book.rounds[0]).toMatchObject({ round: 1, records: 4, usable: 3, peers: 2, bytes: 100 });
    expect(book.rounds[0]!.slope).toBeCloseTo(20 * unit, 12);
    expect(book.rounds[1]).toMatchObject({ round: 2, records: 2, usable: 0, peers: 1, slope: null });
  });

  test("shows the host's evaluations, and what peers gave and why they went", () => {
    expect(book.evaluations).toEqual([
      { round: 0, metrics: { 'eval/accuracy': 0.5, 'eval/loss': 0.7 } },
      { round: 2, metrics: { 'eval/accuracy': 0.9, 'eval/loss': 0.4 } },
    ]);
    expect(metricsOf(book)).toEqual(['eval/loss', 'eval/accuracy']);
    expect([...book.contributed]).toEqual([
      [0, 3],
      [1, 3],
    ]);
    expect([...book.evicted]).toEqual([[0, 'SIGNATURE_WRONG: twice']]);
    expect(book.length).toBe(8 + 100 * entries().length);
  });

  test('is the same however the records come in, and leaves earlier books as they were', () => {
    let piecewise = EMPTY;
    for (const record of verified(entries())) {
      const before = structuredClone(piecewise);
      const next = enter(piecewise, [record]);
      expect(piecewise).toEqual(before);
      piecewise = next;
    }
    expect(piecewise).toEqual(book);
  });

  test('what is revoked counts no more; rounds that are rewound are gone, with what was found out about them', () => {
    const revoked = enter(book, verified([...entries(), { type: 'revoke', slot: 1, from: 0, to: 1 }]).slice(-1));
    expect([...revoked.contributed]).toEqual([
      [0, 3],
      [1, 2],
    ]);
    expect(revoked.rounds[0], 'it was committed with four').toMatchObject({ records: 4, shares: [[0, 3]] });
    const twice = enter(revoked, verified([...entries(), { type: 'revoke', slot: 1, from: 0, to: 2 }]).slice(-1));
    expect([...twice.contributed]).toEqual([[0, 3]]);
    const back = enter(book, verified([...entries(), { type: 'rewind', round: 1 }]).slice(-1));
    expect(back.rounds).toEqual(book.rounds.slice(0, 1));
    expect(back.evaluations).toEqual(book.evaluations.slice(0, 1));
    expect([...back.contributed]).toEqual([
      [0, 3],
      [1, 1],
    ]);
    expect(back.lines.at(-1)).toMatchObject({ type: 'rewind', text: 'to round 1: it and later ones count no more' });
  });

  test('refuses a round whose header the journal does not imply', () => {
    const wrong = entries().map((entry) =>
      entry.type === 'round'
        ? { ...entry, round: { ...entry.round, header: { ...entry.round.header, gain: 1 } } }
        : entry,
    );
    expect(() => enter(EMPTY, verified(wrong))).toThrow('HEADER_WRONG');
  });
});

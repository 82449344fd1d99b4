import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Audit, type Entry, type Manifest, NO_LOSS } from '../../src/nouns.ts';
import { chosenClaim } from '../../src/numeric/audit.ts';
import { assignAudited, auditRules, EMPTY_BOOK, groupsAmong, judge, tolerance } from '../../src/peer/audit.ts';
import { bookOf } from '../../src/peer/audited-round.ts';
import { begin } from '../../src/peer/coordinator.ts';
import { ledgerOf } from '../../src/peer/ledger.ts';
import { MANIFEST, seeded } from './fake.ts';
import { RIGHT, SIGNATURE, sequencer } from './sequencer.ts';

const RULES = { fraction: 0.3, secret: [11, 22, 33] } as const;
const claim = (slot: number, ...codes: readonly number[]) => ({ slot, codes: Int8Array.from(codes) });

describe('who is audited', () => {
  const workers = fc.uniqueArray(
    fc.record({
      slot: fc.nat(50),
      rate: fc.option(fc.double({ min: 0.01, max: 10, noNaN: true }), { nil: undefined }),
      worked: fc.integer({ min: -1, max: 9 }),
    }),
    {
      selector: ({ slot }) => slot,
      minLength: 1,
      maxLength: 12,
    },
  );

  test('every record is measured by one peer or by three, and a peer has one range', () =>
    fc.assert(
      fc.property(
        workers,
        fc.integer({ min: 1, max: 200 }),
        fc.nat(99),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (all, records, round, fraction) => {
          const ranges = assignAudited(all, records, { ...RULES, fraction }, round);
          expect(new Set(ranges.map(({ slot }) => slot)).size).toBe(ranges.length);
          const groups = groupsAmong(ranges).toSorted((a, b) => a[0]!.from - b[0]!.from);
          let from = 0;
          for (const group of groups) {
            expect([1, 3]).toContain(group.length);
            expect(group.every((range) => range.from === from && range.count === group[0]!.count)).toBe(true);
            from += group[0]!.count;
          }
          expect(from).toBe(records);
        },
      ),
    ));

  test('those who came by an invite have no more of a round than its part, their groups included', () =>
    fc.assert(
      fc.property(workers, fc.nat(12), fc.integer({ min: 20, max: 200 }), fc.nat(99), (all, guests, records, round) => {
        const maxShare = 0.25;
        const some = all.map((worker, i) => (i < guests ? { ...worker, invite: 'eve', maxShare } : worker));
        const eve = new Set(some.slice(0, guests).map(({ slot }) => slot));
        const groups = groupsAmong(assignAudited(some, records, { ...RULES, fraction: 0.5 }, round));
        const theirs = groups.filter((group) => group.some(({ slot }) => eve.has(slot)));
        expect(theirs.reduce((sum, [first]) => sum + first!.count, 0)).toBeLessThanOrEqual(maxShare * records);
      }),
    ));

  test.each([3, 4, 10, 25])('of %i peers, the part of the records that was asked for, on average', (n) => {
    const all = Array.from({ length: n }, (_, slot) => ({ slot, rate: 1, worked: 0 }));
    for (const fraction of [0.05, 0.1, 0.3]) {
      let audited = 0;
      for (let round = 0; round < 2000; round++) {
        const ranges = assignAudited(all, 1000, { ...RULES, fraction }, round);
        for (const [first, ...others] of groupsAmong(ranges)) if (others.length > 0) audited += first!.count;
      }
      expect(audited / 2_000_000).toBeCloseTo(fraction, 1);
    }
  });

  test('follows from the secret and from nothing that peers know', () => {
    const all = Array.from({ length: 12 }, (_, slot) => ({ slot, rate: 1, worked: 0 }));
    const groups = (secret: readonly [number, number, number]) =>
      Array.from({ length: 40 }, (_, round) =>
        groupsAmong(assignAudited(all, 120, { fraction: 0.3, secret }, round)).filter(({ length }) => length > 1),
      );
    expect(groups([1, 2, 3])).toEqual(groups([1, 2, 3]));
    for (const other of [
      [2, 2, 3],
      [1, 3, 3],
      [1, 2, 4],
    ] as const)
      expect(groups(other)).not.toEqual(groups([1, 2, 3]));
    const bytes = Uint8Array.from({ length: 12 }, (_, i) => i);
    expect(auditRules(0.5, () => bytes)).toEqual({ fraction: 0.5, secret: [0x00010203, 0x04050607, 0x08090a0b] });
  });

  test('where a range begins does not tell whether others have it too', () => {
    const all = Array.from({ length: 9 }, (_, slot) => ({ slot, rate: 1, worked: 0 }));
    const begins = { alone: [] as number[], audited: [] as number[] };
    for (let round = 0; round < 3000; round++)
      for (const group of groupsAmong(assignAudited(all, 900, RULES, round)))
        for (const { slot, from } of group) if (slot === 8) begins[group.length > 1 ? 'audited' : 'alone'].push(from);
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(Math.abs(mean(begins.alone) - mean(begins.audited))).toBeLessThan(40);
  });

  test('peers of one group are about as fast as each other, where there are such', () => {
    const all = [1, 1, 1, 1, 100, 100, 100, 100].map((rate, slot) => ({ slot, rate, worked: 0 }));
    for (let round = 0; round < 200; round++)
      for (const group of groupsAmong(assignAudited(all, 1000, { ...RULES, fraction: 0.1 }, round)).filter(
        ({ length }) => length > 1,
      ))
        expect(new Set(group.map(({ slot }) => slot < 4)).size).toBe(1);
  });
});

describe('what three peers say', () => {
  const audit = (...claims: readonly ReturnType<typeof claim>[]): Audit => ({ round: 4, from: 8, claims });

  test('the claim nearest to the median stands, of the two longest', () => {
    expect(chosenClaim([claim(0, 90, 90), claim(1, 10, 11), claim(2, 11, 10)]).slot).toBe(1);
    expect(chosenClaim([claim(0, 10), claim(1, 12, 9), claim(2, 10, 9, 7)]).slot).toBe(2);
    expect(chosenClaim([claim(0, 1), claim(1, 5, 5, 5)]).slot).toBe(1);
    expect(chosenClaim([claim(3, 5, 5), claim(7, 6, 6)]).slot).toBe(3);
  });

  test('one liar, whatever it says, is not chosen where the others agree', () =>
    fc.assert(
      fc.property(
        fc.int8Array({ minLength: 4, maxLength: 9 }),
        fc.int8Array({ minLength: 1, maxLength: 9 }),
        fc.nat(2),
        (honest, lie, place) => {
          const claims = [0, 1, 2].map((slot) => ({ slot, codes: slot === place ? lie : honest }));
          const chosen = chosenClaim(claims);
          const n = Math.min(lie.length, honest.length);
          expect([...chosen.codes.subarray(0, n)]).toEqual([...honest.subarray(0, n)]);
          expect(chosen.codes.length).toBeGreaterThanOrEqual(Math.min(honest.length, chosen.codes.length));
        },
      ),
    ));

  test('whoever two others contradict has failed: by other codes, or by none', () => {
    const failed = (...claims: ReturnType<typeof claim>[]) => judge(EMPTY_BOOK, audit(...claims), 'f32').failed;
    expect(failed(claim(0, 30, -20), claim(1, 30, -20), claim(2, -30, 20))).toBe(2);
    expect(failed(claim(0, NO_LOSS, -20), claim(1, 30, -20), claim(2, 31, -20))).toBe(0);
    expect(failed(claim(0, 30, -20), claim(1, 31, -19), claim(2, 29, -21))).toBeUndefined();
    expect(failed(claim(0, 30), claim(1, -30), claim(2, 90)), 'no two agree').toBeUndefined();
    expect(failed(claim(0, 30), claim(1, -30)), 'nobody knows who').toBeUndefined();
    expect(failed(claim(0, 30, 9, 9), claim(1, 30, 9), claim(2, 30, -90, 9, 9))).toBe(2);
  });

  test('an int8 run bears what bytes may add', () => {
    const claims = [claim(0, 30, -20), claim(1, 30, -20), claim(2, 10, 5)];
    expect(judge(EMPTY_BOOK, audit(...claims), 'f32').failed).toBe(2);
    expect(judge(EMPTY_BOOK, audit(...claims), 'int8').failed).toBeUndefined();
  });

  test('noise that devices have shown is borne; a liar does not widen it', () => {
    const random = seeded(3);
    let book = EMPTY_BOOK;
    for (let i = 0; i < 60; i++) {
      const claims = [0, 1, 2].map((slot) => claim(slot, ...[0, 0, 0, 0].map(() => Math.round((random() - 0.5) * 8))));
      book = judge(book, audit(...claims), 'f32').book;
    }
    const borne = tolerance(book, 'f32');
    expect(borne).toBeGreaterThan(5);
    for (let i = 0; i < 60; i++)
      book = judge(book, audit(claim(0, 1, 2), claim(1, 0, 2), claim(2, 127, -127)), 'f32').book;
    expect(tolerance(book, 'f32')).toBeLessThanOrEqual(borne);
  });
});

/** How a peer's codes differ from what is right. */
type Habit = (right: number, others: readonly number[]) => number;

/** A run with peers of the given habits under the hand of the sequencer. */
function audited(habits: readonly Habit[], rounds: number, fraction: number, seed = 1, manifest: Manifest = MANIFEST) {
  const random = seeded(seed);
  const b = sequencer(
    { ...manifest, max_steps: 100_000, records_per_round: 8 * habits.length },
    { minPeers: habits.length, evalSteps: 1_000_000, audit: { fraction, secret: [seed, 2, 3] } },
  );
  b.applied();
  const everybody = habits.map((_, slot) => slot);
  b.join(...everybody);
  const right = new Map<number, number>();
  for (let round = 0; round < rounds; round++) {
    right.clear();
    const shares = [...b.state.attempt!.shares.values()];
    for (const { slot, from, count } of shares) {
      const codes = Int8Array.from({ length: count }, (_, i) => {
        const code = right.get(from + i) ?? Math.floor(random() * 120 - 60);
        right.set(from + i, code);
        return habits[slot]!(
          code,
          [...b.state.attempt!.shares.values()].filter((s) => s.from === from).map((s) => s.slot),
        );
      });
      b.now += 1;
      b.send({ type: 'contribution', channel: slot, round, from, codes, signature: SIGNATURE });
    }
    b.applied();
    const gone = everybody.filter((slot) => b.state.members.get(slot)!.status === 'gone');
    for (const slot of gone) b.connect(slot);
    const back = everybody.filter((slot) => !['evicted', 'ready'].includes(b.state.members.get(slot)!.status));
    b.ready(...back);
    expect(b.state.ledger.round).toBe(round + 1);
  }
  const evicted = new Map(
    b.journal.flatMap((entry, at) => (entry.type === 'evict' ? [[entry.slot, at] as const] : [])),
  );
  const roundsBefore = (at: number) => b.journal.slice(0, at).filter(({ type }) => type === 'round').length;
  return {
    ...b,
    journal: b.journal,
    state: b.state,
    evicted,
    evictedAt: (slot: number) => roundsBefore(evicted.get(slot)!),
  };
}

const random = seeded(99);
/** What devices differ by: a code up or down, now and then. */
const honest: Habit = (code) => code + (random() < 0.1 ? (random() < 0.5 ? 1 : -1) : 0);
const flipped: Habit = (code) => -code;
const maximal: Habit = (code) => (code > 0 ? -127 : 127);
const selective: Habit = (code) => (code > 0 ? code : NO_LOSS);

describe('a run that is audited', () => {
  test.each([
    ['flipped', flipped],
    ['maximal', maximal],
    ['selective', selective],
  ])('evicts two %s liars of ten, and nobody else', (_, lie) => {
    const run = audited([honest, lie, honest, honest, lie, honest, honest, honest, honest, honest], 150, 0.1);
    expect([...run.evicted.keys()].sort()).toEqual([1, 4]);
    for (const slot of [1, 4]) expect(run.evictedAt(slot)).toBeLessThan(150);
    const reason = run.journal.find((entry) => entry.type === 'evict') as Extract<Entry, { type: 'evict' }>;
    expect(reason.reason).toMatch(/^AUDIT_FAILED: rounds [\d, ]+, contradicted by slots [\d, ]+$/);
    expect(run.state.members.get(0)!.strikes).toBe(0);
  });

  test('strikes no honest peer in 600 rounds', () => {
    const run = audited(new Array<Habit>(6).fill(honest), 600, 0.3);
    expect(run.journal.filter(({ type }) => type === 'audit').length).toBeGreaterThan(300);
    expect([...run.state.members.values()].map(({ strikes }) => strikes)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test('three that lie together where they meet, and only there, evict nobody', () => {
    const cabal = [0, 1, 2];
    const together: Habit = (code, group) => (group.filter((slot) => cabal.includes(slot)).length > 1 ? -code : code);
    const run = audited([together, together, together, ...new Array<Habit>(7).fill((code) => code)], 400, 0.3);
    const struck = [...run.state.members.values()].filter(({ strikes }) => strikes > 0).map(({ slot }) => slot);
    expect(struck.length, 'they do put strikes on others').toBeGreaterThan(0);
    expect(run.evicted.size).toBe(0);
  });

  test('its journal is one that every replica accepts, and its book can be made again from it', () => {
    const run = audited([honest, flipped, honest, honest, honest], 30, 0.5);
    expect(ledgerOf(run.journal).round).toBe(30);
    expect(bookOf(run.journal)).toEqual(run.state.audits);
    const [audit] = run.journal.flatMap((entry) => (entry.type === 'audit' ? [entry.audit] : []));
    expect(audit!.claims.map(({ slot }) => slot)).toEqual(
      audit!.claims.map(({ slot }) => slot).toSorted((a, b) => a - b),
    );
  });

  test('a host that died between an audit and its round commits what the audit says', () => {
    const run = audited([honest, honest, honest], 4, 1);
    const last = run.journal.findLastIndex(({ type }) => type === 'round');
    const round = run.journal[last];
    const rules = { minPeers: 3, evalSteps: 1_000_000 };
    const { effects } = begin(run.journal.slice(0, last), [], rules, 0);
    const entries = effects.flatMap((effect) => (effect.type === 'append' ? [effect.entry] : []));
    expect(entries.map(({ type }) => type)).toEqual(['audit', 'round']);
    expect(entries.at(-1)).toEqual(round);
  });

  test('a code beyond the clip is no contribution, and an offence', () => {
    const b = sequencer({ ...MANIFEST, clip: 100 }, { minPeers: 1 });
    b.applied();
    b.join(0);
    const { from, count } = b.state.attempt!.shares.get(0)!;
    const send = (code: number) =>
      b.send({
        type: 'contribution',
        channel: 0,
        round: 0,
        from,
        codes: new Int8Array(count).fill(code),
        signature: SIGNATURE,
      });
    send(101);
    expect(b.of('close')).toMatchObject([{ code: 'CONTRIBUTION_RANGE' }]);
    expect(b.state.ledger.round).toBe(0);
    b.connect(0);
    b.send({ type: 'ready', channel: 0, round: 0, checksum: RIGHT });
    send(-100);
    expect(b.state.ledger.round).toBe(1);
  });
});

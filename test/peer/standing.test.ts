/** Who begins with a standing knows what those know who read the whole journal; and no standing is believed unsigned. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Journal } from '../../src/journal/journal.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import type { Entry, Manifest, Optimizer } from '../../src/nouns.ts';
import { equalBytes, toHex } from '../../src/numeric/bytes.ts';
import { recentOf } from '../../src/optimizer/steps.ts';
import type { SnapshotOffer } from '../../src/peer/fetcher.ts';
import { Follower } from '../../src/peer/follower.ts';
import { type Ledger, ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import {
  decodeStanding,
  encodeStanding,
  recentIn,
  type Standing,
  standingAfter,
  standingAt,
  standingOf,
} from '../../src/peer/standing.ts';
import { begunJournal, fakeClock, fakeCrypto, fakeReplica, journalFetcher, MANIFEST } from './fake.ts';
import { longRun, moreRounds } from './long-run.ts';
import { offerOf } from './snapshot.ts';

const ADAM: Optimizer = { kind: 'scalar_adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8, window: 5 };
const OPTIMIZERS: readonly (Optimizer | undefined)[] = [undefined, { kind: 'momentum', beta: 0.9, window: 4 }, ADAM];

const manifestWith = (optimizer: Optimizer | undefined, max_steps = 3000): Manifest => ({
  ...MANIFEST,
  ...{ max_steps, lr_scheduler_type: 'constant' },
  ...(optimizer && { optimizer }),
});

const standAt = (journal: Journal, round: number): Standing =>
  standingAfter(standingAt(journal.records[0]!, fakeCrypto), journal.records.slice(1), round);

/** What of a ledger later records depend on. */
const known = ({ round, scale, admitted, manifest }: Ledger) => ({ round, scale, admitted, manifest });

/** A run of `rounds` rounds with a snapshot at `at`, whose records are there `later` rounds after it. */
async function runWith({
  rounds = 60,
  at = 40,
  later = 2,
  optimizer = undefined as Optimizer | undefined,
  lie = false,
} = {}) {
  const manifest = manifestWith(optimizer);
  const journal = await begunJournal(manifest);
  await longRun(journal, manifest, at + later);
  const live = fakeReplica(fakeClock());
  await live.apply(roundsOf(journal.records.map(({ entry }) => entry)).slice(0, at));
  const offer = await offerOf(live);
  const standing = encodeStanding(standAt(journal, at));
  await journal.append({ type: 'standing', round: at, hash: fakeCrypto.sha256(standing, new Uint8Array(lie ? 1 : 0)) });
  await journal.append({ type: 'digest', round: at, root: await live.root() });
  const now = ledgerOf(journal.records.map(({ entry }) => entry));
  await journal.appendAll(moreRounds(now, rounds - at - later, 2));
  await live.apply(roundsOf(journal.records.map(({ entry }) => entry)).slice(at));
  return { journal, live, offer: { ...offer, standing }, at };
}

/** @returns a follower that has caught up, what it fetched, and the replica. */
async function joined(journal: Journal, offer: SnapshotOffer | undefined) {
  let bytes = 0;
  let applied = 0;
  const follower = new Follower(fakeCrypto, journal.position.run!, async () => {
    const replica = fakeReplica(fakeClock());
    return {
      ...replica,
      apply(rounds) {
        applied += rounds.length;
        return replica.apply(rounds);
      },
    };
  });
  const whole = journalFetcher(() => journal);
  const fetcher = {
    ...whole,
    async journal(from: number) {
      const tail = await whole.journal(from);
      bytes += tail.length;
      return tail;
    },
    snapshot: async () => offer,
  };
  await follower.fetch(fetcher);
  while (!(await follower.advance(fetcher)));
  return { follower, fetcher, fetched: () => bytes, applied: () => applied };
}

describe('a standing', () => {
  test.each(OPTIMIZERS)('is the same reached at once or in steps, and read back from bytes: %o', async (optimizer) => {
    const manifest = manifestWith(optimizer);
    const journal = await begunJournal(manifest);
    await longRun(journal, manifest, 80);
    const rounds = roundsOf(journal.records.map(({ entry }) => entry));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 80 }), { minLength: 1, maxLength: 5 }), (stops) => {
        let standing = standingAt(journal.records[0]!, fakeCrypto);
        for (const stop of stops.sort((a, b) => a - b))
          standing = standingAfter(standing, journal.records.slice(standing.position.index), stop);
        const round = stops.at(-1)!;
        const bytes = encodeStanding(standing);
        expect(equalBytes(bytes, encodeStanding(standAt(journal, round)))).toBe(true);
        const read = decodeStanding(bytes, journal.position.run!, fakeCrypto);
        expect(read.position).toEqual(standing.position);
        expect(known(read.ledger)).toEqual(known(standing.ledger));
        expect(recentIn(read.ledger)).toEqual(recentOf(manifest, rounds, round));
      }),
      { numRuns: 30 },
    );
  });

  test('has the bytes that it had: its hash is signed', async () => {
    const { offer } = await runWith({ optimizer: ADAM });
    expect(toHex(fakeCrypto.sha256(offer.standing))).toBe(
      'cfe5270fe3217d847b68f712aafbbe4cbd3e1b678ca4384c4205d2556eb9f77d',
    );
  });

  test('is refused where it is of another run, cut or longer', async () => {
    const { offer, journal } = await runWith();
    const run = journal.position.run!;
    expect(() => decodeStanding(offer.standing, new Uint8Array(32), fakeCrypto)).toThrow(/^JOURNAL_FOREIGN: /);
    for (const bytes of [
      offer.standing.subarray(1),
      offer.standing.subarray(0, 100),
      Uint8Array.of(...offer.standing, 0),
    ])
      expect(() => decodeStanding(bytes, run, fakeCrypto)).toThrow(/^JOURNAL_(CORRUPT|FOREIGN): /);
  });

  test('is what a record says there was, or there is none to offer', async () => {
    const { offer, journal, at } = await runWith();
    expect(standingOf(journal.records, at, fakeCrypto)).toEqual(offer.standing);
    expect(standingOf(journal.records, at - 1, fakeCrypto)).toBeUndefined();
    const lied = await runWith({ lie: true });
    expect(standingOf(lied.journal.records, at, fakeCrypto)).toBeUndefined();
  });
});

describe('who joins with a standing', () => {
  test.each(OPTIMIZERS)(
    'knows what the others know, has their weights, and goes on with them: %o',
    async (optimizer) => {
      const { journal, live, offer, at } = await runWith({ optimizer });
      const late = await joined(journal, offer);
      const early = await joined(journal, undefined);
      expect([late.applied(), early.applied()]).toEqual([60 - at, 60]);
      const { position } = verifyJournal(await journal.read(), fakeCrypto);
      const begins = decodeStanding(offer.standing, position.run!, fakeCrypto).position.length;
      expect([late.fetched(), early.fetched()]).toEqual([position.length - begins, position.length]);
      for (const entry of moreRounds(early.follower.ledger, 30, 3)) {
        const { offset, bytes } = await journal.append(entry);
        for (const { follower } of [late, early]) expect(follower.take(offset, bytes)).toBe(true);
        expect(known(late.follower.ledger)).toEqual(known(early.follower.ledger));
        expect(late.follower.anchor).toEqual(early.follower.anchor);
        if (entry.type === 'round') await live.apply([entry.round]);
      }
      while (!(await late.follower.advance(late.fetcher)));
      expect(await late.follower.replica.root()).toEqual(await live.root());
    },
  );

  test('of a run of 2,000 rounds reads the last few', async () => {
    const { journal, live, offer } = await runWith({ rounds: 2000, at: 1950 });
    const late = await joined(journal, offer);
    expect(late.applied()).toBe(50);
    expect(late.fetched()).toBeLessThan(journal.position.length / 30);
    expect(await late.follower.replica.root()).toEqual(await live.root());
  });

  test('takes a newer snapshot than the journal that it has read, as the run went on while it was making ready', async () => {
    const { journal, live, offer } = await runWith();
    const whole = journalFetcher(() => journal);
    let applied = 0;
    const follower = new Follower(fakeCrypto, journal.position.run!, async () => {
      const replica = fakeReplica(fakeClock());
      const apply: typeof replica.apply = (rounds) => {
        applied += rounds.length;
        return replica.apply(rounds);
      };
      return { ...replica, apply };
    });
    await follower.fetch({ ...whole, snapshot: async () => offer });
    const more = moreRounds(follower.ledger, 20, 4);
    await journal.appendAll(more);
    await live.apply(roundsOf(more));
    const newest = await offerOf(live);
    await journal.append({ type: 'digest', round: 80, root: await live.root() });
    while (!(await follower.advance({ ...whole, snapshot: async () => newest })));
    expect([follower.replica.round(), applied]).toEqual([80, 0]);
    expect(await follower.replica.root()).toEqual(await live.root());
  });

  test('believes no byte of it that is not signed: the whole journal is read then', async () => {
    const { journal, live, offer } = await runWith();
    for (let at = 0; at < offer.standing.length; at += 13) {
      const standing = offer.standing.map((byte, i) => (i === at ? byte ^ 1 : byte));
      const late = await joined(journal, { ...offer, standing });
      expect(late.fetched()).toBeGreaterThanOrEqual(journal.position.length);
      expect(await late.follower.replica.root()).toEqual(await live.root());
    }
  });

  test('reads the whole journal where the weights cannot be had, and goes on', async () => {
    const { journal, live, offer } = await runWith();
    const wrong = { ...offer, sources: [{ name: 'liar', chunk: async () => new Uint8Array(32) }] } as const;
    const late = await joined(journal, wrong);
    expect(late.applied()).toBe(60);
    expect(await late.follower.replica.root()).toEqual(await live.root());
  });

  test('finds its weights again after a drift: by the snapshot, or by the journal where there is none any more', async () => {
    const { journal, live, offer } = await runWith();
    for (const again of [offer, undefined]) {
      const late = await joined(journal, offer);
      await late.follower.discardReplica();
      const fetcher = { ...late.fetcher, snapshot: async () => again };
      await late.follower.fetch(fetcher);
      while (!(await late.follower.advance(fetcher)));
      expect(late.follower.replica.round()).toBe(60);
      expect(await late.follower.replica.root()).toEqual(await live.root());
    }
  });

  describe.each([
    ['a revocation behind where it began', { type: 'revoke', slot: 1, from: 45, to: 58 }],
    ['a revocation from before where it began', { type: 'revoke', slot: 1, from: 3, to: 58 }],
    ['a rewind behind where it began', { type: 'rewind', round: 50 }],
    ['a rewind to where it began', { type: 'rewind', round: 40 }],
    ['a rewind to before where it began', { type: 'rewind', round: 20 }],
  ] as const satisfies readonly (readonly [string, Entry])[])('follows %s', (_, entry) => {
    const equal = async (late: Awaited<ReturnType<typeof joined>>, journal: Journal): Promise<void> => {
      const early = await joined(journal, undefined);
      while (!(await late.follower.advance(late.fetcher)));
      expect(known(late.follower.ledger)).toEqual(known(early.follower.ledger));
      expect(late.follower.anchor).toEqual(early.follower.anchor);
      expect(late.follower.isUpToDate).toBe(true);
      expect(late.follower.replica.round()).toBe(early.follower.replica.round());
      expect(await late.follower.replica.root()).toEqual(await early.follower.replica.root());
    };
    /** Rounds as the journal goes on, with the headers that follow from what stands. */
    const goOn = (journal: Journal): Entry[] =>
      moreRounds(ledgerOf(journal.records.map((record) => record.entry)), 8, 5);

    test.each(OPTIMIZERS)('when it is told, and when it reads of it later: %o', async (optimizer) => {
      const { journal, offer } = await runWith({ optimizer });
      const [told, reader] = [await joined(journal, offer), await joined(journal, offer)];
      const tell = async (one: Entry): Promise<void> => {
        const { offset, bytes } = await journal.append(one);
        if (!told.follower.take(offset, bytes)) await told.follower.fetch(told.fetcher);
      };
      await tell(entry);
      await equal(told, journal);
      for (const one of goOn(journal)) await tell(one);
      await equal(told, journal);
      await reader.follower.fetch(reader.fetcher);
      await equal(reader, journal);
    });

    test('when it stands in what it reads first', async () => {
      const { journal, offer } = await runWith();
      await journal.append(entry);
      await journal.appendAll(goOn(journal));
      await equal(await joined(journal, offer), journal);
    });
  });

  test('without the host it cannot rebuild what it never had', async () => {
    const { journal, offer } = await runWith();
    const late = await joined(journal, offer);
    await late.follower.discardReplica();
    await expect(late.follower.advance()).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  test('leaves a coordinator whose journal does not lead to where it began', async () => {
    const { journal, offer } = await runWith();
    const other = await runWith({ rounds: 61, at: 41 });
    const late = await joined(journal, offer);
    await late.follower.discardReplica();
    const forked = { ...late.fetcher, journal: () => other.journal.read(), snapshot: async () => undefined };
    await expect(late.follower.advance(forked)).rejects.toMatchObject({ code: 'JOURNAL_FORKED' });
  });
});

describe('who has the whole journal', () => {
  test('leaves a coordinator that signs a wrong standing', async () => {
    const { journal } = await runWith({ lie: true });
    await expect(joined(journal, undefined)).rejects.toMatchObject({ code: 'HEADER_WRONG' });
  });
});

import { describe, expect, test } from 'vitest';
import { NO_LOSS } from '../../src/nouns.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { headerOf } from '../../src/optimizer/header.ts';
import { Follower } from '../../src/peer/follower.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import type { Channel } from '../../src/ports.ts';
import { decodeHostMessage } from '../../src/wire/messages.ts';
import { receiptMessage } from '../../src/wire/signed.ts';
import {
  begunJournal,
  fakeClock,
  fakeCrypto,
  fakeReplica,
  HOST_SECRET,
  journalFetcher,
  MANIFEST,
  secretOf,
} from './fake.ts';
import { offerOf } from './snapshot.ts';
import { type Swarm, settledFlag, swarm } from './swarm.ts';

const MINUTES = 60_000;

/** Until all of them have ended, well or not. */
async function ended(s: Swarm, ...promises: readonly Promise<unknown>[]): Promise<void> {
  const all = settledFlag(Promise.allSettled(promises));
  expect(await s.clock.until(all, 60 * MINUTES), 'everybody ends').toBe(true);
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    (value) => JSON.stringify(value),
    (error: { code: string }) => error.code,
  );

const committed = (s: Swarm): number => s.journal.position.state!.rounds;

/** Joins with a line that the test can cut. */
function joinWithLine(s: Swarm, number: number, options: Parameters<Swarm['join']>[1] = {}) {
  const dialler = s.network();
  const lines: Channel[] = [];
  const participant = s.join(number, {
    transport: {
      ...dialler,
      async dial(_, events) {
        const channel = await dialler.dial(s.host.address, events);
        lines.push(channel);
        return channel;
      },
    },
    ...options,
  });
  return { ...participant, lines };
}

describe('a participant', () => {
  test('that loses its line keeps its slot and its weights, and fetches only the tail', async () => {
    const s = await swarm();
    const from: number[] = [];
    const fetcher = journalFetcher(() => s.journal);
    const peer = joinWithLine(s, 0, {
      fetcher: {
        ...fetcher,
        journal(at) {
          from.push(at);
          return fetcher.journal(at);
        },
      },
    });
    await s.clock.until(() => committed(s) === 3, MINUTES);
    peer.lines[0]!.close('cut');
    await ended(s, peer.finished);
    expect((await peer.finished).reason).toBe('done');
    expect((await peer.finished).slot).toBe(0);
    expect(s.replicas).toHaveLength(1);
    expect(from).toHaveLength(2);
    expect(from[1]).toBeGreaterThan(from[0]!);
    expect(s.journal.records.filter(({ entry }) => entry.type === 'admit')).toHaveLength(1);
  });

  test('whose weights drift is told by the next checksum, rebuilds from the base, and ends with the right ones', async () => {
    const s = await swarm();
    const [peer, other] = [s.join(0), s.join(1)];
    await s.clock.until(() => committed(s) === 3, MINUTES);
    s.replicas[0]!.corrupt();
    await ended(s, peer.finished, other.finished, s.host.finished);
    expect(s.replicas.length).toBe(3);
    expect(peer.events.concat(other.events).map(({ event }) => event)).toContain('rebuild');
    const { root } = await s.host.finished;
    expect((await peer.finished).root).toBe(root);
    expect((await other.finished).root).toBe(root);
  });

  test('measures what is open before it makes its checksum, and makes one of every round', async () => {
    const s = await swarm();
    const peer = s.join(0, { checksumSteps: 1 });
    await ended(s, peer.finished);
    const steps = Array.from({ length: MANIFEST.max_steps }, (_, i) => i);
    const order = (name: string) => peer.events.flatMap((e) => (e.event === name && 'round' in e ? [e.round] : []));
    expect(order('measured')).toEqual(steps);
    expect(order('checksum')).toEqual([...steps, MANIFEST.max_steps]);
    const at = (name: string, round: number) =>
      peer.events.findIndex((e) => e.event === name && 'round' in e && e.round === round);
    for (const round of steps.slice(1)) expect(at('measured', round)).toBeLessThan(at('checksum', round));
  });

  test('asks as many records at a time of a replica as fill all its parts', async () => {
    const s = await swarm({ ...MANIFEST, records_per_round: 80, max_steps: 1 });
    const sizes: number[] = [];
    const peer = s.join(0, {
      async makeReplica() {
        const replica = fakeReplica(s.clock);
        const measure: typeof replica.measure = (header, from, count) => {
          sizes.push(count);
          return replica.measure(header, from, count);
        };
        return { ...replica, measure, width: 2 };
      },
    });
    await ended(s, peer.finished);
    expect(sizes).toEqual([32, 32, 16]);
  });

  test('that drifts again and again gives up by name', async () => {
    const s = await swarm();
    const peer = s.join(0, {
      makeReplica: async () => ({ ...fakeReplica(s.clock), checksum: async () => new Uint8Array(8) }),
    });
    await ended(s, peer.finished);
    expect(await codeOf(peer.finished)).toBe('DRIFT');
  });

  test('with a wrong code stops at once', async () => {
    const s = await swarm();
    const peer = s.join(0, { joinCode: 'open barley' });
    await ended(s, peer.finished);
    expect(await codeOf(peer.finished)).toBe('CODE_WRONG');
    expect(s.clock.now()).toBeLessThan(1000);
    expect(s.journal.records.some(({ entry }) => entry.type === 'admit')).toBe(false);
  });

  test('that never reaches a host says so soon; one that knew it waits longer', async () => {
    const s = await swarm(MANIFEST, { minPeers: 2 });
    const stranger = s.join(0, {
      transport: { ...s.network(), dial: (_, events) => s.network().dial('memory:99', events) },
    });
    const friend = s.join(1);
    await ended(s, stranger.finished);
    expect(await codeOf(stranger.finished)).toBe('HOST_UNREACHABLE');
    expect(s.clock.now()).toBeLessThan(MINUTES);
    s.host.abort();
    const start = s.clock.now();
    await ended(s, friend.finished);
    expect(await codeOf(friend.finished)).toBe('HOST_UNREACHABLE');
    expect(s.clock.now() - start).toBeGreaterThan(9 * MINUTES);
  });

  test('waits for a host that stopped, and goes on when it returns', async () => {
    const s = await swarm();
    const peer = s.join(0);
    await s.clock.until(() => committed(s) === 4, MINUTES);
    s.host.stop();
    await ended(s, s.host.finished);
    const stopped = await s.host.finished;
    expect(stopped.reason).toBe('stopped');
    expect(s.journal.records.at(-1)!.entry).toMatchObject({ type: 'digest', round: stopped.round });
    await s.clock.advance(5 * MINUTES);
    expect(peer.events.at(-1)).toMatchObject({ event: 'disconnected' });
    await s.restart();
    await ended(s, peer.finished, s.host.finished);
    expect((await s.host.finished).reason).toBe('done');
    expect((await peer.finished).root).toBe((await s.host.finished).root);
    expect(s.replicas).toHaveLength(1);
  });

  test('that holds the whole journal is done, though the host left without telling it', async () => {
    const s = await swarm();
    const dialler = s.network();
    const peer = s.join(0, {
      transport: {
        ...dialler,
        async dial(_, events) {
          const frame = (bytes: Uint8Array): void => {
            if (decodeHostMessage(bytes).type === 'done') events.closed('cut');
            else events.frame(bytes);
          };
          return dialler.dial(s.host.address, { ...events, frame, closed: (reason) => events.closed(reason) });
        },
      },
    });
    await ended(s, s.host.finished);
    const start = s.clock.now();
    await ended(s, peer.finished);
    expect(await peer.finished).toMatchObject({ reason: 'done', root: (await s.host.finished).root });
    expect(s.clock.now() - start).toBeLessThan(1000);
  });

  test('that is stopped sends what it has measured, and leaves', async () => {
    const s = await swarm();
    const peer = s.join(0, { msPerRecord: 100 });
    await s.clock.until(() => s.host.view().peers[0]?.state === 'measuring', MINUTES);
    await s.clock.advance(1000); // in the first chunk of two
    peer.stop();
    await ended(s, peer.finished);
    expect(await peer.finished).toMatchObject({ reason: 'stopped', slot: 0, round: 0, records: 16 });
    await s.clock.advance(100);
    expect(s.journal.records.at(-1)!.entry).toMatchObject({ type: 'round', round: { header: { usable: 16 } } });
  });

  test('that is too slow for its range sends a prefix in time', async () => {
    const s = await swarm({ ...MANIFEST, records_per_round: 64, max_steps: 4 }, { minPeers: 2 });
    const slow = s.join(0, { msPerRecord: 20 });
    const quick = s.join(1, { msPerRecord: 20 });
    await s.clock.until(() => committed(s) === 2, MINUTES);
    // From here on it takes a hundred times as long as before.
    const [replica] = s.replicas;
    const { measure } = replica!;
    replica!.measure = async (header, from, count) => {
      await new Promise<void>((resolve) => s.clock.after(count * 2000, resolve));
      return measure(header, from, count);
    };
    await ended(s, slow.finished, quick.finished);
    const round = s.journal.records.flatMap(({ entry }) => (entry.type === 'round' ? [entry.round] : []))[2]!;
    expect(round.segments.length).toBeGreaterThanOrEqual(1);
    expect((await slow.finished).root).toBe((await quick.finished).root);
  });

  test('that is overtaken by a commit drops the round, asks for work again, and gets less', async () => {
    const s = await swarm({ ...MANIFEST, records_per_round: 64, max_steps: 40 }, { minPeers: 2 });
    const quick = s.join(0, { msPerRecord: 20 });
    const slow = s.join(1, { msPerRecord: 1000 });
    await ended(s, quick.finished, slow.finished);
    expect((await slow.finished).root).toBe((await quick.finished).root);
    const shares = s.journal.records.flatMap(({ entry }) =>
      entry.type === 'round' ? [entry.round.segments.find(({ slot }) => slot === 1)?.codes.length ?? 0] : [],
    );
    expect(shares[0], 'missed the first round').toBe(0);
    expect(
      slow.events.filter(({ event }) => event === 'measured').length + shares.filter((n) => n > 0).length,
    ).toBeGreaterThan(0);
  });

  test('whose device gives no losses is sent away, and the run waits for others', async () => {
    const s = await swarm();
    const broken = s.join(0, {
      makeReplica: async () => ({
        ...fakeReplica(s.clock),
        measure: async (_, __, count) => new Int8Array(count).fill(NO_LOSS),
      }),
    });
    await s.clock.advance(3000);
    expect(broken.events.at(-1)).toMatchObject({ event: 'disconnected', code: 'ENGINE_FAILED' });
    expect(committed(s)).toBe(0);
    const sound = s.join(1);
    await ended(s, sound.finished);
    expect((await sound.finished).reason).toBe('done');
  });

  test('that joins late with a snapshot replays only the tail; a wrong snapshot is left alone', async () => {
    const s = await swarm({ ...MANIFEST, max_steps: 60 });
    const first = s.join(0, { msPerRecord: 10 });
    await s.clock.until(() => committed(s) === 40, 60 * MINUTES);
    const at = s.replicas[0]!.round();
    const [root, offer] = [await s.replicas[0]!.root(), await offerOf(s.replicas[0]!)];
    const wrong = await offerOf(s.replicas[0]!, () => new Uint8Array(32));
    await s.journal.append({ type: 'digest', round: at, root });
    let applied = 0;
    const late = s.join(1, {
      fetcher: journalFetcher(
        () => s.journal,
        () => offer,
      ),
      async makeReplica() {
        const replica = fakeReplica(s.clock);
        const { apply } = replica;
        replica.apply = (rounds) => {
          applied += rounds.length;
          return apply(rounds);
        };
        return replica;
      },
    });
    const fooled = s.join(2, {
      fetcher: journalFetcher(
        () => s.journal,
        () => wrong,
      ),
    });
    await ended(s, first.finished, late.finished, fooled.finished, s.host.finished);
    const { root: final } = await s.host.finished;
    expect((await late.finished).root).toBe(final);
    expect((await fooled.finished).root).toBe(final);
    expect(applied).toBe(60 - at);
  });

  test('leaves a run whose coordinator signs a wrong header', async () => {
    const journal = await begunJournal();
    await journal.append({ type: 'admit', slot: 0, key: secretOf(9), name: 'liar' });
    const header = headerOf(MANIFEST, scaleState(MANIFEST.initial_scale), 0, 2);
    const segments = [{ slot: 0, from: 0, codes: Int8Array.of(1, 2) }];
    await journal.append({ type: 'round', round: { header: { ...header, gain: 2 * header.gain }, segments } });
    const s = await swarm();
    const peer = s.join(0, { fetcher: journalFetcher(() => journal) });
    await ended(s, peer.finished);
    expect(await codeOf(peer.finished)).toBe('HEADER_WRONG');
  });
});

describe('what a follower holds against its host', () => {
  const key = fakeCrypto.publicKey(secretOf(0));
  const codes = Int8Array.of(5, 6);

  /** A journal with one peer, and what follows it. */
  async function following() {
    const journal = await begunJournal();
    await journal.append({ type: 'admit', slot: 0, key, name: 'peer' });
    const fetcher = journalFetcher(() => journal);
    const follower = new Follower(fakeCrypto, journal.position.run!, async () => fakeReplica(fakeClock()));
    await follower.fetch(fetcher);
    const receipt = { round: 0, slot: 0, from: 0, codes };
    const signed = receiptMessage(follower.run, 0, follower.anchor, 0, 0, codes);
    const header = (usable: number) => headerOf(MANIFEST, follower.ledger.scale, 0, usable);
    return { journal, fetcher, follower, receipt, signature: fakeCrypto.sign(HOST_SECRET, signed), header };
  }

  test('a receipt that is kept', async () => {
    const { journal, follower, receipt, signature, header } = await following();
    follower.takeReceipt(receipt, signature);
    const segments = [{ slot: 0, from: 0, codes }];
    const { offset, bytes } = await journal.append({ type: 'round', round: { header: header(2), segments } });
    expect(follower.take(offset, bytes)).toBe(true);
    expect(follower.ledger.round).toBe(1);
  });

  test.each([
    ['left out', [] as number[]],
    ['changed', [5, 7]],
    ['cut short', [5]],
  ])('a receipted contribution that is %s: CENSORED', async (_, now) => {
    const { journal, fetcher, follower, receipt, signature, header } = await following();
    follower.takeReceipt(receipt, signature);
    await journal.append({ type: 'admit', slot: 1, key: secretOf(1), name: 'other' });
    const segments = [
      ...(now.length === 0 ? [] : [{ slot: 0, from: 0, codes: Int8Array.from(now) }]),
      { slot: 1, from: 8, codes: Int8Array.of(1) },
    ];
    await journal.append({ type: 'round', round: { header: header(now.length + 1), segments } });
    await expect(follower.fetch(fetcher)).rejects.toMatchObject({ code: 'CENSORED' });
  });

  test.each([
    ['as it was', [5, 6], true],
    ['changed', [5, 7], false],
  ])('records that an audit holds, and the round from another peer: %s', async (_, said, kept) => {
    const { journal, fetcher, follower, receipt, signature, header } = await following();
    follower.takeReceipt(receipt, signature);
    await journal.append({ type: 'admit', slot: 1, key: secretOf(1), name: 'other' });
    const claims = [
      { slot: 0, codes: Int8Array.from(said) },
      { slot: 1, codes: Int8Array.of(1, 2, 3) },
    ];
    await journal.append({ type: 'audit', audit: { round: 0, from: 0, claims } });
    const segments = [{ ...claims[1]!, from: 0 }];
    await journal.append({ type: 'round', round: { header: header(3), segments } });
    if (kept) await follower.fetch(fetcher);
    else await expect(follower.fetch(fetcher)).rejects.toMatchObject({ code: 'CENSORED' });
  });

  test('but not if the record says that the peer was evicted', async () => {
    const { journal, fetcher, follower, receipt, signature, header } = await following();
    follower.takeReceipt(receipt, signature);
    await journal.append({ type: 'admit', slot: 1, key: secretOf(1), name: 'other' });
    await journal.append({ type: 'evict', slot: 0, reason: 'FRAME_INVALID' });
    const segments = [{ slot: 1, from: 8, codes: Int8Array.of(1) }];
    await journal.append({ type: 'round', round: { header: header(1), segments } });
    await follower.fetch(fetcher);
    expect(follower.ledger.round).toBe(1);
  });

  test('a receipt with another signature is refused', async () => {
    const { follower, receipt } = await following();
    expect(() => follower.takeReceipt(receipt, new Uint8Array(64))).toThrow('SIGNATURE_WRONG');
  });

  test('a second continuation of the journal: JOURNAL_FORKED', async () => {
    const { journal, follower } = await following();
    const store = memoryStore(await journal.read());
    await journal.append({ type: 'admit', slot: 1, key: secretOf(1), name: 'one' });
    await follower.fetch(journalFetcher(() => journal));
    const fork = await begunJournal(MANIFEST, fakeCrypto, store);
    await fork.append({ type: 'admit', slot: 1, key: secretOf(2), name: 'two' });
    await fork.append({ type: 'admit', slot: 2, key: secretOf(3), name: 'three' });
    await expect(follower.fetch(journalFetcher(() => fork))).rejects.toMatchObject({ code: 'JOURNAL_FORKED' });
  });

  test('damage on the way is no fork', async () => {
    const { journal, follower } = await following();
    const start = (await journal.read()).length;
    for (const n of [1, 2]) await journal.append({ type: 'admit', slot: n, key: secretOf(n), name: 'peer' });
    const whole = await journal.read();
    whole[start + 20]! ^= 1;
    await expect(follower.fetch(journalFetcher(() => ({ read: async () => whole })))).rejects.toMatchObject({
      code: 'JOURNAL_CORRUPT',
    });
  });

  test('a record that comes twice, or too early', async () => {
    const { journal, follower, fetcher } = await following();
    const first = await journal.append({ type: 'admit', slot: 1, key: secretOf(1), name: 'one' });
    const second = await journal.append({ type: 'admit', slot: 2, key: secretOf(2), name: 'two' });
    expect(follower.take(second.offset, second.bytes)).toBe(false);
    expect(follower.ledger.admitted.size).toBe(1);
    await follower.fetch(fetcher);
    expect(follower.take(first.offset, first.bytes)).toBe(true);
    expect(follower.ledger.admitted.size).toBe(3);
  });
});

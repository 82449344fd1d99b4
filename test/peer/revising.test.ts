/** Taking back while a run goes on: the sequencer between two rounds, and a swarm that follows. */
import { describe, expect, test } from 'vitest';
import { verifyJournal } from '../../src/journal/reader.ts';
import type { Manifest } from '../../src/nouns.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import type { Rules } from '../../src/peer/state.ts';
import type { Wish } from '../../src/peer/wishes.ts';
import { fakeClock, fakeCrypto, fakeReplica, MANIFEST } from './fake.ts';
import { RIGHT, SIGNATURE, sequencer } from './sequencer.ts';
import { type Swarm, settledFlag, swarm } from './swarm.ts';

const ADAM: Manifest = { ...MANIFEST, optimizer: { kind: 'adam', beta1: 0.9, beta2: 0.99, epsilon: 1e-8 } };
const OTHER = 'bb'.repeat(8);
const ROOT = new Uint8Array(32);

/** Two peers, and so many rounds committed and applied. */
function bench(rounds: number, { manifest = MANIFEST, ...rules }: Partial<Rules> & { manifest?: Manifest } = {}) {
  const b = sequencer(manifest, { minPeers: 2, ...rules });
  b.applied();
  b.join(0, 1);
  const deliver = (channel: number) => {
    const { from, count } = b.state.attempt!.shares.get(channel)!;
    const codes = new Int8Array(count).fill(1 + channel);
    return b.send({ type: 'contribution', channel, round: b.state.ledger.round, from, codes, signature: SIGNATURE });
  };
  const commit = (...channels: readonly number[]) => channels.forEach(deliver);
  for (let i = 0; i < rounds; i++) {
    commit(0, 1);
    b.applied();
  }
  let wishes = 0;
  const wish = (one: Wish) => b.send({ ...one, id: wishes++ });
  return {
    b,
    commit,
    wish,
    /** What became of the last wish: rounds and records, or a code. */
    answer() {
      const answered = b.of('answer').at(-1)?.answered;
      expect(answered?.id).toBe(wishes - 1);
      return answered && ('granted' in answered ? answered.granted : answered.refusal.code);
    },
    revoke: (slot: number, from?: number, to?: number) => wish({ type: 'revoke', slot, from, to, reason: 'lies' }),
    rewind: (round: number) => wish({ type: 'rewind', round }),
    /** The host's replica has followed so many revisions, and its weights are others. */
    found: (revisions: number, checksum: string) =>
      b.send({ type: 'applied', round: b.state.ledger.round, checksum, revisions }),
    tells: (channel: number, round: number, checksum: string, type: 'ready' | 'checksum' = 'checksum') =>
      b.send({ type, channel, round, checksum }),
    closed: () => b.of('close').map(({ channel, code }) => [channel, code]),
  };
}

const types = (b: { journal: readonly { type: string }[] }, count: number) =>
  b.journal.slice(-count).map(({ type }) => type);

describe('the sequencer', () => {
  test('waits for the open round, says what is so on the record, and goes on', () => {
    const { b, commit, revoke, answer, closed } = bench(3);
    revoke(1);
    expect(b.effects.filter(({ type }) => type !== 'wake')).toEqual([]);
    commit(0);
    expect(b.of('answer')).toEqual([]);
    commit(1);
    expect(answer()).toEqual({ round: 4, records: 64, slot: 1 });
    expect(types(b, 3)).toEqual(['round', 'evict', 'revoke']);
    expect(b.journal.at(-1)).toEqual({ type: 'revoke', slot: 1, from: 0, to: 4 });
    expect(closed()).toEqual([[1, 'EVICTED']]);
    const [revision] = b.of('revise').map((effect) => effect.revision);
    expect(revision!.was.map(({ segments }) => segments.length)).toEqual([2, 2, 2, 2]);
    expect(revision!.now.map(({ segments }) => segments.map(({ slot }) => slot))).toEqual([[0], [0], [0], [0]]);
    expect(b.of('append').at(-1)!.followers, 'whoever was excluded does not hear it').toEqual([0]);
    // The next round is for whoever is left, and the weights as they are now are named in the journal.
    expect([...b.state.attempt!.shares.keys()]).toEqual([0]);
    expect(b.of('root')).toHaveLength(1);
    expect([...b.state.members.values()].map(({ records, status }) => [records, status])).toEqual([
      [64, 'ready'],
      [0, 'evicted'],
    ]);
  });

  test('accepts checksums of before and of after, and no others', () => {
    const { revoke, commit, found, tells, closed } = bench(3);
    revoke(1, 1);
    commit(0, 1);
    tells(0, 3, RIGHT);
    expect(closed()).toEqual([]);
    // The host's replica has not gone back yet: what is not of before waits.
    tells(0, 4, OTHER);
    expect(closed()).toEqual([]);
    found(0, RIGHT);
    found(1, OTHER);
    tells(0, 4, RIGHT);
    tells(0, 4, OTHER);
    tells(0, 1, RIGHT);
    expect(closed()).toEqual([]);
    tells(0, 4, 'cc'.repeat(8));
    expect(closed()).toEqual([[0, 'DRIFT']]);
  });

  test('rewinds: the next round has the old number, and who speaks of later ones is no liar', () => {
    const { b, rewind, commit, answer, tells, found, closed } = bench(5);
    rewind(2);
    commit(0, 1);
    expect(answer()).toEqual({ round: 2, records: 128 });
    expect(b.state.ledger.round).toBe(2);
    expect(b.of('send').map(({ message }) => message)).toMatchObject([
      { type: 'open', round: 2 },
      { type: 'open', round: 2 },
    ]);
    for (const type of ['ready', 'checksum'] as const) tells(0, 6, RIGHT, type);
    expect([closed(), b.state.members.get(0)!.strikes]).toEqual([[], 0]);
    found(1, RIGHT);
    tells(0, 2, RIGHT, 'ready');
    expect(closed()).toEqual([]);
    tells(1, 7, RIGHT);
    expect(closed(), 'there never were so many').toEqual([[1, 'MESSAGE_UNEXPECTED']]);
    commit(0);
    expect(b.state.ledger.round).toBe(3);
  });

  test('what the replica found out before it went back is of weights that are no more', () => {
    const { b, rewind, commit, found } = bench(4, { evalSteps: 5, saveSteps: 5 });
    commit(0, 1);
    expect([b.of('evaluate').length, b.of('root').length]).toEqual([1, 1]);
    rewind(3);
    commit(0, 1);
    const { length } = b.journal;
    b.send({ type: 'evaluated', round: 5, metrics: { 'eval/loss': Number.NaN } });
    b.send({ type: 'rooted', round: 5, root: ROOT });
    found(0, OTHER);
    expect(b.journal).toHaveLength(length);
    expect(b.state.own.get(5)).toBeUndefined();
    // Those of rounds that stayed are as good as ever.
    b.send({ type: 'evaluated', round: 3, metrics: { 'eval/loss': 1 } });
    expect(types(b, 1)).toEqual(['evaluation']);
    // One root of the weights as they are was asked for when it went back.
    b.send({ type: 'rooted', round: 3, root: ROOT, revisions: 1 });
    expect(b.state.pending).toBe(0);
  });

  test('a peer that gave nothing is excluded, and nothing is revoked', () => {
    const { b, revoke, commit, answer } = bench(2);
    b.connect(2);
    revoke(2);
    commit(0, 1);
    expect(answer()).toEqual({ round: 3, records: 0, slot: 2 });
    expect(types(b, 2)).toEqual(['round', 'evict']);
    revoke(2);
    commit(0, 1);
    expect([answer(), types(b, 1)]).toEqual([{ round: 4, records: 0, slot: 2 }, ['round']]);
  });

  test('who left long ago is revoked as well', () => {
    const { b, revoke, commit, answer } = bench(2);
    b.send({ type: 'left', channel: 1 });
    revoke(1, 0, 1);
    commit(0);
    expect(answer()).toEqual({ round: 3, records: 16, slot: 1 });
    expect(b.journal.at(-1)).toEqual({ type: 'revoke', slot: 1, from: 0, to: 1 });
    b.connect(1, 8);
    expect(b.of('close').map(({ code }) => code)).toEqual(['EVICTED']);
  });

  test.each<[string, Manifest, Wish, string]>([
    ['a slot that is not there', MANIFEST, { type: 'revoke', slot: 7, reason: '' }, 'CONFIG_INVALID'],
    ['rounds to come', MANIFEST, { type: 'revoke', slot: 0, to: 99, reason: '' }, 'CONFIG_INVALID'],
    ['rounds from the end', MANIFEST, { type: 'revoke', slot: 0, from: 3, to: 2, reason: '' }, 'CONFIG_INVALID'],
    ['a round to come', MANIFEST, { type: 'rewind', round: 99 }, 'CONFIG_INVALID'],
    ['a record of Adam', ADAM, { type: 'revoke', slot: 0, reason: '' }, 'NOT_REVOCABLE'],
    ['a round of Adam, live', ADAM, { type: 'rewind', round: 1 }, 'NOT_NOW'],
  ])('refuses %s, and nothing has happened', (_, manifest, one, code) => {
    const { b, wish, commit, answer } = bench(2, { manifest });
    wish(one);
    commit(0, 1);
    expect([answer(), types(b, 1)]).toEqual([code, ['round']]);
    expect(b.state.attempt?.shares.size).toBe(2);
  });

  test('at the end of a run: before its last digest it waits for the new one, after it the run is over', () => {
    const { b, commit, revoke, answer } = bench(0, { manifest: { ...MANIFEST, max_steps: 1 } });
    commit(0, 1);
    revoke(1);
    expect(answer()).toEqual({ round: 1, records: 16, slot: 1 });
    expect(b.of('root')).toHaveLength(1);
    b.send({ type: 'rooted', round: 1, root: ROOT });
    expect([types(b, 1), b.state.phase]).toEqual([['revoke'], 'waiting']);
    b.connect(2); // the host stays for it
    b.send({ type: 'rooted', round: 1, root: ROOT, revisions: 1 });
    expect([types(b, 1), b.state.phase]).toEqual([['digest'], 'done']);
    revoke(0);
    expect(answer()).toBe('NOT_NOW');
  });
});

describe('a swarm', () => {
  const rounds = (s: Swarm): number => s.host.view().round;

  /** To its end; what it led to is what its journal says. */
  async function finish(s: Swarm, peers: readonly ReturnType<Swarm['join']>[]): Promise<string> {
    const all = Promise.all([s.host.finished, ...peers.map(({ finished }) => finished)]);
    expect(await s.clock.until(settledFlag(all), 1e7)).toBe(true);
    const { root } = await s.host.finished;
    for (const peer of peers) expect((await peer.finished).root).toBe(root);
    const { records } = verifyJournal(await s.journal.read(), fakeCrypto);
    const entries = records.map(({ entry }) => entry);
    const again = fakeReplica(fakeClock());
    await again.apply(roundsOf(entries));
    expect([toHex(await again.root()), toHex(ledgerOf(entries).digests.get(MANIFEST.max_steps)!)]).toEqual([
      root,
      root,
    ]);
    const events = peers.flatMap((peer) => peer.events.map(({ event }) => event));
    expect(events).not.toContain('rebuild');
    expect(events).not.toContain('disconnected');
    return root!;
  }

  test('a liar is revoked while it goes on: everybody follows at once, who comes later as well', async () => {
    const s = await swarm(MANIFEST, { minPeers: 3 });
    const [liar, ...honest] = [0, 1, 2].map((n) => s.join(n, { checksumSteps: 1 }));
    expect(await s.clock.until(() => rounds(s) === 5, 1e6)).toBe(true);
    const granted = s.host.takeBack({ type: 'revoke', slot: 0, reason: 'a liar' });
    expect(await s.clock.until(settledFlag(granted), 1e6)).toBe(true);
    expect((await granted).records).toBeGreaterThan(0);
    const late = s.join(3);
    await finish(s, [...honest, late]);
    await expect(liar!.finished).rejects.toThrow('EVICTED: a liar');
    expect(honest.map(({ events }) => events.filter(({ event }) => event === 'revised').length)).toEqual([1, 1]);
    const entries = s.journal.records.map(({ entry }) => entry);
    expect(roundsOf(entries).flatMap(({ segments }) => segments.map(({ slot }) => slot))).not.toContain(0);
    expect(s.hostEvents.filter(({ event }) => event === 'revoked')).toEqual([
      { event: 'revoked', slot: 0, from: 0, to: expect.any(Number) },
    ]);
  });

  test('rounds are rewound while it goes on, twice: they are made again, and all end alike', async () => {
    const s = await swarm(MANIFEST, { minPeers: 2 }, { latency: 50 });
    const peers = [0, 1].map((n) => s.join(n, { checksumSteps: 1 }));
    for (const back of [3, 0]) {
      expect(await s.clock.until(() => rounds(s) >= 6, 1e6)).toBe(true);
      const granted = s.host.takeBack({ type: 'rewind', round: back });
      expect(await s.clock.until(settledFlag(granted), 1e6)).toBe(true);
      expect((await granted).round).toBe(back);
    }
    await finish(s, peers);
    expect(s.journal.records.filter(({ entry }) => entry.type === 'rewind')).toHaveLength(2);
  });

  test('a host that has ended says so', async () => {
    const s = await swarm();
    s.join(0);
    expect(await s.clock.until(() => rounds(s) >= 2, 1e6)).toBe(true);
    const waiting = s.host.takeBack({ type: 'rewind', round: 1 });
    s.host.abort();
    await expect(waiting).rejects.toThrow(/^NOT_NOW/);
    await expect(s.host.takeBack({ type: 'rewind', round: 1 })).rejects.toThrow(/^NOT_NOW/);
  });
});

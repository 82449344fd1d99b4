import { describe, expect, test } from 'vitest';
import { type Entry, HOST_SLOT, NO_LOSS } from '../../src/nouns.ts';
import { RETURN_MS } from '../../src/peer/backoff.ts';
import { begin, MAX_PEERS } from '../../src/peer/coordinator.ts';
import type { Effect, Rules } from '../../src/peer/state.ts';
import { view } from '../../src/peer/state.ts';
import { MAX_STRIKES } from '../../src/peer/turn.ts';
import { MANIFEST, secretOf } from './fake.ts';
import { RIGHT, SIGNATURE, sequencer } from './sequencer.ts';

function bench(rules: Partial<Rules> = {}, manifest = MANIFEST, entries: readonly Entry[] = []) {
  const b = sequencer(manifest, rules, entries);
  const shareOf = (slot: number) => b.state.attempt!.shares.get(slot)!;
  b.applied();
  return Object.assign(b, {
    /** Messages to a channel, by type. */
    to(channel: number): string[] {
      return b.effects.flatMap((effect) => {
        if (!('channel' in effect) || effect.channel !== channel) return [];
        if (effect.type === 'send')
          return [effect.message.type === 'refused' ? effect.message.code : effect.message.type];
        return [effect.type === 'close' ? effect.code : effect.type];
      });
    },
    readyAt: (channel: number, round: number): readonly Effect[] =>
      b.send({ type: 'ready', channel, round, checksum: RIGHT }),
    shareOf,
    /** Delivers a channel's range, or its first `count` records. */
    deliver(
      channel: number,
      { count, code = 1, slot = channel }: { count?: number; code?: number; slot?: number } = {},
    ) {
      const { from, count: all } = shareOf(slot);
      const codes = new Int8Array(count ?? all).fill(code);
      const { round } = b.state.ledger;
      return b.send({ type: 'contribution', channel, round, from, codes, signature: SIGNATURE });
    },
  });
}

const lastRound = (journal: readonly Entry[]) => {
  const entry = journal.at(-1)!;
  if (entry.type !== 'round') throw new Error(`the last entry is ${entry.type}`);
  return entry.round;
};

describe('who takes part', () => {
  test('a new key is admitted on the record, before it is told', () => {
    const b = bench();
    b.connect(0);
    expect(b.effects.map(({ type }) => type)).toEqual(['append', 'send']);
    expect(b.journal.at(-1)).toEqual({ type: 'admit', slot: 0, key: secretOf(0), name: 'peer 0' });
    expect(b.to(0)).toEqual(['admitted']);
  });

  test('a known key gets its slot back, without a record; slots are never reused', () => {
    const b = bench();
    b.connect(0);
    b.connect(1);
    b.send({ type: 'left', channel: 0 });
    b.connect(2);
    const before = b.journal.length;
    b.connect(0, 7);
    expect(b.journal).toHaveLength(before);
    expect(b.of('send')[0]!.message).toEqual({ type: 'admitted', slot: 0, head: 0 });
    expect([...b.state.members.values()].map(({ slot }) => slot)).toEqual([0, 1, 2]);
  });

  test('a second connection with the same key replaces the first, and what the first still says is not heard', () => {
    const b = bench();
    b.join(0);
    b.connect(0, 9);
    expect(b.to(0)).toEqual(['REPLACED']);
    expect(b.to(9)).toEqual(['admitted']);
    b.deliver(0);
    expect(b.effects.filter(({ type }) => type !== 'wake')).toEqual([]);
    b.send({ type: 'left', channel: 0 });
    expect(b.state.members.get(0)!.channel).toBe(9);
  });

  test('records go to all who are connected, and to nobody else', () => {
    const b = bench();
    b.connect(0);
    b.connect(1);
    b.send({ type: 'left', channel: 0 });
    b.connect(2);
    expect(b.of('append')[0]!.followers).toEqual([1]);
  });

  test('no more than MAX_PEERS are connected at a time; one of them may come back', () => {
    const b = bench();
    for (let n = 0; n < MAX_PEERS; n++)
      b.send({ type: 'proved', channel: n, key: Uint8Array.of(n, n >> 8), name: 'peer' });
    b.connect(0, MAX_PEERS);
    expect(b.to(MAX_PEERS)).toEqual(['RUN_FULL']);
    b.send({ type: 'proved', channel: MAX_PEERS + 1, key: Uint8Array.of(3, 0), name: 'peer' });
    expect(b.to(MAX_PEERS + 1)).toEqual(['admitted']);
    expect(b.to(3)).toEqual(['REPLACED']);
  });

  test('provable offences add up to an eviction, which lasts', () => {
    const b = bench();
    for (let i = 0; i < MAX_STRIKES; i++) {
      expect(b.state.members.get(0)?.status).not.toBe('evicted');
      b.connect(0);
      b.send({ type: 'violated', channel: 0, code: 'FRAME_INVALID', detail: 'garbage' });
      expect(b.to(0)).toEqual(['FRAME_INVALID']);
    }
    expect(b.journal.at(-1)).toEqual({ type: 'evict', slot: 0, reason: 'FRAME_INVALID' });
    b.connect(0);
    expect(b.to(0)).toEqual(['EVICTED']);
    const resumed = bench({}, MANIFEST, b.journal.slice(1));
    resumed.connect(0);
    expect(resumed.to(0)).toEqual(['EVICTED']);
  });

  test('what an evicted peer delivered to the open round is not committed', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    for (let i = 0; i < MAX_STRIKES; i++) {
      b.send({ type: 'violated', channel: 0, code: 'FRAME_INVALID', detail: 'garbage' });
      b.connect(0);
    }
    b.deliver(1);
    expect(lastRound(b.journal).segments.map(({ slot }) => slot)).toEqual([1]);
  });
});

describe('opening a round', () => {
  test('the first takes min_peers ready peers, the next any one: a death stalls nobody else', () => {
    const b = bench({ minPeers: 2 });
    b.join(0);
    expect(view(b.state).phase).toBe('waiting');
    b.connect(1);
    expect(b.of('send').some(({ message }) => message.type === 'open')).toBe(false);
    b.ready(1);
    expect(b.to(0)).toEqual(['open']);
    expect(b.to(1)).toEqual(['open']);
    expect(view(b.state).phase).toBe('measuring');
    b.deliver(0);
    b.send({ type: 'left', channel: 1 });
    expect(view(b.state)).toMatchObject({ phase: 'measuring', round: 1 });
    b.deliver(0);
    expect(view(b.state).round).toBe(2);
  });

  test('the ranges cover the round', () => {
    const b = bench({ minPeers: 3 });
    b.join(0, 1, 2);
    const opens = b.of('send').flatMap(({ message }) => (message.type === 'open' ? [message] : []));
    expect(opens.map(({ from, count }) => [from, count])).toEqual([
      [0, 11],
      [11, 11],
      [22, 10],
    ]);
  });

  test('a peer is not ready before the host has seen the same weights', () => {
    const b = bench();
    b.join(0);
    b.deliver(0); // the host's replica has not applied this round yet
    b.connect(1);
    b.readyAt(1, 1);
    expect(b.state.members.get(1)!.status).toBe('joining');
    b.applied();
    expect(b.state.members.get(1)!.status).toBe('ready');
  });

  test('a commit is on disk before its round is applied, and before the next one opens', () => {
    const b = bench();
    b.join(0);
    b.deliver(0);
    const order = b.effects.map((effect) => (effect.type === 'send' ? effect.message.type : effect.type));
    expect(order.filter((type) => ['keep', 'receipt', 'append', 'apply', 'open'].includes(type))).toEqual([
      'keep',
      'receipt',
      'append',
      'apply',
      'open',
    ]);
  });
});

describe('contributions', () => {
  test('a prefix of the range is enough', () => {
    const b = bench();
    b.join(0);
    b.deliver(0, { count: 5 });
    expect(lastRound(b.journal).segments).toEqual([{ slot: 0, from: 0, codes: new Int8Array(5).fill(1) }]);
  });

  test('the same again is receipted again and counted once; another version is a strike, and the first stands', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    expect(b.to(0)).toEqual(['receipt']);
    b.deliver(0);
    expect(b.to(0)).toEqual(['receipt']);
    expect(b.of('keep')).toEqual([]);
    b.deliver(0, { code: 2 });
    expect(b.to(0)).toEqual(['CONTRIBUTION_DUPLICATE']);
    expect(b.state.members.get(0)!.strikes).toBe(1);
    b.deliver(1);
    const { segments, header } = lastRound(b.journal);
    expect(segments.map(({ slot, codes }) => [slot, codes[0]])).toEqual([
      [0, 1],
      [1, 1],
    ]);
    expect(header.usable).toBe(32);
  });

  test.each([
    ['another start', { from: 1, count: 3 }],
    ['more than was assigned', { from: 0, count: 17 }],
    ['nothing', { from: 0, count: 0 }],
  ])('%s is refused', (_, { from, count }) => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.send({ type: 'contribution', channel: 0, round: 0, from, codes: new Int8Array(count), signature: SIGNATURE });
    expect(b.to(0)).toEqual(['CONTRIBUTION_RANGE']);
    expect(b.state.members.get(0)!.channel).toBeUndefined();
  });

  test('a round that is not open is refused', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.send({ type: 'contribution', channel: 0, round: 1, from: 0, codes: new Int8Array(1), signature: SIGNATURE });
    expect(b.to(0)).toEqual(['CONTRIBUTION_RANGE']);
  });

  test('what comes late is told so, and its sender keeps its place', () => {
    const b = bench();
    b.join(0);
    b.deliver(0);
    b.send({ type: 'contribution', channel: 0, round: 0, from: 0, codes: new Int8Array(32), signature: SIGNATURE });
    expect(b.to(0)).toEqual(['CONTRIBUTION_STALE']);
    expect(b.state.members.get(0)).toMatchObject({ channel: 0, strikes: 0, status: 'ready' });
  });

  test('what was assigned before others were given the round is late, however often it is said', () => {
    const b = bench();
    b.join(0);
    b.join(1);
    b.now = 10_000;
    b.send({ type: 'tick' });
    expect(b.to(1)).toEqual(['open']);
    for (let i = 0; i < 2; i++) {
      b.send({ type: 'contribution', channel: 0, round: 0, from: 0, codes: new Int8Array(32), signature: SIGNATURE });
      expect(b.to(0)).toEqual(['CONTRIBUTION_STALE']);
    }
    b.send({ type: 'contribution', channel: 0, round: 0, from: 1, codes: new Int8Array(31), signature: SIGNATURE });
    expect(b.to(0)).toEqual(['CONTRIBUTION_RANGE']);
  });

  test('codes without a loss are committed and not counted', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(0, { code: NO_LOSS });
    b.deliver(1);
    expect(lastRound(b.journal).header.usable).toBe(16);
    expect(lastRound(b.journal).segments).toHaveLength(2);
  });

  test('a round without one usable loss is never committed; its peers are closed and the host looks at its own loss', () => {
    const b = bench();
    b.join(0);
    b.deliver(0, { code: NO_LOSS });
    expect(b.to(0)).toEqual(['receipt', 'ENGINE_FAILED']);
    expect(b.of('append')).toEqual([]);
    expect(b.of('evaluate')).toHaveLength(1);
    b.send({ type: 'evaluated', round: 0, metrics: { 'eval/loss': Number.NaN } });
    expect(b.of('finish')).toMatchObject([{ reason: 'DIVERGED' }]);
  });
});

describe('deadlines', () => {
  /** Two peers, known to deliver 16 records in 1000 ms each, in round 1. */
  function paced() {
    const b = bench({ minPeers: 1 });
    b.connect(0);
    b.connect(1);
    b.send(
      { type: 'ready', channel: 1, round: 0, checksum: RIGHT },
      { type: 'ready', channel: 0, round: 0, checksum: RIGHT },
    );
    b.now = 1000;
    b.deliver(1); // alone in round 0: 32 records in 1000 ms
    b.now = 2000;
    b.deliver(0);
    b.deliver(1);
    b.applied();
    expect(b.state.ledger.round).toBe(2);
    return b;
  }

  test('the deadline follows what was measured', () => {
    const b = paced();
    b.send({ type: 'tick' });
    const [wake] = b.of('wake');
    const slowest = Math.max(...[0, 1].map((slot) => b.shareOf(slot).count / b.state.members.get(slot)!.rate!));
    expect(wake!.at).toBeCloseTo(2000 + Math.max(2000, 4 * slowest), 6);
  });

  test('before it, all who are connected are waited for; after it, half the records are enough', () => {
    const b = paced();
    b.deliver(0);
    b.now += 1900;
    b.send({ type: 'tick' });
    expect(b.of('append')).toEqual([]);
    b.now = 30_000;
    b.send({ type: 'tick' });
    expect(lastRound(b.journal).segments.map(({ slot }) => slot)).toEqual([0]);
  });

  test('a frozen peer costs one deadline, not one a round; it works again when it is heard', () => {
    const b = paced();
    const rate = b.state.members.get(1)!.rate!;
    b.deliver(0);
    b.now = 30_000;
    b.send({ type: 'tick' });
    expect(b.state.members.get(1)!.status).toBe('late');
    expect(b.state.members.get(1)!.rate).toBeLessThan(rate / 2 + 1e-9);
    expect([...b.state.attempt!.shares.keys()]).toEqual([0]);
    b.deliver(0);
    expect(b.state.ledger.round).toBe(4);
    b.send({ type: 'contribution', channel: 1, round: 2, from: 16, codes: new Int8Array(16), signature: SIGNATURE });
    expect(b.to(1)).toEqual(['CONTRIBUTION_STALE']);
    b.deliver(0);
    expect([...b.state.attempt!.shares.keys()]).toEqual([0, 1]);
  });

  test('below the quorum it waits on, and each doubling of the wait halves what is enough', () => {
    const b = paced();
    const span = 30_000; // more than the deadline of this round
    b.deliver(0, { count: 5 }); // 5 of 32: enough at a quarter of a half
    b.now = 2000 + 2001;
    b.send({ type: 'tick' });
    const opened = b.state.ledger.round;
    expect(opened).toBe(2);
    for (let i = 0; i < 6 && b.state.ledger.round === opened; i++) {
      const [wake] = b.of('wake');
      expect(wake!.at).toBeGreaterThan(b.now);
      b.now = wake!.at;
      b.send({ type: 'tick' });
    }
    expect(b.state.ledger.round).toBe(3);
    expect(b.now).toBeLessThan(2000 + 8 * span);
  });

  test('nothing at all is never committed, however long it takes', () => {
    const b = paced();
    b.now = 1e9;
    b.send({ type: 'tick' });
    expect(b.of('append')).toEqual([]);
    b.deliver(0);
    expect(b.of('append')).toHaveLength(1);
  });

  test('when all who have work are silent, a newcomer gets it', () => {
    const b = paced();
    b.now = 1e6;
    b.connect(2);
    b.ready(2);
    expect(b.to(2)).toEqual(['open']);
    expect([...b.state.attempt!.shares.keys()]).toEqual([2]);
    b.deliver(2);
    expect(b.state.ledger.round).toBe(3);
  });
});

test('a first peer that never delivers anything does not keep the others from work for the time of a first round', () => {
  const b = bench();
  b.join(0);
  b.join(1);
  b.now = 9_999;
  b.send({ type: 'tick' });
  expect([...b.state.attempt!.shares.keys()]).toEqual([0]);
  expect(b.of('wake').map(({ at }) => at)).toEqual([10_000]);
  b.now = 10_000;
  b.send({ type: 'tick' });
  expect(b.to(1)).toEqual(['open']);
  expect([...b.state.attempt!.shares.keys()]).toEqual([1]);
});

describe('comings and goings in a round', () => {
  test('a peer that goes is not waited for', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.send({ type: 'left', channel: 1 });
    expect(lastRound(b.journal).segments.map(({ slot }) => slot)).toEqual([0]);
  });

  test('what a peer delivered before it went is committed', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.send({ type: 'left', channel: 0 });
    b.deliver(1);
    expect(lastRound(b.journal).segments.map(({ slot }) => slot)).toEqual([0, 1]);
  });

  test('a peer that comes back in time gets its range again', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    const share = b.shareOf(1);
    b.connect(1, 11);
    b.ready(11);
    expect(b.of('send').map(({ message }) => message)).toMatchObject([
      { type: 'open', round: 0, from: share.from, count: share.count },
    ]);
    b.deliver(0);
    b.deliver(11, { slot: 1 });
    expect(lastRound(b.journal).segments).toHaveLength(2);
  });

  test('when all have gone the run waits, and goes on with the same round', () => {
    const b = bench();
    b.join(0);
    b.send({ type: 'left', channel: 0 });
    expect(view(b.state)).toMatchObject({ phase: 'waiting', round: 0 });
    expect(b.of('append')).toEqual([]);
    b.connect(0, 5);
    b.ready(5);
    expect(b.of('send')[0]!.message).toMatchObject({ type: 'open', round: 0 });
  });
});

describe('checksums', () => {
  test('other weights are refused by name, and the key keeps its slot', () => {
    const b = bench();
    b.connect(0);
    b.send({ type: 'ready', channel: 0, round: 0, checksum: 'bb'.repeat(8) });
    expect(b.to(0)).toEqual(['DRIFT']);
    expect(b.state.members.get(0)).toMatchObject({ status: 'gone', strikes: 0 });
  });

  test('a report is compared when the host gets there', () => {
    const b = bench();
    b.join(0);
    b.deliver(0);
    b.send({ type: 'checksum', channel: 0, round: 1, checksum: 'bb'.repeat(8) });
    expect(b.to(0)).toEqual([]);
    b.applied();
    expect(b.to(0)).toEqual(['DRIFT']);
  });

  test('a request for work waits for a host that is many rounds behind; newer reports do not push it out', () => {
    const b = bench({}, { ...MANIFEST, max_steps: 100 });
    b.join(0);
    b.deliver(0);
    b.connect(1);
    b.ready(1);
    for (let round = 1; round < 30; round++) {
      b.deliver(0);
      b.send({ type: 'checksum', channel: 1, round: round + 1, checksum: RIGHT });
    }
    expect(b.state.members.get(1)).toMatchObject({ status: 'joining' });
    b.send({ type: 'applied', round: 1, checksum: RIGHT });
    expect(b.state.members.get(1)).toMatchObject({ status: 'ready' });
  });

  test('a report of a round that is not committed is an offence', () => {
    const b = bench();
    b.connect(0);
    b.send({ type: 'checksum', channel: 0, round: 1, checksum: RIGHT });
    expect(b.to(0)).toEqual(['MESSAGE_UNEXPECTED']);
  });
});

describe('snapshots', () => {
  const round = (b: ReturnType<typeof bench>, snapshotRounds: number): number => {
    b.deliver(0);
    const { length } = b.of('root');
    b.send({ type: 'applied', round: b.state.ledger.round, checksum: RIGHT, snapshotRounds });
    return length;
  };

  test('are asked for after as many rounds as the replica says, and so many after that', () => {
    const b = bench();
    b.join(0);
    expect(Array.from({ length: 9 }, () => round(b, 3))).toEqual([0, 0, 1, 0, 0, 1, 0, 0, 1]);
  });

  test('after as many as the rules say, whatever the replica does', () => {
    const b = bench({ saveSteps: 4 });
    b.join(0);
    expect(Array.from({ length: 9 }, () => round(b, 2))).toEqual([0, 0, 0, 1, 0, 0, 0, 1, 0]);
  });

  test('are announced to all before the next round is opened, but not after the last', () => {
    const b = bench({ saveSteps: 1 }, { ...MANIFEST, max_steps: 2 });
    b.join(0);
    b.join(1);
    const heard = (channel: number): string[] => b.to(channel).filter((type) => type === 'snapshot' || type === 'open');
    b.deliver(0); // who came first measures the first round alone
    expect([heard(0), heard(1)]).toEqual([
      ['snapshot', 'open'],
      ['snapshot', 'open'],
    ]);
    b.deliver(0);
    b.deliver(1);
    expect([heard(0), heard(1)]).toEqual([[], []]);
    expect(b.of('root')).toHaveLength(1);
  });

  test('are in the journal with the standing of the journal, before the digest that offers them', () => {
    const b = bench();
    b.join(0);
    round(b, 1);
    const [standing, root] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
    b.send({ type: 'rooted', round: 1, root, standing });
    expect(b.journal.slice(-2)).toEqual([
      { type: 'standing', round: 1, hash: standing },
      { type: 'digest', round: 1, root },
    ]);
  });
});

describe('the end', () => {
  const SHORT = { ...MANIFEST, max_steps: 1 };

  test('after the last round: evaluation, root, digest on the record, then everybody is told and says goodbye', () => {
    const b = bench({}, SHORT);
    b.join(0);
    b.deliver(0);
    expect(b.of('evaluate')).toHaveLength(1);
    expect(b.of('root')).toHaveLength(1);
    b.send({ type: 'evaluated', round: 1, metrics: { 'eval/loss': 1 } });
    expect(b.journal.at(-1)).toEqual({ type: 'evaluation', round: 1, slot: HOST_SLOT, metrics: { 'eval/loss': 1 } });
    b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.effects.map(({ type }) => type)).toEqual(['append', 'send', 'wake']);
    expect(b.to(0)).toEqual(['done']);
    b.send({ type: 'left', channel: 0, goodbye: true });
    expect(b.effects.map(({ type }) => type)).toEqual(['finish']);
    expect(b.of('finish')).toMatchObject([{ reason: 'done' }]);
  });

  test('a line that breaks in place of a goodbye may have lost the last word: it stays, and says it again', () => {
    const b = bench({}, SHORT);
    b.join(0);
    b.deliver(0);
    b.applied();
    b.send({ type: 'evaluated', round: 1, metrics: {} }, { type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.to(0)).toEqual(['done']);
    b.now += 1000;
    b.send({ type: 'left', channel: 0, goodbye: false });
    expect(b.of('finish')).toEqual([]);
    b.now += 3000;
    b.connect(0, 7);
    b.ready(7);
    expect(b.to(7)).toEqual(['done']);
    expect(b.of('finish')).toEqual([]);
    b.send({ type: 'left', channel: 7, goodbye: true });
    expect(b.of('finish')).toHaveLength(1);
  });

  test('nobody is waited for without end: neither for a goodbye, nor for a return', () => {
    for (const leaves of [false, true]) {
      const b = bench({}, SHORT);
      b.join(0);
      b.deliver(0);
      b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
      if (leaves) b.send({ type: 'left', channel: 0 });
      const [{ at } = { at: 0 }] = b.of('wake').slice(-1);
      expect(at).toBeGreaterThan(b.now);
      b.now = at;
      b.send({ type: 'tick' });
      expect(b.of('finish')).toMatchObject([{ reason: 'done' }]);
    }
  });

  test('it stays for a peer that lost its line a moment ago, and tells it; not for one that is long gone', () => {
    const b = bench({}, SHORT);
    b.join(0, 1, 2);
    b.send({ type: 'left', channel: 2 });
    b.now = 60_000;
    for (const channel of b.state.attempt!.shares.keys()) if (channel !== 2) b.deliver(channel);
    b.send({ type: 'left', channel: 1 });
    b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.of('finish')).toEqual([]);
    b.applied();
    b.connect(1, 11);
    b.ready(11);
    expect(b.to(11)).toEqual(['done']);
    b.send(...[0, 11].map((channel) => ({ type: 'left', channel, goodbye: true }) as const));
    expect(b.of('finish')).toHaveLength(1);
  });

  test('killed before the last digest, it stays for all who were there until they must have tried again', () => {
    const before = bench({}, SHORT);
    before.join(0);
    before.deliver(0);
    const b = bench({}, SHORT, before.journal.slice(1));
    b.applied();
    b.send({ type: 'evaluated', round: 1, metrics: {} }, { type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.of('finish')).toEqual([]);
    expect(b.of('wake').map(({ at }) => at)).toContain(RETURN_MS);
    b.now = RETURN_MS - 1;
    b.connect(0);
    b.ready(0);
    expect(b.to(0)).toEqual(['done']);
    b.send({ type: 'left', channel: 0, goodbye: true });
    expect(b.of('finish')).toHaveLength(1);
  });

  test('stop finishes the round, saves, tells the peers; nothing is opened after it', () => {
    const b = bench();
    b.send({ type: 'evaluated', round: 0, metrics: {} });
    b.join(0);
    b.send({ type: 'stop' });
    expect(b.of('finish')).toEqual([]);
    b.deliver(0);
    expect(b.to(0)).toEqual(['receipt']);
    b.applied();
    expect(b.of('root')).toHaveLength(1);
    b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.journal.at(-1)).toMatchObject({ type: 'digest', round: 1 });
    expect(b.to(0)).toEqual(['INTERRUPTED']);
    expect(b.of('finish')).toMatchObject([{ reason: 'stopped' }]);
    expect(b.join(3)).toEqual([]);
  });

  test('stop without peers ends at once', () => {
    const b = bench();
    b.send({ type: 'evaluated', round: 0, metrics: {} }, { type: 'stop' });
    expect(b.of('finish')).toMatchObject([{ reason: 'stopped' }]);
  });
});

describe('a host that comes back', () => {
  test('knows slots, rounds, records and evaluations from its journal, and opens the round anew', () => {
    const b = bench({ evalSteps: 1 });
    b.join(0, 1);
    b.send({ type: 'evaluated', round: 0, metrics: { 'eval/loss': 2 } });
    for (const slot of b.state.attempt!.shares.keys()) b.deliver(slot);
    const again = bench({ evalSteps: 1 }, MANIFEST, b.journal.slice(1));
    expect(again.state.ledger).toEqual(b.state.ledger);
    expect(view(again.state).peers.map(({ slot, records, state }) => [slot, records, state])).toEqual(
      view(b.state).peers.map(({ slot, records }) => [slot, records, 'gone']),
    );
    expect(again.state.pending, 'round 1 is still to be evaluated').toBe(1);
    again.connect(1);
    expect(again.of('send')[0]!.message).toEqual({ type: 'admitted', slot: 1, head: 1 });
    again.ready(1);
    expect(again.of('send').at(-1)!.message).toMatchObject({ type: 'open', round: 1, from: 0, count: 32 });
  });

  test('commits what it had receipted', () => {
    const b = bench({ minPeers: 2 });
    b.join(0, 1);
    b.deliver(1);
    const [kept] = b.of('keep');
    const { effects, state } = begin(b.journal, [kept!.contribution], { minPeers: 1, evalSteps: 100 }, 0);
    const committed = effects.flatMap((effect) => (effect.type === 'append' ? [effect.entry] : []));
    expect(committed).toMatchObject([{ type: 'round', round: { segments: [{ slot: 1, from: 16 }] } }]);
    expect(state.ledger.round).toBe(1);
  });

  test('and not what belongs to a round that is committed', () => {
    const b = bench();
    b.join(0);
    b.deliver(0);
    const [kept] = b.of('keep');
    const { effects } = begin(b.journal, [kept!.contribution], { minPeers: 1, evalSteps: 100 }, 0);
    expect(effects.filter(({ type }) => type === 'append')).toEqual([]);
  });
});

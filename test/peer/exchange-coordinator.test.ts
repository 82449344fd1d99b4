/** The sequencer of a run that exchanges vectors: rounds of steps, and merges. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { follow, type JournalState } from '../../src/journal/rules.ts';
import { type Entry, type Exchange, HOST_SLOT, type Manifest, type Merge } from '../../src/nouns.ts';
import { assignSteps } from '../../src/peer/assignment.ts';
import type { Effect, Event, Kept, Rules } from '../../src/peer/state.ts';
import { view } from '../../src/peer/state.ts';
import { MAX_STRIKES } from '../../src/peer/turn.ts';
import { decodeOffer, encodeOffer } from '../../src/wire/chunks.ts';
import { MANIFEST } from './fake.ts';
import { RIGHT, SIGNATURE, sequencer } from './sequencer.ts';

const DILOCO: Exchange = {
  kind: 'diloco',
  optim: { kind: 'adamw', beta1: 0.9, beta2: 0.95, epsilon: 1e-8 },
  ...{ weight_decay: 0, max_grad_norm: 0, per_device_train_batch_size: 1, gradient_accumulation_steps: 1 },
  ...{ steps: 16, outer_learning_rate: 0.7, outer_momentum: 0.9, format: 'f32' },
  ...{ fragments: 1, overlap: 0, mixing: 0, data_parts: 1, dropped: 0 },
};
const manifestOf = (exchange: Partial<Exchange> = {}, keys: Partial<Manifest> = {}): Manifest => ({
  ...{ ...MANIFEST, method: 'exchange', exchange: { ...DILOCO, ...exchange } },
  ...keys,
});

/** One chunk that is a slot's own. */
const hashesOf = (slot: number): Uint8Array[] => [new Uint8Array(32).fill(slot + 1)];
const mergeOf = (round: number, shares: readonly (readonly [slot: number, count: number])[]): Merge => ({
  round,
  shares: shares.map(([slot, count]) => ({ slot, from: 0, count, digest: new Uint8Array(32) })),
  chunks: [new Uint8Array(32).fill(99)],
});

function bench(
  manifest = manifestOf(),
  rules: Partial<Rules> = {},
  entries: readonly Entry[] = [],
  kept: readonly Kept[] = [],
) {
  const b = sequencer(manifest, rules, entries, kept);
  if (kept.length === 0) b.applied();
  return Object.assign(b, {
    types: (): string[] => b.effects.map(({ type }) => type).filter((type) => type !== 'wake'),
    /** Rounds that were opened by the events given last: channel, round, steps. */
    opened: () =>
      b.of('send').flatMap(({ channel, message }) => {
        if (message.type !== 'open') return [];
        return [{ channel, round: message.round, from: message.from, count: message.count }];
      }),
    /** Why channels were closed, or what they were refused. */
    refusals: (): string[] =>
      b.effects.flatMap((effect) => {
        if (effect.type === 'close') return [effect.code];
        return effect.type === 'send' && effect.message.type === 'refused' ? [effect.message.code] : [];
      }),
    /** What a peer gives of the round: so many steps, and a chunk of its own. */
    deliver(channel: number, { count = 0, hashes = hashesOf(channel), round = b.state.ledger.round } = {}) {
      const steps = count || b.state.attempt!.shares.get(channel)!.count;
      const codes = encodeOffer({ count: steps, hashes });
      return b.send({ type: 'contribution', channel, round, from: 0, codes, signature: SIGNATURE });
    },
    /** Three offences of a peer, which connects again in between. */
    evict(number: number) {
      const effects: Effect[] = [];
      for (let i = 0; i < MAX_STRIKES; i++) {
        effects.push(...b.send({ type: 'violated', channel: number, code: 'FRAME_INVALID', detail: 'garbage' }));
        if (i < MAX_STRIKES - 1) effects.push(...b.connect(number));
      }
      b.effects = effects;
      return effects;
    },
    merged: (...shares: readonly (readonly [number, number])[]) =>
      b.send({ type: 'merged', merge: mergeOf(b.state.ledger.round, shares) }),
    /** Types of the messages that the events given last sent to a channel. */
    to: (channel: number): string[] =>
      b.of('send').flatMap((effect) => (effect.channel === channel ? [effect.message.type] : [])),
    /** Slots whose shares were to be merged by the events given last. */
    merging: () => b.of('merge').map(({ segments }) => segments.map(({ slot }) => slot)),
  });
}

/** Every entry may follow those before it. */
const isInOrder = (journal: readonly Entry[]): boolean =>
  journal.reduce<JournalState | null>((state, entry) => follow(state, entry, ''), null) !== null;

describe('a round opens', () => {
  test('with the same steps for everybody, from the first', () => {
    const b = bench(manifestOf(), { minPeers: 3 });
    b.join(0, 1, 2);
    expect(b.opened()).toEqual([0, 1, 2].map((channel) => ({ channel, round: 0, from: 0, count: 16 })));
    expect(view(b.state).phase).toBe('measuring');
  });

  test('with fewer for a peer below half the rate of the fastest', () => {
    const b = bench(manifestOf(), { minPeers: 3 });
    b.join(0, 1, 2);
    b.now = 1000;
    b.deliver(0);
    b.now = 1900;
    b.deliver(1);
    b.now = 4000;
    b.deliver(2);
    b.merged([0, 16], [1, 16], [2, 16]);
    expect(b.opened().map(({ count }) => count)).toEqual([16, 16, 4]);
  });

  test.each(['dpu', 'acco'] as const)('of %s with one batch: what there is by then is a share', (kind) => {
    const b = bench(manifestOf({ kind }), { minPeers: 2 });
    b.join(0, 1);
    expect(b.opened().map(({ count }) => count)).toEqual([1, 1]);
  });
});

describe('steps for a peer', () => {
  const workers = fc.uniqueArray(
    fc.record({
      slot: fc.nat(1000),
      rate: fc.option(fc.double({ min: 1e-6, max: 1e3, noNaN: true }), { nil: undefined }),
      worked: fc.integer({ min: -1, max: 9 }),
    }),
    { selector: ({ slot }) => slot, minLength: 1, maxLength: 20 },
  );
  test('are all or, for the slow, as many as fit into the time of the fastest; one at least, in order of slots', () => {
    fc.assert(
      fc.property(workers, fc.integer({ min: 1, max: 500 }), (peers, steps) => {
        const ranges = assignSteps(peers, steps);
        const fastest = Math.max(...peers.map(({ rate }) => rate ?? 0));
        expect(ranges.map(({ slot }) => slot)).toEqual(peers.map(({ slot }) => slot).sort((a, b) => a - b));
        for (const { slot, from, count } of ranges) {
          const { rate } = peers.find((peer) => peer.slot === slot)!;
          expect(from).toBe(0);
          if (rate === undefined || rate >= fastest / 2) expect(count).toBe(steps);
          else expect(count).toBe(Math.max(1, Math.floor((steps * rate) / fastest)));
        }
      }),
    );
  });
});

describe('a round closes', () => {
  test('when all have delivered, and its shares are to be merged in the order of slots', () => {
    const b = bench(manifestOf(), { minPeers: 3 });
    b.join(0, 1, 2);
    b.deliver(2);
    expect(b.types()).toEqual(['keep', 'receipt']);
    b.deliver(0);
    b.deliver(1);
    expect(b.types()).toEqual(['keep', 'receipt', 'merge']);
    const [{ round, segments }] = b.of('merge') as [Extract<Effect, { type: 'merge' }>];
    expect(round).toBe(0);
    expect(segments.map(({ slot, codes }) => [slot, decodeOffer(codes)])).toEqual(
      [0, 1, 2].map((slot) => [slot, { count: 16, hashes: hashesOf(slot) }]),
    );
    expect(view(b.state).phase).toBe('merging');
  });

  test('fewer steps than were asked for are a share; more are an offence', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0, { count: 17 });
    expect(b.refusals()).toEqual(['CONTRIBUTION_RANGE']);
    expect(b.state.members.get(0)).toMatchObject({ strikes: 1, status: 'gone' });
    b.deliver(1, { count: 3 });
    expect(b.merging()).toEqual([[1]]);
  });

  test('a peer that is asked for fewer steps may not give all the same', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.now = 1000;
    b.deliver(0);
    b.now = 4000;
    b.deliver(1);
    b.merged([0, 16], [1, 16]);
    expect(b.state.attempt!.shares.get(1)!.count).toBe(4);
    b.deliver(1, { count: 5 });
    expect(b.refusals()).toEqual(['CONTRIBUTION_RANGE']);
  });

  test.each(['dpu', 'acco'] as const)('of %s a share is of any number of batches up to the most of a round', (kind) => {
    const b = bench(manifestOf({ kind, steps: 9 }), { minPeers: 3 });
    b.join(0, 1, 2);
    b.deliver(0, { count: 9 });
    expect(b.refusals()).toEqual([]);
    b.deliver(1, { count: 10 });
    expect(b.refusals()).toEqual(['CONTRIBUTION_RANGE']);
    b.deliver(2, { count: 1 });
    expect(b.merging()).toEqual([[0, 2]]);
  });

  test('no steps at all are an offence, whatever the method', () => {
    for (const kind of ['diloco', 'ddp', 'dpu', 'acco'] as const) {
      const b = bench(manifestOf({ kind }), { minPeers: 2 });
      b.join(0, 1);
      const codes = encodeOffer({ count: 0, hashes: hashesOf(0) });
      b.send({ type: 'contribution', channel: 0, round: 0, from: 0, codes, signature: SIGNATURE });
      expect(b.refusals()).toEqual(['CONTRIBUTION_RANGE']);
    }
  });

  test('the same offer again is receipted again; another one is an offence', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.deliver(0);
    expect(b.types()).toEqual(['receipt']);
    b.deliver(0, { hashes: hashesOf(5) });
    expect(b.refusals()).toEqual(['CONTRIBUTION_DUPLICATE']);
  });

  test('the same once more while shares are being merged is late, and no offence', () => {
    const b = bench(manifestOf(), { minPeers: 3 });
    b.join(0, 1, 2);
    const again = (channel: number): readonly Effect[] => b.deliver(channel, { count: 16 });
    for (const channel of [0, 1, 2]) again(channel);
    expect(b.state.merging).toBe(true);
    again(1);
    again(1);
    expect(b.refusals()).toEqual(['CONTRIBUTION_STALE']);
    expect(b.state.members.get(1)).toMatchObject({ strikes: 0, channel: 1 });
  });

  test('a share of a round to come is an offence, whether or not it can be read', () => {
    for (const codes of [Int8Array.of(1), encodeOffer({ count: 1, hashes: hashesOf(0) })]) {
      const b = bench();
      b.join(0);
      b.send({ type: 'contribution', channel: 0, round: 5, from: 0, codes, signature: SIGNATURE });
      expect(b.refusals()).toEqual(['CONTRIBUTION_RANGE']);
    }
  });

  test('by an offer without chunks as well, which is no part of the merge', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.deliver(1, { hashes: [] });
    expect(b.types()).toEqual(['keep', 'receipt', 'merge']);
    expect(b.merging()).toEqual([[0]]);
    b.merged([0, 16]);
    expect(b.opened().map(({ channel }) => channel)).toEqual([0, 1]);
    expect(b.state.members.get(1)).toMatchObject({ records: 0, status: 'ready' });
  });

  test('where nobody gave chunks there is no merge: the same round is opened again', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0, { hashes: [] });
    b.deliver(1, { hashes: [] });
    expect(b.merging()).toEqual([]);
    expect(b.opened().map(({ channel, round }) => [channel, round])).toEqual([
      [0, 0],
      [1, 0],
    ]);
    b.deliver(0);
    b.deliver(1);
    expect(b.merging()).toEqual([[0, 1]]);
  });

  test('without a peer that has gone; what it delivered before counts', () => {
    const b = bench(manifestOf(), { minPeers: 3 });
    b.join(0, 1, 2);
    b.deliver(0);
    b.send({ type: 'left', channel: 0 });
    b.deliver(1);
    expect(b.merging()).toEqual([]);
    b.send({ type: 'left', channel: 2 });
    expect(b.merging()).toEqual([[0, 1]]);
  });

  test('at its deadline without a peer that is silent, which then waits until it is heard', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.now = 1000;
    b.deliver(0);
    b.deliver(1);
    b.merged([0, 16], [1, 16]);
    b.now = 2000;
    b.deliver(0);
    const [wake] = b.of('wake').slice(-1);
    expect(wake!.at).toBeLessThan(10_000);
    b.now = wake!.at - 1;
    b.send({ type: 'tick' });
    expect(b.merging()).toEqual([]);
    b.now = wake!.at;
    b.send({ type: 'tick' });
    expect(b.merging()).toEqual([[0]]);
    b.merged([0, 16]);
    expect(b.opened().map(({ channel }) => channel)).toEqual([0]);
    expect(b.state.members.get(1)!.status).toBe('late');
    b.deliver(1, { count: 16, round: 1 });
    expect(b.refusals()).toEqual(['CONTRIBUTION_STALE']);
    b.deliver(0);
    b.merged([0, 16]);
    expect(b.opened().map(({ channel }) => channel)).toEqual([0, 1]);
  });

  test('an offer without chunks is not enough at a deadline', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.now = 1000;
    b.deliver(0);
    b.deliver(1);
    b.merged([0, 16], [1, 16]);
    b.deliver(0, { hashes: [] });
    b.now = 1e7;
    b.send({ type: 'tick' });
    expect(b.merging()).toEqual([]);
    b.deliver(1);
    expect(b.merging()).toEqual([[1]]);
  });
});

describe('while shares are merged', () => {
  function merging(...more: Parameters<typeof bench>) {
    const b = bench(more[0], { minPeers: 2, ...more[1] });
    b.join(0, 1);
    b.deliver(0);
    b.deliver(1);
    expect(b.merging()).toEqual([[0, 1]]);
    return b;
  }

  test('nothing is opened, whoever comes, is heard or goes, and however long it takes', () => {
    const b = merging();
    const quiet = (): void => {
      expect(b.opened()).toEqual([]);
      expect(b.merging()).toEqual([]);
      expect(view(b.state)).toMatchObject({ phase: 'merging', round: 0 });
    };
    b.send({ type: 'tick' });
    quiet();
    b.join(2);
    quiet();
    b.send({ type: 'left', channel: 0 });
    quiet();
    b.now = 1e9;
    b.send({ type: 'tick' });
    quiet();
    b.merged([0, 16], [1, 16]);
    expect(b.opened().map(({ channel, round }) => [channel, round])).toEqual([
      [1, 1],
      [2, 1],
    ]);
  });

  test('the change is on the record before it is applied, and then the next round opens', () => {
    const b = merging();
    b.merged([0, 16], [1, 12]);
    const order = b.effects.map((effect) => (effect.type === 'send' ? effect.message.type : effect.type));
    expect(order.filter((type) => ['append', 'applyMerge', 'open'].includes(type))).toEqual([
      'append',
      'applyMerge',
      'open',
      'open',
    ]);
    const merge = mergeOf(0, [
      [0, 16],
      [1, 12],
    ]);
    expect(b.of('append')).toEqual([{ type: 'append', entry: { type: 'merge', merge }, followers: [0, 1] }]);
    expect(b.of('applyMerge')).toEqual([{ type: 'applyMerge', merge }]);
    expect(b.of('forget').length).toBeGreaterThan(0);
    expect(view(b.state)).toMatchObject({ phase: 'measuring', round: 1 });
    expect([...b.state.members.values()].map(({ records }) => records)).toEqual([16, 12]);
    expect(isInOrder(b.journal)).toBe(true);
  });

  test('shares that come to nothing are asked for again: the same round, nothing on the record', () => {
    const b = merging();
    const { length } = b.journal;
    b.send({ type: 'unmerged' });
    expect(b.opened().map(({ channel, round, count }) => [channel, round, count])).toEqual([
      [0, 0, 16],
      [1, 0, 16],
    ]);
    expect(b.types()).toContain('forget');
    expect(b.journal).toHaveLength(length);
    b.deliver(0);
    b.deliver(1);
    b.merged([0, 16], [1, 16]);
    expect(b.state.ledger.round).toBe(1);
  });

  test('a peer that is evicted takes the merge with it: the others are asked for the same round again', () => {
    const b = merging();
    b.merged([0, 16], [1, 16]);
    b.deliver(0);
    b.deliver(1);
    expect(b.merging()).toEqual([[0, 1]]);
    b.evict(0);
    expect(b.journal.at(-1)).toMatchObject({ type: 'evict', slot: 0 });
    expect(b.opened()).toEqual([]);
    b.merged([0, 16], [1, 16]);
    expect(b.of('append')).toEqual([]);
    expect(b.of('applyMerge')).toEqual([]);
    expect(b.opened()).toEqual([{ channel: 1, round: 1, from: 0, count: 16 }]);
    b.deliver(1);
    b.merged([1, 16]);
    expect(b.state.ledger.round).toBe(2);
    expect(isInOrder(b.journal)).toBe(true);
  });

  test('a peer that is evicted and has no share in it changes nothing', () => {
    const b = merging();
    b.connect(2);
    b.evict(2);
    b.merged([0, 16], [1, 16]);
    expect(b.state.ledger.round).toBe(1);
    expect(isInOrder(b.journal)).toBe(true);
  });

  test('what a peer delivered to an open round before it was evicted is not merged', () => {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.evict(0);
    b.deliver(1);
    expect(b.merging()).toEqual([[1]]);
  });

  test('what comes late is told so', () => {
    const b = merging();
    b.merged([0, 16], [1, 16]);
    b.deliver(0, { round: 0 });
    expect(b.refusals()).toEqual(['CONTRIBUTION_STALE']);
  });

  test('a contribution to the round that is closed and not yet merged is not receipted', () => {
    const b = merging();
    b.join(2);
    const codes = encodeOffer({ count: 16, hashes: hashesOf(2) });
    b.send({ type: 'contribution', channel: 2, round: 0, from: 0, codes, signature: SIGNATURE });
    expect(b.of('receipt')).toEqual([]);
    expect(b.of('keep')).toEqual([]);
  });

  test('stop waits for it, for what is applied and for its digest, and opens nothing', () => {
    const b = merging();
    b.send({ type: 'evaluated', round: 0, metrics: {} }, { type: 'stop' });
    expect(b.types()).toEqual(['append']);
    b.merged([0, 16], [1, 16]);
    expect(b.opened()).toEqual([]);
    expect(b.of('finish')).toEqual([]);
    expect(b.of('applyMerge')).toHaveLength(1);
    b.applied();
    expect(b.of('root')).toHaveLength(1);
    b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.refusals()).toEqual(['INTERRUPTED', 'INTERRUPTED']);
    expect(b.of('finish')).toMatchObject([{ reason: 'stopped' }]);
  });

  test('stop, and the shares come to nothing: no round is opened again', () => {
    const b = merging();
    b.send({ type: 'evaluated', round: 0, metrics: {} }, { type: 'stop' });
    b.send({ type: 'unmerged' });
    expect(b.opened()).toEqual([]);
    expect(b.of('finish')).toMatchObject([{ reason: 'stopped' }]);
  });

  test('the last merge of a run is followed by evaluation and digest, and nothing is opened', () => {
    const b = merging(manifestOf({}, { max_steps: 1 }));
    b.merged([0, 16], [1, 16]);
    expect(b.opened()).toEqual([]);
    expect(b.of('evaluate')).toHaveLength(1);
    expect(b.of('root')).toHaveLength(1);
    b.send({ type: 'evaluated', round: 1, metrics: { 'eval/loss': 1 } });
    b.applied();
    b.send({ type: 'rooted', round: 1, root: new Uint8Array(32) });
    expect(b.of('finish')).toEqual([]);
    expect(isInOrder(b.journal)).toBe(true);
  });

  const goodbye = (channel: number) => ({ type: 'left', channel, goodbye: true }) as const;

  test('the host stays until everybody has the last merge, which nobody else can bring', () => {
    const b = ended();
    b.send({ type: 'checksum', channel: 0, round: 1, checksum: RIGHT });
    expect(b.to(0)).toEqual(['done']);
    expect(b.of('finish')).toEqual([]);
    for (let i = 0; i < 10; i++) {
      b.now += 20_000; // a chunk takes its time
      b.send({ type: 'fetching', channel: 1 }, { type: 'tick' });
      expect(b.of('finish')).toEqual([]);
    }
    b.send({ type: 'checksum', channel: 1, round: 1, checksum: RIGHT });
    expect(b.to(1)).toEqual(['done']);
    b.send(goodbye(0), goodbye(1));
    expect(b.of('finish')).toMatchObject([{ reason: 'done' }]);
  });

  test('one that had it before the digest was made is told with the digest', () => {
    const b = ended(0, 1);
    expect([b.to(0), b.to(1)]).toEqual([['done'], ['done']]);
    b.send(goodbye(0), goodbye(1));
    expect(b.of('finish')).toMatchObject([{ reason: 'done' }]);
  });

  test('a peer that has fallen silent is not waited for without end', () => {
    const b = ended(0);
    b.send(goodbye(0));
    expect(b.of('finish')).toEqual([]);
    const [{ at } = { at: 0 }] = b.of('wake').slice(-1);
    b.now = at;
    b.send({ type: 'tick' });
    expect(b.of('finish')).toMatchObject([{ reason: 'done' }]);
  });

  /** The run is done; these channels had the last merge before. */
  function ended(...whole: readonly number[]) {
    const b = merging(manifestOf({}, { max_steps: 1 }));
    b.merged([0, 16], [1, 16]);
    b.applied();
    b.send(...whole.map((channel): Event => ({ type: 'checksum', channel, round: 1, checksum: RIGHT })));
    b.send(
      { type: 'evaluated', round: 1, metrics: { 'eval/loss': 1 } },
      { type: 'rooted', round: 1, root: new Uint8Array(32) },
    );
    return b;
  }
});

describe('a host that comes back', () => {
  function stopped() {
    const b = bench(manifestOf(), { minPeers: 2 });
    b.join(0, 1);
    b.deliver(0);
    b.deliver(1);
    b.merged([0, 16], [1, 12]);
    return b;
  }

  test('knows rounds and steps of its peers from the merges of its journal', () => {
    const b = stopped();
    const again = bench(manifestOf(), {}, b.journal.slice(1));
    expect(again.state.ledger).toEqual(b.state.ledger);
    expect(view(again.state).peers.map(({ slot, records, state }) => [slot, records, state])).toEqual([
      [0, 16, 'gone'],
      [1, 12, 'gone'],
    ]);
    again.join(1);
    expect(again.opened()).toEqual([{ channel: 1, round: 1, from: 0, count: 16 }]);
  });

  test('merges what it had receipted, offers without chunks left out', () => {
    const b = stopped();
    b.deliver(1);
    const kept = b.of('keep').map(({ contribution }) => contribution);
    const silent: Kept = { ...kept[0]!, slot: 0, codes: encodeOffer({ count: 16, hashes: [] }) };
    const again = bench(manifestOf(), {}, b.journal.slice(1), [silent, ...kept]);
    expect(again.merging()).toEqual([[1]]);
    expect(again.state.merging).toBe(true);
    again.merged([1, 16]);
    expect(again.state.ledger.round).toBe(2);
    expect(isInOrder(again.journal)).toBe(true);
  });

  test('and not what belongs to a round that is merged', () => {
    const b = stopped();
    b.deliver(1);
    const old = { ...b.of('keep')[0]!.contribution, round: 0 };
    const again = bench(manifestOf(), {}, b.journal.slice(1), [old]);
    expect(again.merging()).toEqual([]);
  });
});

test('whatever happens, the journal is in order, and a round is open or merged and never both', () => {
  const numbers = fc.nat(3);
  const action = fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constant('join' as const), who: numbers }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('leave' as const), who: numbers }) },
    {
      weight: 8,
      arbitrary: fc.record({
        does: fc.constant('deliver' as const),
        who: numbers,
        count: fc.nat(20),
        empty: fc.nat(4),
      }),
    },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('offend' as const), who: numbers }) },
    { weight: 5, arbitrary: fc.record({ does: fc.constant('merge' as const), fails: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ does: fc.constant('wait' as const), ms: fc.nat(200_000) }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('apply' as const) }) },
  );
  const kinds = fc.constantFrom('diloco' as const, 'ddp' as const, 'dpu' as const, 'acco' as const);
  fc.assert(
    fc.property(kinds, fc.array(action, { minLength: 20, maxLength: 80 }), (kind, actions) => {
      const b = bench(manifestOf({ kind, steps: kind === 'ddp' ? 1 : 16 }, { max_steps: 6 }));
      let due: Extract<Effect, { type: 'merge' }> | undefined;
      for (const act of actions) {
        const { round } = b.state.ledger;
        if (act.does === 'join') b.join(act.who);
        else if (act.does === 'leave') b.send({ type: 'left', channel: act.who });
        else if (act.does === 'offend')
          b.send({ type: 'violated', channel: act.who, code: 'FRAME_INVALID', detail: 'garbage' });
        else if (act.does === 'apply') b.applied();
        else if (act.does === 'wait') {
          b.now += act.ms;
          b.send({ type: 'tick' });
        } else if (act.does === 'deliver') {
          const hashes = act.empty === 0 ? [] : hashesOf(act.who);
          b.deliver(act.who, { count: act.count || 1, hashes });
        } else if (due === undefined) continue;
        else if (act.fails === 0) {
          due = undefined;
          b.send({ type: 'unmerged' });
        } else {
          const shares = due.segments
            .map(({ slot, codes }) => [slot, decodeOffer(codes).count] as const)
            .sort(([a], [c]) => a - c);
          due = undefined;
          b.merged(...shares);
        }
        for (const merge of b.of('merge')) {
          expect(due).toBeUndefined();
          expect(merge.round).toBe(b.state.ledger.round);
          expect(merge.segments.length).toBeGreaterThan(0);
          due = merge;
        }
        expect(b.state.merging).toBe(due !== undefined);
        if (b.state.merging) expect(b.state.attempt).toBeUndefined();
        expect(b.state.ledger.round - round).toBeLessThanOrEqual(1);
        for (const { segments } of b.of('merge'))
          for (const { slot } of segments) expect(b.state.members.get(slot)!.status).not.toBe('evicted');
      }
      expect(isInOrder(b.journal)).toBe(true);
      expect(b.journal.filter(({ type }) => type === 'merge')).toHaveLength(b.state.ledger.round);
      expect(b.journal.every((entry) => entry.type !== 'evaluation' || entry.slot === HOST_SLOT)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

/** Group commit: one sync for all that waits, and nothing said before it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Entry } from '../../src/nouns.ts';
import { begin } from '../../src/peer/coordinator.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { readKept } from '../../src/peer/pending.ts';
import { type Durable, openSequence } from '../../src/peer/sequence.ts';
import type { Effect, Event } from '../../src/peer/state.ts';
import type { Store } from '../../src/ports.ts';
import { begunJournal, fakeClock, fakeCrypto, MANIFEST, secretOf } from './fake.ts';
import { RIGHT, SIGNATURE } from './sequencer.ts';

const PEERS = 40;

/** A store whose disk is as slow as the test wants; `synced` bytes survive. */
function slowStore() {
  const store = memoryStore();
  let length = 0;
  const self = {
    syncs: 0,
    synced: 0,
    /** Awaited by every sync. */
    gate: Promise.resolve(),
    ...store,
    async append(bytes: Uint8Array) {
      await store.append(bytes);
      length += bytes.length;
    },
    async sync() {
      self.syncs++;
      const upTo = length;
      await self.gate;
      self.synced = Math.max(self.synced, upTo);
    },
    async truncate(to: number) {
      await store.truncate(to);
      length = to;
      self.synced = Math.min(self.synced, to);
    },
  } satisfies Store & Record<string, unknown>;
  return self;
}

async function bench() {
  const disks = { journal: slowStore(), pending: slowStore() };
  const manifest = { ...MANIFEST, records_per_round: PEERS, max_steps: 3 };
  const journal = await begunJournal(manifest, fakeCrypto, disks.journal);
  const entries = journal.records.map(({ entry }) => entry);
  const done: { readonly effect: Effect; readonly durable: Durable }[] = [];
  const checks: Promise<void>[] = [];
  const clock = fakeClock();

  /** What a receipt is for is where a crash leaves it. */
  async function checkDurable(effect: Extract<Effect, { type: 'receipt' }>): Promise<void> {
    const { synced } = disks.pending;
    const committed = journal.records.map(({ entry }): Entry => entry);
    const kept = readKept((await disks.pending.read()).subarray(0, synced));
    const isKept = kept.some(({ slot, round }) => slot === effect.slot && round === effect.round);
    const isCommitted = committed.some(
      (entry) =>
        entry.type === 'round' &&
        entry.round.header.round === effect.round &&
        entry.round.segments.some(({ slot }) => slot === effect.slot),
    );
    expect(isKept || isCommitted, `slot ${effect.slot}, round ${effect.round}`).toBe(true);
  }

  const sequence = openSequence({
    ...{ journal, pending: disks.pending, clock, isClosed: () => false, stepped: () => undefined },
    first: begin(entries, [], { minPeers: PEERS, evalSteps: 100 }, 0),
    async execute(effect, durable) {
      done.push({ effect, durable });
      if (effect.type === 'receipt') await checkDurable(effect);
      if (effect.type === 'forget') await disks.pending.truncate(0);
    },
    waited: () => undefined,
    failed(error) {
      checks.push(Promise.reject(error));
    },
  });
  sequence.start();
  const post = (event: Event): void => sequence.post(() => event);
  const settle = () => clock.advance(0);
  const of = <T extends Effect['type']>(type: T) =>
    done.filter((one): one is { effect: Extract<Effect, { type: T }>; durable: Durable } => one.effect.type === type);
  await settle();
  post({ type: 'applied', round: 0, checksum: RIGHT });
  for (let n = 0; n < PEERS; n++) post({ type: 'proved', channel: n, key: secretOf(n), name: '' });
  await settle();
  return { disks, journal, sequence, post, settle, of, done, checks };
}

type Bench = Awaited<ReturnType<typeof bench>>;

/** Delivers what was assigned to a channel in the open round. */
function deliver({ sequence, post }: Bench, channel: number): void {
  const { round } = sequence.state().ledger;
  const { from, count } = sequence.state().attempt!.shares.get(channel)!;
  const codes = new Int8Array(count).fill(channel + 1);
  post({ type: 'contribution', channel, round, from, codes, signature: SIGNATURE });
}

/** All are ready, and the round is open. */
async function opened(): Promise<Bench> {
  const b = await bench();
  for (let n = 0; n < PEERS; n++) b.post({ type: 'ready', channel: n, round: 0, checksum: RIGHT });
  await b.settle();
  expect(b.of('send').filter(({ effect }) => effect.message.type === 'open')).toHaveLength(PEERS);
  return b;
}

test('peers that come together cost one sync of the journal, and each hears its slot after it', async () => {
  const b = await bench();
  expect(b.journal.records.filter(({ entry }) => entry.type === 'admit')).toHaveLength(PEERS);
  expect(b.disks.journal.syncs, 'one for the manifest, one for all peers').toBeLessThanOrEqual(3);
  for (const { effect, durable } of b.of('append')) expect(durable.record!.entry).toEqual(effect.entry);
});

test('contributions that wait while the disk works are kept by one sync, in order, and receipted after it', async () => {
  const b = await opened();
  const before = b.disks.pending.syncs;
  let release: () => void = () => undefined;
  b.disks.pending.gate = new Promise((resolve) => {
    release = resolve;
  });
  deliver(b, 0);
  await b.settle();
  for (let n = 1; n < PEERS - 1; n++) deliver(b, n);
  await b.settle();
  expect(b.of('receipt')).toEqual([]);
  release();
  await b.settle();
  expect(b.disks.pending.syncs - before).toBe(2);
  expect(b.of('receipt').map(({ effect }) => effect.slot)).toEqual(Array.from({ length: PEERS - 1 }, (_, n) => n));
  const kept = readKept(await b.disks.pending.read());
  expect(kept.map(({ slot }) => slot)).toEqual(Array.from({ length: PEERS - 1 }, (_, n) => n));
});

test('what completes a round is not kept and committed: the journal is enough, and comes before the receipt', async () => {
  const b = await opened();
  const { anchor } = b.journal.position;
  const { syncs } = b.disks.pending;
  for (let n = 0; n < PEERS; n++) deliver(b, n);
  await b.settle();
  expect(b.disks.pending.syncs, 'for the first, which came alone').toBe(syncs + 1);
  expect(b.journal.position.state!.rounds).toBe(1);
  expect(b.of('receipt')).toHaveLength(PEERS);
  for (const { durable } of b.of('receipt'))
    expect(durable.anchor, 'of the round, not of what came after').toEqual(anchor);
  const types = b.done.map(({ effect }) => effect.type).filter((type) => type === 'receipt' || type === 'append');
  expect(types.lastIndexOf('receipt'), 'the commit is told last').toBeLessThan(types.lastIndexOf('append'));
});

test('in whatever order and company contributions come, a receipt is for what is durable, and the round is the same', async () => {
  const order = fc.shuffledSubarray(
    Array.from({ length: PEERS }, (_, n) => n),
    { minLength: PEERS },
  );
  await fc.assert(
    fc.asyncProperty(order, fc.array(fc.nat(PEERS), { maxLength: 6 }), async (channels, pauses) => {
      const b = await opened();
      for (const [i, channel] of channels.entries()) {
        if (pauses.includes(i)) await b.settle();
        deliver(b, channel);
        if (channel % 5 === 0 && i < PEERS - 1) deliver(b, channel); // the same again is the same
      }
      await b.settle();
      await Promise.all(b.checks);
      const round = b.journal.records.findLast(({ entry }) => entry.type === 'round')!.entry;
      if (round.type !== 'round') throw new TypeError('no round');
      expect(round.round.segments.map(({ slot, codes }) => [slot, ...codes])).toEqual(
        Array.from({ length: PEERS }, (_, n) => [n, n + 1]),
      );
    }),
    { numRuns: 25 },
  );
});

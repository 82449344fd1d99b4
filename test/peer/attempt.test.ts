/** What the sequencer keeps up beside its members is what it would find by looking at all of them. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { holdersOf } from '../../src/journal/holders.ts';
import type { State } from '../../src/peer/state.ts';
import { fakeCrypto, MANIFEST, secretOf } from './fake.ts';
import { SIGNATURE, sequencer } from './sequencer.ts';

const who = fc.nat(7);
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ does: fc.constant('join' as const), who }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('connect' as const), who, again: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('leave' as const), who }) },
  { weight: 9, arbitrary: fc.record({ does: fc.constant('deliver' as const), who, count: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('offend' as const), who }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('wait' as const), ms: fc.nat(200_000) }) },
  { weight: 4, arbitrary: fc.constant({ does: 'apply' as const }) },
);

const keys = Array.from({ length: 8 }, (_, n) => fakeCrypto.publicKey(secretOf(n)));

function checkSums({ members, channels, holders, ready, attempt }: State): void {
  const all = [...members.values()];
  expect(ready).toBe(all.filter(({ status }) => status === 'ready').length);
  expect([...channels]).toEqual(
    all.flatMap(({ channel, slot }) => (channel === undefined ? [] : [[channel, slot]])).sort(([a], [b]) => a! - b!),
  );
  for (const { key, slot } of all) expect(holdersOf(holders, key)).toContain(slot);
  if (attempt === undefined) return;
  const shares = [...attempt.shares.values()].map((share) => ({ ...share, member: members.get(share.slot)! }));
  const delivered = shares.filter(({ codes }) => codes !== undefined);
  expect(attempt).toMatchObject({
    delivered: delivered.length,
    missing: shares.filter(({ codes, member }) => codes === undefined && member.channel !== undefined).length,
    able: shares.filter(({ member }) => member.status === 'ready').length,
    given: delivered.reduce((sum, { codes }) => sum + codes!.length, 0),
    wanted: shares.reduce((sum, { count }) => sum + count, 0),
  });
}

test('whatever happens, counts, channels and keys follow the members, and the sums of a round its shares', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.array(action, { maxLength: 80 }), (minPeers, actions) => {
      const b = sequencer({ ...MANIFEST, records_per_round: 12, max_steps: 6 }, { minPeers });
      b.applied();
      let channel = 100;
      /** The newest channel of each peer. */
      const channels = new Map<number, number>();
      for (const act of actions) {
        if (act.does === 'apply') b.applied();
        else if (act.does === 'wait') {
          b.now += act.ms;
          b.send({ type: 'tick' });
        } else if (act.does === 'join' || act.does === 'connect') {
          channels.set(act.who, channel++);
          b.send({ type: 'proved', channel: channels.get(act.who)!, key: keys[act.who]!, name: '' });
          checkSums(b.state);
          if (act.does === 'join') b.ready(channels.get(act.who)!);
        } else {
          const at = channels.get(act.who);
          if (at === undefined) continue;
          const slot = b.state.channels.get(at);
          const share = slot === undefined ? undefined : b.state.attempt?.shares.get(slot);
          const codes = new Int8Array(act.does === 'deliver' ? act.count : 0).fill(5);
          const { round } = b.state.ledger;
          if (act.does === 'leave') b.send({ type: 'left', channel: at });
          else if (act.does === 'offend') b.send({ type: 'violated', channel: at, code: 'FRAME_INVALID', detail: '' });
          else
            b.send({ type: 'contribution', channel: at, round, from: share?.from ?? 0, codes, signature: SIGNATURE });
        }
        checkSums(b.state);
      }
    }),
    { numRuns: 300 },
  );
});

test('a state that others were made from is as it was', () => {
  const b = sequencer({ ...MANIFEST, records_per_round: 4 }, { minPeers: 2 });
  b.applied();
  b.join(0, 1);
  const { state } = b;
  const shown = JSON.stringify([...state.members]);
  const shares = [...state.attempt!.shares];
  b.send({ type: 'left', channel: 0 }, { type: 'violated', channel: 1, code: 'FRAME_INVALID', detail: '' });
  b.ready(1);
  expect(JSON.stringify([...state.members])).toBe(shown);
  expect([...state.attempt!.shares]).toEqual(shares);
  expect(state.ready).toBe(2);
  expect(b.state.ready).toBe(0);
});

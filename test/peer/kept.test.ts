/** What a host kept of the round that was open when it died, and what its successor makes of it. */
import { expect, test } from 'vitest';
import type { Entry } from '../../src/nouns.ts';
import { startHost } from '../../src/peer/host.ts';
import { ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import { memoryStore } from '../../src/peer/memory-store.ts';
import { encodeKept } from '../../src/peer/pending.ts';
import { memoryNetwork } from '../../src/peer/transport-memory.ts';
import { contributionMessage } from '../../src/wire/signed.ts';
import {
  begunJournal,
  entropyOf,
  fakeClock,
  fakeCrypto,
  fakeReplica,
  HOST_SECRET,
  MANIFEST,
  secretOf,
  seeded,
} from './fake.ts';
import { moreRounds } from './long-run.ts';

/** A journal of three rounds whose peers have given to the next, and the host that finds it. */
async function died() {
  const journal = await begunJournal();
  await journal.appendAll(moreRounds(ledgerOf([{ type: 'manifest', manifest: MANIFEST }]), 3));
  const pending = memoryStore();
  const { run, anchor } = journal.position;
  const secrets = new Map([0, 1, 2].map((n) => [fakeCrypto.publicKey(secretOf(n + 100)).join(), secretOf(n + 100)]));
  const present = [...ledgerOf(journal.records.map(({ entry }) => entry)).admitted.values()];
  const kept = present.map(({ slot, key }) => {
    const codes = Int8Array.of(slot + 1);
    const secret = secrets.get(key.join())!;
    const signature = fakeCrypto.sign(secret, contributionMessage(run!, 3, anchor, slot, codes));
    return { slot, round: 3, from: slot, codes, signature };
  });
  const clock = fakeClock();
  async function next(entries: readonly Entry[] = []) {
    await journal.appendAll(entries);
    for (const one of kept) await pending.append(encodeKept(one));
    const host = await startHost({
      ...{ journal, pending, clock, crypto: fakeCrypto, secret: HOST_SECRET, joinCode: 'code' },
      transport: memoryNetwork((deliver) => clock.after(1, deliver))(),
      replica: fakeReplica(clock),
      entropy: entropyOf(seeded(1)),
      ...{ minPeers: 1, evalSteps: 100 },
    });
    await clock.advance(100);
    host.abort();
    return roundsOf(journal.records.map(({ entry }) => entry));
  }
  return { kept, next };
}

test('what was receipted is committed', async () => {
  const { kept, next } = await died();
  expect(kept.length).toBeGreaterThan(1);
  const rounds = await next();
  expect(rounds).toHaveLength(4);
  expect(rounds[3]!.segments).toEqual(kept.map(({ slot, from, codes }) => ({ slot, from, codes })));
});

test('a damaged one is refused by name where others stand behind it: it was whole', async () => {
  const { kept, next } = await died();
  kept[0]!.codes[0]! ^= 1;
  await expect(next()).rejects.toMatchObject({
    code: 'JOURNAL_CORRUPT',
    detail: expect.stringMatching(/contribution 0 /),
  });
});

test('of a round that was rewound since nothing is taken, and nothing is said to be damaged', async () => {
  const { next } = await died();
  // Two rounds back, one forth: the open round has the number that it had, and is another.
  const again = await died();
  const rounds = await again.next([{ type: 'rewind', round: 1 }]);
  expect(rounds).toHaveLength(1);
  expect(await next()).toHaveLength(4);
});

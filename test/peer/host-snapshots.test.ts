import { expect, test } from 'vitest';
import { hostSnapshots, type SavedSnapshot } from '../../src/peer/host-snapshots.ts';
import { begunJournal, fakeClock, fakeCrypto, fakeReplica, MANIFEST } from './fake.ts';

test('sums of a pool go with a snapshot, and the next is due by what a joiner then downloads', async () => {
  const journal = await begunJournal({ ...MANIFEST, directions: { pool: 4 } });
  let now = 0;
  const clock = { ...fakeClock(), now: () => now };
  let sums: Uint8Array | undefined;
  const replica = { ...fakeReplica(clock), sums: async () => sums };
  const saved: SavedSnapshot[] = [];
  const save = async (one: SavedSnapshot): Promise<void> => void saved.push(one);
  const snapshots = hostSnapshots({ journal, replica, crypto: fakeCrypto, clock, save, snapshotBytes: 4_000_000 });
  /** A round takes 5 ms; 4 MB take 800. */
  const due = async (): Promise<number | undefined> =>
    (await snapshots.moving(1, [], async () => (now += 5))).snapshotRounds;
  expect(await due()).toBe(160);
  sums = new Uint8Array(1_000_000);
  await snapshots.take();
  expect(await due()).toBe(40);
  sums = undefined; // something was taken back just now
  await snapshots.take();
  expect(await due()).toBe(160);
  expect(saved.map((one) => one.sums?.length)).toEqual([1_000_000, undefined]);
});

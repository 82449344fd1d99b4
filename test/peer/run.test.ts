import { describe, expect, test } from 'vitest';
import { fakeReplica, MANIFEST } from './fake.ts';
import { settledFlag, swarm } from './swarm.ts';

describe('a run', () => {
  test('three peers measure it, and end with the root in the journal', async () => {
    const s = await swarm(MANIFEST, { minPeers: 3 });
    const peers = [0, 1, 2].map((n) => s.join(n));
    expect(await s.clock.until(settledFlag(Promise.all([s.host.finished, ...peers.map((p) => p.finished)])), 1e6)).toBe(
      true,
    );
    const outcome = await s.host.finished;
    expect(outcome.reason).toBe('done');
    expect(outcome.round).toBe(MANIFEST.max_steps);
    for (const peer of peers) expect((await peer.finished).root).toBe(outcome.root);
  });

  test('its events say what a round spends on measuring, applying and the disk', async () => {
    const [MS_PER_RECORD, APPLY_MS, DISK_MS] = [3, 50, 20];
    const s = await swarm(MANIFEST, { minPeers: 1 }, { disk: DISK_MS });
    const peer = s.join(0, {
      async makeReplica() {
        const replica = fakeReplica(s.clock, MS_PER_RECORD);
        return {
          ...replica,
          async apply(rounds) {
            await new Promise<void>((resolve) => s.clock.after(APPLY_MS, resolve));
            await replica.apply(rounds);
          },
        };
      },
    });
    expect(await s.clock.until(settledFlag(Promise.all([s.host.finished, peer.finished])), 1e6)).toBe(true);

    const rounds = s.hostEvents.filter((event) => event.event === 'round');
    expect(rounds).toHaveLength(MANIFEST.max_steps);
    for (const { ms, disk_ms } of rounds) {
      // One contribution and one commit, each synced once.
      expect(disk_ms).toBeGreaterThan(0);
      expect(disk_ms).toBeLessThanOrEqual(2 * DISK_MS);
      expect(ms).toBeGreaterThan(disk_ms + MANIFEST.records_per_round * (MS_PER_RECORD - 0.5));
    }
    const applied = peer.events.filter((event) => event.event === 'applied');
    // The last round comes with the end of the run.
    expect(applied.slice(0, 9).map(({ round }) => round)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (const { ms } of applied) expect(Math.round(ms)).toBe(APPLY_MS);
  });
});

import { describe, expect, test } from 'vitest';
import { MANIFEST } from './fake.ts';
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
});

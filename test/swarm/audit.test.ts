import { describe, expect, test } from 'vitest';
import { rawPeer } from './raw-peer.ts';
import { expectOneDigest, journalEntries, linkOf, place, RUNNABLE } from './run.ts';

describe.skipIf(!RUNNABLE)('an audited run (npm run build makes the processes)', () => {
  test('a peer that sends what it did not measure is found, evicted with the reason, and the run ends as if it were not there', {
    timeout: 300_000,
  }, async () => {
    const at = place();
    const host = at.host({ peers: 0, min_peers: 4, audit: 0.5, per_device_train_batch_size: 4, max_steps: 120 });
    const link = await linkOf(host);
    const peers = ['one', 'two', 'three'].map((name) => at.join(link, name));
    /** Delivers codes that it made up until the host has enough of it. */
    async function lie(): Promise<string> {
      const liar = await rawPeer(link, 9);
      await liar.enterAs(peers[0]!);
      for (;;) {
        const message = await liar.next(['open', 'refused', 'done']);
        if (message.type === 'done') return 'done';
        if (message.type === 'refused' && message.code !== 'CONTRIBUTION_STALE') return message.code;
        if (message.type === 'open') liar.send(liar.contribution(message, new Array<number>(message.count).fill(100)));
      }
    }
    expect([await lie(), await lie(), await lie()]).toEqual(['AUDIT_FAILED', 'AUDIT_FAILED', 'AUDIT_FAILED']);
    await expect(rawPeer(link, 9)).rejects.toThrow(/EVICTED/);
    await expectOneDigest(at, host, peers);

    const entries = journalEntries(at.out);
    const evicted = entries.flatMap((entry) => (entry.type === 'evict' ? [entry] : []));
    const liar = entries.find((entry) => entry.type === 'admit' && entry.name === 'raw-9');
    expect(evicted).toMatchObject([
      { slot: liar?.type === 'admit' && liar.slot, reason: expect.stringMatching(/^AUDIT_FAILED: rounds /) },
    ]);
    // Of one kind one line a second: it says how many there were.
    const told = (code: string): number =>
      host.lines
        .filter((line) => line.event === 'refused' && line['code'] === code)
        .reduce((sum, { times = 1 }) => sum + Number(times), 0);
    expect([told('AUDIT_FAILED'), told('EVICTED')]).toEqual([3, 1]);
    expect(entries.filter(({ type }) => type === 'audit').length).toBeGreaterThan(20);
  });
});

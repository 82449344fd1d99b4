import { describe, expect, test } from 'vitest';
import { encodePeerMessage } from '../../src/wire/messages.ts';
import { greetWith, rawPeer } from './raw-peer.ts';
import { atRound, expectOneDigest, journalOf, linkOf, place, RUNNABLE } from './run.ts';

const LONG = { timeout: 300_000 };

describe.skipIf(!RUNNABLE)('hostile peers and strangers (npm run build makes the processes)', () => {
  test('duplicates, contradictions, replays, garbage and forgeries harm nobody but their sender', LONG, async () => {
    const at = place();
    const host = at.host({ peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 120 });
    const link = await linkOf(host);
    const holder = await rawPeer(link, 1);
    let liar = await rawPeer(link, 2);
    const peers = [at.join(link, 'one'), at.join(link, 'two')];
    await holder.enterAs(peers[0]!);
    await liar.enterAs(peers[0]!);
    /** A round that is open until `holder` delivers: whatever the liar does is in time. */
    const meet = async (round: number) => {
      const [open, held] = await Promise.all([liar.deliverUntil(round), holder.deliverUntil(round)]);
      return { open: open!, release: () => holder.send(holder.contribution(held!)) };
    };
    const comeBack = async () => {
      const { slot } = liar;
      liar = await rawPeer(link, 2);
      expect(liar.slot, 'the same key is the same peer').toBe(slot);
      await liar.enterAs(peers[0]!);
    };
    const refusal = async () => (await liar.next('refused')).code;

    // The same bytes twice: acknowledged twice, committed once.
    const first = await meet(10);
    const sound = liar.contribution(first.open);
    liar.send(sound);
    liar.send(sound);
    await liar.next('receipt', ({ round }) => round === first.open.round);
    await liar.next('receipt', ({ round }) => round === first.open.round);
    first.release();

    // Those bytes again, a few rounds later: too late, and no offence.
    const second = await meet(15);
    liar.send(sound);
    expect(await refusal()).toBe('CONTRIBUTION_STALE');
    liar.send(liar.contribution(second.open));
    await liar.next('receipt', ({ round }) => round === second.open.round);
    second.release();

    // Another version of what it has sent: the first one stays.
    const third = await meet(20);
    const version = (code: number) => liar.contribution(third.open, new Array<number>(third.open.count).fill(code));
    liar.send(version(5));
    await liar.next('receipt', ({ round }) => round === third.open.round);
    liar.send(version(6));
    expect(await refusal()).toBe('CONTRIBUTION_DUPLICATE');
    third.release();
    const beyond = holder.deliverUntil(60);
    await comeBack();

    // Random bytes, then a signature that is not its own: with the third offence the key is evicted.
    await liar.deliverUntil(50);
    liar.sendFrame(Uint8Array.from({ length: 40 }, (_, i) => (i * 151 + 89) % 256));
    expect(await refusal()).toBe('FRAME_INVALID');
    await comeBack();
    const [fourth, held] = [(await liar.deliverUntil(60))!, (await beyond)!];
    liar.send({ ...liar.contribution(fourth), signature: new Uint8Array(64).fill(9) });
    expect(await refusal()).toBe('SIGNATURE_WRONG');
    await expect(rawPeer(link, 2)).rejects.toThrow(/EVICTED/);

    holder.send(holder.contribution(held));
    await Promise.all([holder.deliverUntil(Number.POSITIVE_INFINITY), expectOneDigest(at, host, peers)]);
    const { rounds, ledger } = journalOf(at.out);
    const of = (round: number) => rounds[round]!.segments.filter(({ slot }) => slot === liar.slot);
    expect(of(first.open.round)).toEqual([{ slot: liar.slot, from: first.open.from, codes: sound.codes }]);
    expect(of(third.open.round)).toEqual([{ slot: liar.slot, from: third.open.from, codes: version(5).codes }]);
    expect(of(fourth.round)).toEqual([]);
    expect(ledger.admitted.get(liar.slot)?.evicted).toBe(true);
    expect(ledger.admitted.size).toBe(4);
    const told = host.lines.filter(({ event }) => event === 'refused').map(({ code }) => code);
    expect(told).toEqual([
      ...['CONTRIBUTION_STALE', 'CONTRIBUTION_DUPLICATE', 'FRAME_INVALID', 'SIGNATURE_WRONG', 'EVICTED'],
    ]);
  });

  test(
    'a wrong join code, a stranger’s garbage, wrong weights and a silent peer leave a run as it was',
    LONG,
    async () => {
      const at = place();
      const host = at.host({ peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 150 });
      const link = await linkOf(host);

      const wrong = await at.join(`${link.slice(0, -1)}${link.endsWith('A') ? 'B' : 'A'}`, 'guesser').exit();
      expect(wrong).toMatchObject({ code: 1, done: { event: 'done', error: { code: 'CODE_WRONG' } } });
      expect(wrong.stderr).toMatch(/^murmur: CODE_WRONG: [^\n]*\n$/);

      for (const frame of [
        new Uint8Array(0),
        Uint8Array.of(255, 1, 2, 3),
        encodePeerMessage({ type: 'prove', signature: new Uint8Array(64) }),
      ])
        expect(await greetWith(link, frame)).toMatch(/FRAME_INVALID|MESSAGE_UNEXPECTED/);

      const other = await rawPeer(link, 1);
      other.send({ type: 'ready', round: 0, checksum: new Uint8Array(8) });
      expect((await other.next('refused')).code).toBe('DRIFT');

      const silent = await rawPeer(link, 2);
      const peer = at.join(link, 'one');
      await host.waitFor(atRound('round', 1)); // `peer` has shown how fast it is: deadlines are short from here on
      await silent.enterAs(peer);
      await silent.next('open'); // and never a word again: its round closes without it
      await expectOneDigest(at, host, [peer]);
      const { ledger, rounds } = journalOf(at.out);
      expect([...ledger.admitted.values()].map(({ name }) => name)).toEqual(['raw-1', 'raw-2', 'one']);
      expect(rounds.flatMap(({ segments }) => segments.map(({ slot }) => slot))).toEqual(new Array(150).fill(2));
      expect(host.lines.find((line) => line.event === 'peer' && line['state'] === 'late')).toMatchObject({
        name: 'raw-2',
      });
    },
  );
});

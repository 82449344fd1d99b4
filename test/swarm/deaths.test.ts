import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, describe, expect, test } from 'vitest';
import { JOURNAL_FILE, PENDING_FILE } from '../../src/peer/node/run-folder.ts';
import { readKept } from '../../src/peer/pending.ts';
import type { Kept } from '../../src/peer/state.ts';
import { eventually, isAlive } from './processes.ts';
import { rawPeer } from './raw-peer.ts';
import { again, atRound, expectOneDigest, journalOf, linkOf, place, RUNNABLE, type Settings, slotsOf } from './run.ts';

const LONG = { timeout: 300_000 };

describe.skipIf(!RUNNABLE)('deaths of processes (npm run build makes them)', () => {
  test('kill -9 of a peer in the middle of a round; with its key it comes back as the same peer', LONG, async () => {
    const at = place();
    // Rounds enough that the run is not over before a process has started anew.
    const host = at.host({ peers: 0, min_peers: 3, per_device_train_batch_size: 2, max_steps: 300 });
    const link = await linkOf(host);
    const raw = await rawPeer(link, 1);
    const [witness, victim] = [at.join(link, 'witness'), at.join(link, 'victim')];
    await raw.enterAs(witness);
    const slot = Number((await victim.waitFor(({ event }) => event === 'connected'))['slot']);

    // The hand-driven peer holds round 3 open until the victim has delivered to it and is frozen: so round 4 opens with
    // the victim alive, at work and silent.
    const third = (await raw.deliverUntil(3))!;
    await eventually('it has delivered', () => keptIn(at.out).some((kept) => kept.slot === slot && kept.round === 3));
    victim.kill('SIGSTOP');
    raw.send(raw.contribution(third));
    const fourth = (await raw.deliverUntil(4))!;
    victim.kill('SIGKILL');
    expect((await victim.exit()).signal).toBe('SIGKILL');
    raw.send(raw.contribution(fourth));
    const over = raw.deliverUntil(Number.POSITIVE_INFINITY);
    await host.waitFor(atRound('round', 5));

    const back = at.join(link, 'victim');
    expect((await back.waitFor(({ event }) => event === 'connected'))['slot']).toBe(slot);
    await expectOneDigest(at, host, [witness, back]);
    await over;
    const { rounds, ledger } = journalOf(at.out);
    expect(rounds.slice(0, 5).map((round) => slotsOf(round).includes(slot))).toEqual([true, true, true, true, false]);
    expect(slotsOf(rounds.at(-1)!), 'it works again').toContain(slot);
    expect(ledger.admitted.size).toBe(3);
  });

  test('kill -9 of the host in the middle of a round: what it had acknowledged is in the journal', LONG, async () => {
    const at = place();
    const settings: Settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 40 };
    let host = at.host(settings);
    const link = await linkOf(host);
    const [prompt, silent] = [await rawPeer(link, 1), await rawPeer(link, 2)];
    const peers = [at.join(link, 'one'), at.join(link, 'two')];
    await prompt.enterAs(peers[0]!);
    await silent.enterAs(peers[0]!);

    // Both deliver up to round 10; what one of them still owes keeps that round open.
    const [open, owed] = await Promise.all([prompt.deliverUntil(10), silent.deliverUntil(10)]);
    assert(open !== undefined && open.round === owed?.round);
    const mine = prompt.contribution(open, new Array<number>(open.count).fill(-77));
    prompt.send(mine);
    await prompt.next('receipt', ({ round }) => round === open.round);
    host.kill('SIGKILL');
    await host.exit();
    const before = journalOf(at.out);
    expect(before.rounds.length, 'the round was open').toBe(open.round);
    const kept = keptIn(at.out).filter(({ round }) => round === open.round);
    const { type: _, ...signed } = mine;
    expect(kept).toContainEqual({ slot: prompt.slot, ...signed });

    host = at.host({ ...settings, ...again(link) });
    await expectOneDigest(at, host, peers);
    const { segments } = journalOf(at.out).rounds[open.round]!;
    expect(segments.map(({ slot, from, codes }) => ({ slot, from, codes }))).toEqual(
      kept.sort((a, b) => a.from - b.from).map(({ slot, from, codes }) => ({ slot, from, codes })),
    );
    for (const { lines } of peers)
      expect(
        lines.filter(({ event }) => event === 'disconnected'),
        'both noticed',
      ).not.toEqual([]);
  });

  test('a torn tail of the journal is cut when the host starts again', LONG, async () => {
    const at = place();
    const settings: Settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 40 };
    let host = at.host(settings);
    const link = await linkOf(host);
    const peers = [at.join(link, 'one'), at.join(link, 'two')];
    await host.waitFor(atRound('round', 5));
    host.kill('SIGKILL');
    await host.exit();

    const { bytes, offsets, rounds } = journalOf(at.out);
    const last = bytes.subarray(offsets.at(-1));
    appendFileSync(join(at.out, JOURNAL_FILE), last.subarray(0, Math.floor(last.length / 2)));
    expect(journalOf(at.out).torn).toBe(true);
    const refused = await at.run('verify', at.out).exit();
    expect(refused.stderr).toMatch(
      new RegExp(`^murmur: JOURNAL_TORN: record ${offsets.length} at byte ${bytes.length} [^\\n]*\\n$`),
    );

    host = at.host({ ...settings, ...again(link) });
    await expectOneDigest(at, host, peers);
    const after = journalOf(at.out);
    expect(after.bytes.subarray(0, bytes.length)).toEqual(bytes);
    expect(after.rounds.slice(0, rounds.length)).toEqual(rounds);
  });

  test('late joiners, with nothing but the link: before there is a checkpoint, and after it', LONG, async () => {
    const at = place();
    const settings = { peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 80, save_steps: 40 };
    const host = at.host(settings);
    const link = await linkOf(host);
    const peers = [at.join(link, 'first')];
    const arrive = async (name: string, round: number): Promise<void> => {
      await peers[0]!.waitFor(atRound('round', round));
      for (const peer of peers) peer.kill('SIGSTOP'); // the run waits for them, or for somebody else
      const late = at.join(link, name, { files: false });
      expect(Number((await late.waitFor(({ event }) => event === 'ready'))['round'])).toBeGreaterThanOrEqual(round);
      for (const peer of peers) peer.kill('SIGCONT');
      peers.push(late);
    };
    await arrive('second', 20);
    await arrive('third', 45);
    await expectOneDigest(at, host, peers);
    const { rounds } = journalOf(at.out);
    const slots = new Set(rounds.flatMap(slotsOf));
    expect(slots, 'all of them contributed').toEqual(new Set([0, 1, 2]));
    expect(existsSync(join(at.folder, 'third-cache', 'murmur', 'blobs')), 'the base came from the host').toBe(true);
  });

  test('local peers end when their host is killed', LONG, async () => {
    const at = place();
    const host = at.host({ peers: 2, per_device_train_batch_size: 2, max_steps: 100_000 });
    await host.waitFor(atRound('round', 3));
    const pids = host.lines.filter(({ event }) => event === 'started').map(({ pid }) => Number(pid));
    expect(pids.map(isAlive)).toEqual([true, true]);
    host.kill('SIGKILL');
    await host.exit();
    await eventually('the peers end', () => !pids.some(isAlive));
  });
});

const keptIn = (out: string): Kept[] => readKept(new Uint8Array(readFileSync(join(out, PENDING_FILE))));

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { JOURNAL_FILE } from '../../src/peer/node/run-folder.ts';
import { isAlive, type Running } from './processes.ts';
import { rawPeer } from './raw-peer.ts';
import { again, atRound, expectOneDigest, journalOf, linkOf, place, RUNNABLE, resultOf } from './run.ts';

const LONG = { timeout: 300_000 };

/** Ends with this fault, said in one line. */
async function expectRefusal(running: Running, code: string, words: RegExp, exitCode = 1): Promise<void> {
  const exit = await running.exit();
  expect(exit.stderr).toMatch(/^murmur: [^\n]*\n$/);
  expect(exit.stderr).toMatch(words);
  expect(exit).toMatchObject({ code: exitCode, done: { error: { code } } });
}

describe.skipIf(!RUNNABLE)('the folder of a run (npm run build makes the processes)', () => {
  test('replay prints the same digest; verify names the record in which one byte is flipped', LONG, async () => {
    const at = place();
    const host = at.host({ peers: 2, per_device_train_batch_size: 4, max_steps: 6 });
    const digest = await expectOneDigest(at, host, []);
    const rebuilt = join(at.folder, 'again');
    expect(await resultOf(at.run('replay', at.out, '--output_dir', rebuilt))).toMatchObject({ digest, rounds: 6 });
    expect(
      ['config.json', 'model.safetensors', 'tokenizer.json'].filter((name) => !existsSync(join(rebuilt, name))),
    ).toEqual([]);

    const path = join(at.out, JOURNAL_FILE);
    const { bytes, offsets } = journalOf(at.out);
    const sizeOf = (index: number): number => (offsets[index + 1] ?? bytes.length) - offsets[index]!;
    const last = offsets.length - 1;
    // Its length, its type, its middle, its signature.
    const places = [0, 8, 100, -1].map((within, i) => ({ index: [1, 3, 0, last][i]!, within }));
    for (const { index, within } of places) {
      const flipped = bytes.slice();
      flipped[offsets[index]! + (within < 0 ? sizeOf(index) + within : within)]! ^= 1;
      writeFileSync(path, flipped);
      const { code, stderr } = await at.run('verify', at.out).exit();
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^murmur: JOURNAL_[A-Z]+: record ${index} at byte ${offsets[index]} [^\\n]*\\n$`),
      );
    }
    writeFileSync(path, bytes);
    expect(await resultOf(at.run('verify', at.out))).toMatchObject({ digest });
  });

  test('Ctrl+C once: the round is finished and saved, the peers end, the same command goes on', LONG, async () => {
    const at = place();
    const settings = { peers: 2, per_device_train_batch_size: 4, max_steps: 60 };
    const first = at.host(settings);
    await first.waitFor(atRound('round', 5));
    first.kill('SIGINT');
    await expectRefusal(first, 'INTERRUPTED', /stopped after round \d+ of 60.*repeat the command/, 130);
    const pids = first.lines.filter(({ event }) => event === 'started').map(({ pid }) => Number(pid));
    expect(pids.map(isAlive)).toEqual([false, false]);
    const { rounds, ledger } = journalOf(at.out);
    expect(rounds.length).toBeGreaterThanOrEqual(5);
    expect(ledger.digests.has(rounds.length), 'its weights are saved').toBe(true);

    const second = at.host(settings);
    expect(await second.waitFor(({ event }) => event === 'listening')).toMatchObject({ round: rounds.length });
    const digest = await expectOneDigest(at, second, []);
    const after = journalOf(at.out);
    expect(after.rounds.slice(0, rounds.length)).toEqual(rounds);
    expect(after.ledger.admitted.size, 'the same peers').toBe(2);
    const metrics = readFileSync(join(at.out, 'metrics.jsonl'), 'utf8').trim().split('\n');
    const lines = metrics.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.filter((line) => 'eval/loss' in line)).toEqual(
      [...after.ledger.evaluated].map(([round, values]) => expect.objectContaining({ step: round, round, ...values })),
    );
    expect(lines.filter((line) => 'train/records' in line).map(({ round }) => round)).toEqual(
      Array.from({ length: 60 }, (_, i) => i + 1),
    );
    expect(readFileSync(join(at.out, 'curve.svg'), 'utf8')).toContain('eval/loss');
    expect(await resultOf(at.host(settings)), 'what is done stays done').toMatchObject({ digest, rounds: 60 });
  });

  test('Ctrl+C twice: the host leaves at once, in the middle of a round', LONG, async () => {
    const at = place();
    const settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 60 };
    let host = at.host(settings);
    const link = await linkOf(host);
    const raw = await rawPeer(link, 1);
    const peers = [at.join(link, 'one'), at.join(link, 'two')];
    await raw.enterAs(peers[0]!);
    const held = await raw.deliverUntil(10);
    host.kill('SIGINT');
    await host.waitFor(({ event, message }) => event === 'note' && String(message).includes('again'));
    host.kill('SIGINT');
    await expectRefusal(host, 'INTERRUPTED', /repeat the command/, 130);
    const { rounds, ledger } = journalOf(at.out);
    expect(rounds.length, 'the round was not finished').toBe(held!.round);
    expect(ledger.digests.size).toBe(0);

    host = at.host({ ...settings, ...again(link) });
    await expectOneDigest(at, host, peers);
  });

  test('Ctrl+C of a peer: it leaves, and the run goes on without it', LONG, async () => {
    const at = place();
    const host = at.host({ peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 40 });
    const link = await linkOf(host);
    const [one, two] = [at.join(link, 'one'), at.join(link, 'two')];
    await two.waitFor(atRound('measured', 3));
    two.kill('SIGINT');
    expect(await resultOf(two)).toMatchObject({ reason: 'stopped', slot: expect.any(Number) });
    await expectOneDigest(at, host, [one]);
  });

  test('a second host on the folder is refused, and the first goes on', LONG, async () => {
    const at = place();
    const settings = { peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 10 };
    const host = at.host(settings);
    const link = await linkOf(host);
    await expectRefusal(
      at.host(settings),
      'JOURNAL_LOCKED',
      new RegExp(`process ${host.pid} is writing .*${JOURNAL_FILE}`),
    );
    await expectRefusal(at.host({ ...settings, seed: 7 }), 'OUTPUT_EXISTS', /another seed/);
    await expectOneDigest(at, host, [at.join(link, 'one')]);
  });

  test('a folder that cannot be, and a disk that fills up: one line, and what is there stays sound', LONG, async () => {
    const at = place();
    const file = join(at.folder, 'file');
    writeFileSync(file, '');
    const settings = { peers: 0, min_peers: 1, per_device_train_batch_size: 4, max_steps: 150 };
    await expectRefusal(
      at.host({ ...settings, output_dir: join(file, 'out') }),
      'FILE_REFUSED',
      /file\/out.* is no path/,
    );

    // Files may not grow beyond 8 blocks of 512 or 1024 bytes: enough to begin, not to end.
    const full = at.host(settings, { under: "trap '' XFSZ; ulimit -f 8" });
    const link = await linkOf(full);
    const peer = at.join(link, 'one');
    await expectRefusal(full, 'FILE_REFUSED', /journal\.murmur may not grow/);
    const { rounds, torn } = journalOf(at.out);
    expect([rounds.length > 0, rounds.length < 150, torn]).toEqual([true, true, false]);
    const begun = readFileSync(join(at.out, JOURNAL_FILE));

    await expectOneDigest(at, at.host({ ...settings, ...again(link) }), [peer]);
    expect(Buffer.compare(readFileSync(join(at.out, JOURNAL_FILE)).subarray(0, begun.length), begun)).toBe(0);
  });
});

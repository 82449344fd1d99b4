/** Joining a run that has gone on for long: a snapshot in chunks, from the host and from peers that share, and the tail. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ledgerOf } from '../../src/peer/ledger.ts';
import { type Line, murmur, type Running } from './processes.ts';
import {
  atRound,
  checksumsOf,
  journalEntries,
  journalOf,
  linkOf,
  type Place,
  place,
  RUNNABLE,
  resultOf,
  type Settings,
} from './run.ts';

const LONG = { timeout: 300_000 };
const ENDLESS = 1_000_000;

/** A run without an end, and nobody in it yet. */
async function begun(settings: Settings): Promise<{ at: Place; host: Running; link: string }> {
  const at = place();
  const host = at.host({ peers: 0, min_peers: 1, max_steps: ENDLESS, ...settings });
  return { at, host, link: await linkOf(host) };
}

function joins({ out, folder }: Place, link: string, name: string, ...flags: string[]): Running {
  const key = ['--key', join(folder, `${name}.key`), '--files', join(out, 'files.json')];
  const env = { XDG_CACHE_HOME: join(folder, `${name}-cache`) };
  return murmur(['join', link, '--name', name, '--threads', '1', ...key, ...flags, '--json'], { env });
}

/** Source → bytes of chunks that came from it. */
function bytesBySource({ lines }: Pick<Running, 'lines'>): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const line of lines)
    if (line.event === 'chunk')
      bytes.set(String(line['source']), (bytes.get(String(line['source'])) ?? 0) + Number(line['bytes']));
  return bytes;
}

/** Rounds after which both told a checksum; it is the same. */
function expectAlike(a: Running, b: Running, least: number): void {
  const [one, other] = [checksumsOf(a), checksumsOf(b)];
  const common = [...one.keys()].filter((round) => other.has(round));
  expect(common.length).toBeGreaterThanOrEqual(least);
  for (const round of common) expect(one.get(round), `round ${round}`).toBe(other.get(round));
}

/** A snapshot after `round` that the host knows of. */
const sharesAfter =
  (round: number) =>
  (line: Line): boolean =>
    line.event === 'shared' && line['known'] === true && Number(line['round']) > round;

const checkpointIn = (out: string): string => readdirSync(out).find((name) => name.startsWith('checkpoint-'))!;

const lastShared = ({ lines }: Running): number =>
  Math.max(0, ...lines.filter(({ event }) => event === 'shared').map((line) => Number(line['round'])));

describe.skipIf(!RUNNABLE)('catching up (npm run build makes the processes)', () => {
  test(
    'one host, two peers that share, one that joins late: chunks from all, checked, and the same weights',
    LONG,
    async () => {
      const { at, host, link } = await begun({ min_peers: 2, save_steps: 200, per_device_train_batch_size: 4 });
      const sharing = ['one', 'two'].map((name) => joins(at, link, name, '--share', '127.0.0.1:0'));
      const mirrors = await Promise.all(sharing.map((peer) => peer.waitFor(({ event }) => event === 'sharing')));

      const names = mirrors.map(({ port }) => `127.0.0.1:${String(port)}`);
      const shared = (peer: Running): number =>
        names.reduce((sum, name) => sum + (bytesBySource(peer).get(name) ?? 0), 0);
      // Right after all have a snapshot; whoever is slower than the run is to the next one finds the host alone with that.
      let late: Running;
      for (let n = 1; ; n++) {
        const newest = Math.max(0, ...sharing.map(lastShared));
        await Promise.all(sharing.map((peer) => peer.waitFor(sharesAfter(newest))));
        late = joins(at, link, `late ${n}`);
        await late.waitFor(({ event }) => event === 'ready');
        if (shared(late) > 0) break;
        expect(n, 'joiners that found the host alone').toBeLessThan(9);
        late.kill('SIGKILL');
      }
      const { round } = await late.waitFor(({ event }) => event === 'ready');
      await late.waitFor(atRound('checksum', Number(round) + 5));
      await sharing[0]!.waitFor(atRound('checksum', Number(round) + 5));
      expectAlike(late, sharing[0]!, 5);
      const came = bytesBySource(late);
      expect([...came.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(1_000_000);
      expect(came.get('the host')).toBeGreaterThan(0);
      for (const source of came.keys()) expect(['the host', ...names]).toContain(source);
      // Nothing before the snapshot was replayed.
      const first = late.lines.find(({ event }) => event === 'catchup' || event === 'ready');
      expect(Number(first?.['round'])).toBeGreaterThanOrEqual(200);

      host.kill('SIGINT');
      await host.exit();
      for (const peer of [...sharing, late]) peer.kill('SIGKILL');
      expect(journalEntries(at.out).filter(({ type }) => type === 'standing').length).toBeGreaterThan(0);
      expect(await resultOf(at.run('verify', at.out))).toMatchObject({ journal: 'valid', weights: 'equal' });
    },
  );

  test('a pool of directions: who joins late fetches one sum for each and tensor, and no weights', LONG, async () => {
    const { at, host, link } = await begun({ save_steps: 60, per_device_train_batch_size: 4, direction_pool: 64 });
    const worker = joins(at, link, 'worker');
    await host.waitFor(({ event, round }) => event === 'digest' && Number(round) >= 60);
    const late = joins(at, link, 'late');
    const { round } = await late.waitFor(({ event }) => event === 'ready');
    await late.waitFor(atRound('checksum', Number(round) + 5));
    await worker.waitFor(atRound('checksum', Number(round) + 5));
    expectAlike(late, worker, 5);
    const { manifest } = ledgerOf(journalEntries(at.out));
    expect(manifest.directions).toEqual({ pool: 64 });
    const { size } = statSync(join(at.out, checkpointIn(at.out), 'weights.q32'));
    const came = bytesBySource(late).get('the host')!;
    expect(came).toBe(statSync(join(at.out, checkpointIn(at.out), 'sums')).size);
    expect(came).toBeLessThan(size / 20);
    expect(Number(late.lines.find(({ event }) => event === 'catchup' || event === 'ready')?.['round'])).toBeGreaterThan(
      59,
    );
    host.kill('SIGINT');
    await host.exit();
    for (const peer of [worker, late]) peer.kill('SIGKILL');
    expect(await resultOf(at.run('verify', at.out))).toMatchObject({ journal: 'valid', weights: 'equal' });
  });

  test(
    'killed while it fetched: it goes on with what is on disk, and what is damaged there is fetched again',
    LONG,
    async () => {
      const { at, host, link } = await begun({ save_steps: 30, per_device_train_batch_size: 2 });
      const worker = joins(at, link, 'worker');
      await host.waitFor(({ event, round }) => event === 'digest' && Number(round) >= 30);
      worker.kill('SIGSTOP'); // the snapshot stays the newest
      const cut = joins(at, link, 'cut');
      await cut.waitFor(({ event, source }) => event === 'chunk' && source === 'the host');
      cut.kill('SIGKILL');
      await cut.exit();
      const before = bytesBySource(cut);

      const [cache] = readdirSync(join(at.folder, 'cut-cache', 'murmur', 'snapshots'));
      const folder = join(at.folder, 'cut-cache', 'murmur', 'snapshots', cache!);
      const [damaged] = readdirSync(folder);
      const bytes = readFileSync(join(folder, damaged!));
      writeFileSync(join(folder, damaged!), bytes.subarray(0, bytes.length - 1));

      const back = joins(at, link, 'cut');
      const { round } = await back.waitFor(({ event }) => event === 'ready');
      worker.kill('SIGCONT');
      const came = bytesBySource(back);
      if (before.get('the host')! > bytes.length) expect(came.get('here')).toBeGreaterThan(0);
      expect(came.get('the host')).toBeGreaterThanOrEqual(bytes.length);
      await back.waitFor(atRound('checksum', Number(round) + 3));
      await worker.waitFor(atRound('checksum', Number(round) + 3));
      expectAlike(back, worker, 3);
      host.kill('SIGINT');
      await host.exit();
      for (const peer of [worker, back]) peer.kill('SIGKILL');
      expect(journalOf(at.out).torn).toBe(false);
    },
  );
});

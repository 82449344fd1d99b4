/**
 * `npm run bench:join`: what it takes to join a run of N rounds, from its base to ready for work: bytes that are fetched
 * from the host (the base itself is here) and seconds, by reading and replaying the whole journal, and by a snapshot with the
 * records behind it. The journal is written as a host writes it, with random codes on stories260k.
 *
 *     npm run bench:join -- --rounds 100,1000,10000 --per_round 16 --tail 50
 *
 * `tail`: rounds since the snapshot. `pool`: the longest once more as a run with so many directions, whose snapshot is sums.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { flagsOf, median, report } from './harness.mjs';
import { offerRun, writeRun } from './internals.mjs';
import { requireStories, SHAKESPEARE, STORIES } from './stories.mjs';

const given = flagsOf({ rounds: [100, 1000, 10_000], per_round: 16, tail: 50, pool: 256, repetitions: 3, threads: 1 });
const { rounds, per_round, tail, pool, repetitions, threads } = given;
requireStories('bench:join');

const home = mkdtempSync(join(tmpdir(), 'murmur-join-'));
try {
  const rows = [];
  const runs = rounds.map((count) => ({ count, directions: 'one a record', own: {} }));
  runs.push({ count: Math.max(...rounds), directions: `a pool of ${pool}`, own: { direction_pool: pool } });
  for (const { count, directions, own } of runs) {
    const folder = join(home, `${count} ${directions}`);
    const flags = {
      ...{ model: STORIES, data: SHAKESPEARE, per_device_train_batch_size: per_round, max_steps: count },
      ...{ direction_per: 'sample', learning_rate: 1e-4, lr_scheduler_type: 'constant', ...own },
    };
    const journal = await writeRun(folder, flags);
    const offered = await offerRun(folder, count - tail, threads);
    for (const [how, snapshot] of [
      ['the whole journal', false],
      ['snapshot and tail', true],
    ]) {
      const joins = [];
      for (let i = 0; i < repetitions; i++) joins.push(await offered.join(snapshot));
      const [{ bytes, applied }] = joins;
      const seconds = median(joins.map((one) => one.seconds));
      rows.push({
        rounds: count,
        directions,
        'journal, kB': journal / 1000,
        how,
        'kB fetched': bytes / 1000,
        applied,
        seconds,
      });
    }
    await offered.close();
  }
  report(given, {
    name: 'join',
    question:
      'What it takes to join a run of many rounds of stories260k: bytes fetched, and seconds until the weights are there.',
    tables: [
      {
        title: `${per_round} records a round, snapshot ${tail} rounds before the end, ${threads} thread, median of ${repetitions}`,
        rows,
        notes: ['Bytes are those of HTTP bodies. Every way ends with the same root, or the bench fails.'],
      },
    ],
  });
} finally {
  rmSync(home, { recursive: true });
}

/**
 * `npm run bench:replay`: how long it takes to rebuild a model from a long journal. The journal is written as a host
 * writes it, with random codes on stories260k; then the command that users have replays it in a process of its own,
 * reading, hashing, verifying and applying everything.
 *
 *     npm run bench:replay -- --records 1000000 --per_round 64,256 --repetitions 3
 *     npm run bench:replay -- --records 200000 --per_round 64 --repetitions 1 --direction rademacher --pool 0,1024
 *
 * `pool`: directions of the whole run (docs/papers/fedkseed.md); 0 is a direction for each record.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { murmur } from './command.mjs';
import { flagsOf, median, report, spread } from './harness.mjs';
import { writeDigest, writeRun } from './internals.mjs';
import { requireStories, SHAKESPEARE, STORIES } from './stories.mjs';

const given = flagsOf({
  ...{ records: 1_000_000, per_round: [64, 256], repetitions: 3, threads: 1 },
  ...{ direction: 'lowrank', pool: [0] },
});
const { records, per_round, repetitions, threads, direction, pool } = given;
requireStories('bench:replay');

const home = mkdtempSync(join(tmpdir(), 'murmur-replay-'));
try {
  const runs = [];
  for (const [size, directions] of per_round.flatMap((n) => pool.map((k) => [n, k]))) {
    const folder = join(home, `${size}-${directions}`);
    const rounds = Math.ceil(records / size);
    const flags = {
      ...{ model: STORIES, data: SHAKESPEARE, per_device_train_batch_size: size, max_steps: rounds },
      ...{ direction, direction_per: 'sample', ...(directions > 0 ? { direction_pool: directions } : {}) },
    };
    const bytes = await writeRun(folder, { ...flags, learning_rate: 1e-4, lr_scheduler_type: 'constant' });
    // Whoever replays the first time learns the digest; the replays that are timed check it.
    const { done } = await murmur('replay', [folder, '--threads', threads]);
    await writeDigest(folder, rounds, done.digest);
    runs.push({ size, directions, rounds, bytes, folder, times: [] });
  }
  for (let i = 0; i < repetitions; i++)
    for (const { folder, times } of runs) times.push(await murmur('replay', [folder, '--threads', threads]));

  report(given, {
    name: 'replay',
    question: `How long it takes to rebuild stories260k from a journal of ${direction === 'lowrank' ? 'low-rank' : direction} records: \`murmur replay\`.`,
    tables: [
      {
        title: `Whole commands with ${threads} thread, median of ${repetitions} (lowest to highest)`,
        rows: runs.map(({ size, directions, rounds, bytes, times }) => {
          const seconds = times.map((time) => time.seconds);
          return {
            'records a round': size,
            ...(pool.some((k) => k > 0) ? { directions: directions || rounds * size } : {}),
            ...{ rounds, records: rounds * size, 'journal, bytes a record': bytes / (rounds * size) },
            'wall, s': spread(seconds),
            'user, s': spread(times.map((time) => time.user)),
            'records/s': (rounds * size) / median(seconds),
          };
        }),
        notes: ['Every record is verified: chain, signature, header; the digest at the end is compared.'],
      },
    ],
  });
} finally {
  rmSync(home, { recursive: true });
}

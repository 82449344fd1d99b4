/**
 * `npm run bench:round`: where the time of a round goes in a swarm of processes on this machine: stories260k on tiny
 * Shakespeare, by what the peers' logs and the host's events say.
 *
 *     npm run bench:round -- --peers 1,2,4 --max_steps 60
 *
 * @module
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { murmur, wordsOf } from './command.mjs';
import { flagsOf, median, report, spread } from './harness.mjs';
import { requireStories, SHAKESPEARE, STORIES } from './stories.mjs';

const given = flagsOf({ peers: [1, 2, 4], max_steps: 60, batch: 16 });
const { peers, max_steps, batch } = given;
requireStories('bench:round');

/** Rounds before this one compile programs and fill caches. */
const SETTLED = 5;

/** ms of an event of every peer, by round. */
function peerTimes(folder, name) {
  const home = join(folder, 'peers');
  const logs = readdirSync(home).filter((file) => file.endsWith('.log'));
  const events = logs.flatMap((file) =>
    readFileSync(join(home, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ event, round }) => event === name && round > SETTLED),
  );
  const rounds = new Map();
  for (const event of events) rounds.set(event.round, [...(rounds.get(event.round) ?? []), event]);
  return [...rounds.values()];
}

const means = (rounds) => rounds.map((events) => events.reduce((sum, { ms }) => sum + ms, 0) / events.length);

async function swarm(count) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-round-'));
  try {
    const { events } = await murmur(
      'train',
      wordsOf({
        ...{ model: STORIES, data: SHAKESPEARE, peers: count, max_steps, output_dir: folder },
        ...{ per_device_train_batch_size: batch, eval_steps: max_steps, max_eval_samples: 16 },
      }),
    );
    const rounds = events.filter(({ event, round }) => event === 'round' && round > SETTLED);
    const between = rounds.slice(1).map(({ at }, i) => 1000 * (at - rounds[i].at));
    const disk = rounds.map(({ disk_ms }) => disk_ms);
    const [measuring, applying] = ['measured', 'applied'].map((name) => means(peerTimes(folder, name)));
    const known = median(measuring) + median(applying) + median(disk);
    return {
      peers: count,
      'records a round': count * batch,
      'round, ms': spread(between),
      'measuring, ms': spread(measuring),
      'applying, ms': spread(applying),
      'disk of the host, ms': spread(disk),
      'waiting and network, ms': median(between) - known,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const rows = [];
for (const count of peers) rows.push(await swarm(count));
report(given, {
  name: 'round',
  question: 'Where the time of a round goes, all peers and the host on one machine: `murmur train --peers N`.',
  tables: [
    {
      title: `stories260k on tiny Shakespeare, ${batch} low-rank records a peer, ${max_steps} rounds, median (lowest to highest) after the first ${SETTLED}`,
      rows,
      notes: [
        'Measuring and applying are means over the peers of a round. The rest is what the medians leave: waiting for slower peers and for a core, checksums, signatures, the way through the sockets.',
      ],
    },
  ],
});

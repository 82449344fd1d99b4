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

/**
 * Events of all peers, by round.
 * @param first earliest round that counts. A measurement carries the number of its round, from 0; whatever else happens
 * carries how many rounds there have been, from 1.
 */
function peerEvents(folder, name, first) {
  const home = join(folder, 'peers');
  const logs = readdirSync(home).filter((file) => file.endsWith('.log'));
  const events = logs.flatMap((file) =>
    readFileSync(join(home, file), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter(({ event, round }) => event === name && round >= first),
  );
  const rounds = new Map();
  for (const event of events) rounds.set(event.round, [...(rounds.get(event.round) ?? []), event]);
  return [...rounds.values()];
}

const mean = (events) => events.reduce((sum, { ms }) => sum + ms, 0) / events.length;
const slowest = (events) => Math.max(...events.map(({ ms }) => ms));

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
    const measured = peerEvents(folder, 'measured', SETTLED);
    const [applying, checking] = ['applied', 'checksum'].map((name) => peerEvents(folder, name, SETTLED + 1).map(mean));
    const measuring = measured.map(mean);
    const behind = measured.map((events) => slowest(events) - mean(events));
    const known = [measuring, behind, applying, disk].map(median).reduce((a, b) => a + b);
    return {
      peers: count,
      'records a round': count * batch,
      'round, ms': spread(between),
      'measuring, ms': spread(measuring),
      'the slowest peer, more ms': spread(behind),
      'applying, ms': spread(applying),
      'disk of the host, ms': spread(disk),
      'the rest, ms': median(between) - known,
      'checksum beside it, ms': spread(checking),
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
        'Measuring, applying and the checksum are means over the peers of a round; the others wait for the slowest. Applying is what it takes to owe a round to the weights: it is added to them while they are measured next, or in the checksum, which a peer makes when its records are on their way. The rest is what the medians leave: signatures, the way through the sockets, and waiting for a core, of which the host needs one too.',
      ],
    },
  ],
});

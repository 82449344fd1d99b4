/**
 * `npm run bench:quality`: seconds, forwards and bytes to a given held-out loss, stories260k on tiny Shakespeare: the
 * default kind, a rank-1 direction for every sample, against MeZO's one bell-shaped dense direction for a batch of 16, both
 * in Murmur's own engine, each at the best of its learning rates. `--batch`: samples of a round of the two arms.
 *
 * Runs are timed without evaluations, which are no part of training. The journal holds the weights of every round, so
 * they are judged afterwards: `murmur eval --rounds`.
 *
 *     npm run bench:quality -- --target 3.8 --seeds 1,2 --trials 1
 *
 * `--trials 0` takes the `--rates` of the two arms, without trying. `--max_steps` are the rounds of the two arms:
 * enough to get to the target.
 *
 * @module
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { murmur, wordsOf } from './command.mjs';
import { flagsOf, report, spread } from './harness.mjs';
import { requireStories, SHAKESPEARE, STORIES } from './stories.mjs';

const standard = {
  target: 3.8,
  seeds: [1, 2],
  trials: 1,
  samples: 256,
  points: 20,
  batch: [64, 16],
  rates: [1e-3, 2e-4],
  max_steps: [160, 1600],
};
const given = flagsOf(standard);
const { target, seeds, trials, samples, points, batch, rates, max_steps } = given;
requireStories('bench:quality');

const TRIAL_SEED = 0;

/** `known`: the rate to take without trying. */
const ARMS = [
  {
    ...{ arm: 'rank 1 per sample', rates: [5e-4, 1e-3, 2e-3], known: rates[0], max_steps: max_steps[0] },
    flags: { direction: 'lowrank', per_device_train_batch_size: batch[0] },
  },
  {
    ...{ arm: 'MeZO: dense binomial per batch', rates: [1e-4, 2e-4, 4e-4], known: rates[1], max_steps: max_steps[1] },
    flags: { direction: 'binomial', direction_per: 'batch', per_device_train_batch_size: batch[1] },
  },
];

/**
 * One run, timed, then judged at `points` of its rounds until the target is met.
 * @returns seconds and rounds to it, between the points by a straight line; undefined where it is not met; `loss`: the
 *   last that was looked at.
 */
async function run({ arm, flags, max_steps: steps }, learning_rate, seed) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-quality-'));
  try {
    const { events, done } = await murmur(
      'train',
      wordsOf({
        ...{ model: STORIES, data: SHAKESPEARE, output_dir: folder, max_steps: steps, learning_rate, seed, ...flags },
        ...{ lr_scheduler_type: 'constant' },
        ...{ eval_steps: steps, max_eval_samples: 1 },
      }),
    );
    const began = events.find(({ event, phase }) => event === 'phase' && phase === 'measuring').at;
    const secondsAt = new Map(
      events.flatMap(({ event, round, at }) => (event === 'round' ? [[round, at - began]] : [])),
    );
    secondsAt.set(0, 0);
    const each = steps / points;
    let before;
    for (let i = 0; i <= points; i++) {
      const round = Math.round(i * each);
      const words = [folder, ...wordsOf({ rounds: round, max_eval_samples: samples })];
      const loss = (await murmur('eval', words)).done['eval/loss'];
      const now = { round, seconds: secondsAt.get(round), loss };
      if (loss <= target) {
        const part = before ? (before.loss - target) / (before.loss - loss) : 0;
        const between = (key) => (before ? before[key] + part * (now[key] - before[key]) : now[key]);
        const rounds = between('round');
        const found = { arm, learning_rate, seed, loss, rounds, seconds: between('seconds') };
        return {
          ...found,
          bytes: (rounds * done.records) / done.rounds,
          forwards: 2 * flags.per_device_train_batch_size * rounds,
        };
      }
      before = now;
    }
    return { arm, learning_rate, seed, loss: before.loss, spent: before.seconds };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Sooner at the target is better; of two that do not get there, the one that comes closer. */
const better = (a, b) => (a.seconds ?? Infinity) - (b.seconds ?? Infinity) || a.loss - b.loss;
const rankOf = (one) => one.rounds ?? Infinity;

async function rateOf(arm) {
  if (trials === 0) return { rate: arm.known, tried: [] };
  const tried = [];
  for (const rate of arm.rates) tried.push(await run(arm, rate, TRIAL_SEED));
  // By rounds, which no other program on the machine can change.
  const [best] = tried.toSorted((a, b) => (rankOf(a) === rankOf(b) ? better(a, b) : rankOf(a) - rankOf(b)));
  return { rate: best.learning_rate, tried };
}

const chosen = [];
for (const arm of ARMS) chosen.push({ arm, ...(await rateOf(arm)), runs: [] });
for (const seed of seeds) for (const { arm, rate, runs } of chosen) runs.push(await run(arm, rate, seed));

const row = ({ arm, learning_rate, seconds, rounds, forwards, bytes, loss, spent }) => ({
  ...{ arm, rate: learning_rate, rounds: rounds ?? `not reached: ${loss.toFixed(3)} at the end` },
  ...{
    'forwards of a sample': forwards ?? '',
    bytes: bytes ?? '',
    seconds: seconds ?? `more than ${spent.toFixed(0)}`,
  },
});
const over = (key) => {
  const [ours, theirs] = chosen.map(({ runs }) => runs);
  return ours.map((one, i) => theirs[i][key] / one[key]);
};
const tables = [
  {
    title: `To a held-out loss of ${target}, ${batch.join(' and ')} samples a round, constant rate, median of ${seeds.length} seeds (lowest to highest)`,
    rows: chosen.map(({ runs }) =>
      row({
        ...runs[0],
        ...Object.fromEntries(
          ['rounds', 'forwards', 'bytes', 'seconds']
            .filter((key) => runs.every((one) => one[key] !== undefined))
            .map((key) => [key, spread(runs.map((one) => one[key]))]),
        ),
      }),
    ),
    notes: [
      `Seconds are those of training alone, host and one peer on this machine; losses are of the first ${samples} held-out windows, looked at ${points} times a run.`,
    ],
  },
];
if (chosen.every(({ runs }) => runs.every(({ seconds }) => seconds !== undefined)))
  tables.push({
    title: 'MeZO over a direction a sample, seed by seed',
    rows: [{ seconds: spread(over('seconds')), forwards: spread(over('forwards')), bytes: spread(over('bytes')) }],
  });
const tried = chosen.flatMap((one) => one.tried);
if (tried.length > 0) tables.push({ title: 'Rates tried first, with another seed', rows: tried.map(row) });

report(given, {
  name: 'quality',
  question: 'What it takes to get to a held-out loss: a direction for every sample, or one for a batch.',
  tables,
});

/**
 * `npm run study:steps`: rounds to a held-out loss, stories260k on tiny Shakespeare, 16 windows of 64 tokens a round and two
 * forward passes of each in every arm: MeZO, and what Murmur does by default, with variants of its step. Every arm has
 * several learning rates, and at each target counts with its best; the short arms are given a quarter of MeZO's rounds.
 *
 * Needs ../shared. What is finished is kept in build/studies/steps: repeat the command to go on.
 *
 *     node bench/steps.mjs [--seeds 1,2] [--rounds 1200] [--targets 4.1,4,3.9,3.8]
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, markdown, root } from './harness.mjs';
import { requireStories, SHAKESPEARE, STORIES } from './stories.mjs';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '1200' },
    targets: { type: 'string', default: '4.1,4,3.9,3.8' },
  },
});
requireStories('study:steps');

const FORWARDS = 32;
const rounds = Number(values.rounds);
const common = {
  ...{ model: STORIES, data: SHAKESPEARE, max_eval_samples: 256, per_device_train_batch_size: 16 },
  ...{ guard: 'false', seeds: values.seeds },
};
/** `over`: the rates, and what else is tried; `rounds`: how long it runs, hence how slowly a decaying rate falls. */
const ARMS = [
  { arm: 'mezo', methods: 'mezo', rounds, over: 'learning_rate=1e-4,2e-4,4e-4' },
  { arm: 'onebyte', methods: 'onebyte', rounds: rounds / 4, over: 'learning_rate=5e-4,7e-4,1e-3' },
  {
    ...{ arm: 'onebyte, constant rate', methods: 'onebyte', rounds: rounds / 4 },
    ...{ over: 'learning_rate=3e-4,5e-4', flags: { lr_scheduler_type: 'constant' } },
  },
  {
    ...{ arm: 'onebyte, normalised', methods: 'onebyte', rounds: rounds / 4 },
    ...{ over: 'learning_rate=2e-3,4e-3,8e-3', flags: { optimizer: 'normalised' } },
  },
  {
    ...{ arm: 'onebyte, momentum', methods: 'onebyte', rounds: rounds / 4 },
    ...{ over: 'learning_rate=5e-5,1e-4', flags: { optimizer: 'momentum' } },
  },
];

/** Rounds to `target`, between two evaluations by a straight line; Infinity if it is not met. */
function reached({ points }, target) {
  let before;
  for (const { round, metrics } of points) {
    const loss = metrics['eval/loss'];
    if (loss <= target) {
      if (!before) return round;
      return before.round + ((before.loss - target) / (before.loss - loss)) * (round - before.round);
    }
    before = { round, loss };
  }
  return Number.POSITIVE_INFINITY;
}

const mean = (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length;
const targets = values.targets.split(',').map(Number);
const rows = [];
for (const { arm, methods, rounds: own, over, flags = {} } of ARMS) {
  const output_dir = join(root, 'build/studies/steps', arm.replaceAll(/[^a-z]+/g, '-'));
  const words = {
    ...common,
    methods,
    budget: FORWARDS * own,
    over,
    eval_steps: Math.ceil(own / 40),
    output_dir,
    ...flags,
  };
  const { status } = spawnSync(
    process.execPath,
    ['bin/murmur.js', 'bench', 'methods', ...Object.entries(words).map(([key, value]) => `--${key}=${value}`)],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) process.exit(status ?? 1);
  const { runs } = JSON.parse(readFileSync(join(output_dir, 'runs.json'), 'utf8'));
  const rates = [...new Set(runs.map((run) => run.arm.learning_rate))];
  const best = targets.map((target) => {
    const each = rates.map((rate) => {
      const found = runs.filter((run) => run.arm.learning_rate === rate).map((run) => reached(run.curve, target));
      return { rate, rounds: mean(found), found };
    });
    return each.reduce((a, b) => (b.rounds < a.rounds ? b : a));
  });
  rows.push({ arm, rounds: own, best });
}

const show = ({ rate, rounds: n, found }) =>
  Number.isFinite(n) ? `${Math.round(n)} (${found.map(Math.round).join(', ')}) at ${rate}` : 'not reached';
console.log(machine());
console.log(
  `\n${markdown(
    rows.map(({ arm, rounds: own, best }) => ({
      ...{ arm, 'rounds at most': own },
      ...Object.fromEntries(best.map((one, i) => [`to ${targets[i]}`, show(one)])),
    })),
  )}`,
);
const [mezo, ...ours] = rows;
console.log(
  `\n${markdown(
    ours.map(({ arm, best }) => ({
      arm,
      ...Object.fromEntries(
        best.map(({ rounds: n }, i) => [`part of MeZO's, to ${targets[i]}`, (n / mezo.best[i].rounds).toFixed(2)]),
      ),
    })),
  )}`,
);

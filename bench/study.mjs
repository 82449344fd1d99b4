/**
 * A study: real `murmur train` runs, one after the other, into a JSON file and a Markdown table. First every arm tries
 * its learning rates with one seed; the one with the lowest held-out loss is then run with the other seeds, and only
 * those are in the table. What a study is made of is data; see `sst2.mjs` and `directions.mjs`.
 *
 *     node bench/<study>.mjs [--only <part of an arm's name>] [--seeds 1,2,3] [--output <file.json>]
 *
 * Runs that the file already holds, with the same flags, are not made again: an interrupted study goes on.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { machine, markdown, root } from './harness.mjs';

/** Of the runs that choose a rate. */
const TRIAL_SEED = 0;

/**
 * @typedef {Readonly<Record<string, string | number>>} Flags of `murmur train`.
 * @typedef {{ readonly arm: string, readonly flags: Flags, readonly rates: readonly number[] }} Arm with more than one
 *   rate, the best is chosen.
 * @typedef {{ readonly arm: string, readonly flags: Flags, readonly like: string, readonly times: number }} Alike its
 *   rate is so many times that of another arm, which stands before it.
 * @typedef {{ readonly arm: string, readonly flags: Flags, readonly done: Readonly<Record<string, number>> }} Run
 */

/**
 * @param {{ name: string, common: Flags, arms: readonly (Arm | Alike)[], seeds: readonly number[], needs: readonly string[] }} plan
 *   `needs`: files without which the study cannot be run, relative to the repository.
 */
export async function study({ name, common, arms, seeds, needs }) {
  const { values: given } = parseArgs({
    options: { only: { type: 'string' }, seeds: { type: 'string' }, output: { type: 'string' } },
  });
  const missing = needs.find((file) => !existsSync(join(root, file)));
  if (missing) {
    console.error(`${name}: ${missing} is not here; bench/README.md says what it is`);
    process.exitCode = 1;
    return;
  }
  const file = given.output ?? join(root, `build/studies/${name}.json`);
  /** @type {Run[]} */
  const runs = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).runs : [];

  async function runOf(arm, own) {
    const flags = { ...common, ...own };
    const known = runs.find((run) => run.arm === arm && JSON.stringify(run.flags) === JSON.stringify(flags));
    if (known) return known;
    const run = { arm, flags, done: await train(flags) };
    runs.push(run);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify({ machine: machine(), runs }, null, 1)}\n`);
    console.error(`${arm}, rate ${flags.learning_rate}, seed ${flags.seed}: ${JSON.stringify(run.done)}`);
    return run;
  }

  async function rateOf({ arm, flags, rates, like, times }) {
    if (like) return times * (await rateOf(arms.find((other) => other.arm === like)));
    if (rates.length === 1) return rates[0];
    const trials = [];
    for (const learning_rate of rates) trials.push(await runOf(arm, { ...flags, learning_rate, seed: TRIAL_SEED }));
    return trials.reduce((a, b) => (b.done['eval/loss'] < a.done['eval/loss'] ? b : a)).flags.learning_rate;
  }

  const chosen = [];
  for (const arm of arms.filter((one) => one.arm.includes(given.only ?? '')))
    chosen.push({ ...arm, learning_rate: await rateOf(arm), runs: [] });
  for (const seed of given.seeds?.split(',').map(Number) ?? seeds)
    for (const { arm, flags, learning_rate, runs: own } of chosen)
      own.push(await runOf(arm, { ...flags, learning_rate, seed }));
  const trials = runs.filter(({ flags }) => flags.seed === TRIAL_SEED);
  const rows = chosen.filter((arm) => arm.runs.length > 0).map(row);
  console.log([machine(), ...[rows, trials.map(trial)].filter((some) => some.length > 0).map(markdown)].join('\n\n'));
}

/** One run in a folder of its own. @returns {Promise<Readonly<Record<string, number>>>} its last line. */
async function train(flags) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-study-'));
  const words = Object.entries({ ...flags, output_dir: folder }).flatMap(([key, value]) => [`--${key}`, String(value)]);
  try {
    const child = spawn(process.execPath, ['bin/murmur.js', 'train', ...words, '--json'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    const { event, ...last } = JSON.parse(text.trim().split('\n').at(-1) || '{}');
    if (event !== 'done') throw new TypeError(`murmur train ${words.join(' ')}: exit code ${code}, no "done"`);
    return last;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Mean over runs, and the lowest and highest. */
function spread(runs, metric, digits) {
  const values = runs.map(({ done }) => done[metric]);
  const text = (value) => value.toFixed(digits);
  const mean = text(values.reduce((a, b) => a + b, 0) / values.length);
  return values.length === 1 ? mean : `${mean} (${text(Math.min(...values))} to ${text(Math.max(...values))})`;
}

const metrics = (runs) => ({
  'held-out loss': spread(runs, 'eval/loss', 4),
  ...('eval/accuracy' in runs[0].done ? { accuracy: spread(runs, 'eval/accuracy', 3) } : {}),
});

const row = ({ arm, learning_rate, runs }) => ({
  arm,
  rate: learning_rate,
  'bytes a round': runs[0].done.records / runs[0].done.rounds,
  ...metrics(runs),
  seconds: spread(runs, 'seconds', 0),
});

const trial = (run) => ({ arm: run.arm, rate: run.flags.learning_rate, ...metrics([run]) });

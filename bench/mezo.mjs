/**
 * What MeZO promises, at a scale that a minute trains: a base of 105,000 weights that has read a small language
 * (mezo-corpus.mjs), tuned by `murmur train`. Each property prints its table, and whether it holds:
 *
 *     npm run study:mezo -- --property a
 *
 * a: with a prompt near backpropagation, without one near chance. b: all weights, LoRA and prefix alike in steps.
 * c: replay gives the same weights. d: steps by directions a step, which is `study:rounds`. e: accuracy as the
 * objective. The base is trained once, into build/studies/mezo. Every run has one thread, so that figures are the same
 * on as many cores as there are. Figures: docs/papers/mezo.md.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { murmur, wordsOf } from './command.mjs';
import { flagsOf, machine, markdown, root, spread } from './harness.mjs';
import { corpus, lettersOf, reviews, UNRELATED, VERDICTS } from './mezo-corpus.mjs';

const HOME = join(root, 'build/studies/mezo');
const TOKENIZER = join(root, 'assets/quill');
const MODEL = join(HOME, 'base/model');
const SEEDS = [1, 2];
const ROUNDS = 300;

/** Of learning what is tuned later: enough that the loss no longer falls. */
const BASE = {
  ...{ hidden_size: 48, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 128, block_size: 64 },
  ...{ per_device_train_batch_size: 16, max_steps: 500, warmup_steps: 20, learning_rate: 4e-3, max_eval_samples: 64 },
};

/** A run without a prompt is one that the guard would stop: its loss hardly moves. */
const UNGUARDED = '--guard=false';

const words = (zero, one) => `0= ${zero},1= ${one}`;
const PROMPT = { prompt: '{text} It was', labels: words(VERDICTS[0][0], VERDICTS[1][0]) };
/** Both ways round: which of two words that mean nothing is likelier says nothing of a review, and cancels out. */
const BARE = [UNRELATED, UNRELATED.toReversed()].map((pair) => ({ prompt: '{text}', labels: words(...pair) }));

const MEZO = { method: 'mezo', max_steps: ROUNDS };
const FULL = { ...MEZO, learning_rate: 1e-4 };
const BACKPROP = { method: 'backprop', max_steps: 60 };
const VIEWS = [
  { arm: 'all weights', flags: FULL },
  { arm: 'LoRA, rank 8', flags: { ...MEZO, adapter: 'lora', eps: 1e-2, learning_rate: 3e-3 } },
  { arm: 'prefix of 5', flags: { ...MEZO, adapter: 'prefix', eps: 1e-1, learning_rate: 1 } },
];

/** Thresholds of what holds. */
const OF_BACKPROP = 0.95;
const CHANCE = 0.6;
const TARGET = 0.85;
const ALIKE = 2;

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** @param with, without mean accuracies. */
export function promptVerdict({ backprop, prompted, bare }) {
  const part = prompted / backprop;
  return {
    holds: part >= OF_BACKPROP && bare <= CHANCE,
    said: `${percent(part)} of backpropagation with the prompt (at least ${percent(OF_BACKPROP)}), accuracy ${bare.toFixed(3)} without (at most ${CHANCE})`,
  };
}

/** @param steps of each view to the target, `Infinity` where it is not met. */
export function viewsVerdict(steps) {
  const ratio = Math.max(...steps) / Math.min(...steps);
  const alike = Number.isFinite(Math.max(...steps)) && ratio <= ALIKE;
  const found = Number.isFinite(ratio) ? `${ratio.toFixed(2)} times as many steps` : 'no end';
  return {
    holds: alike,
    said: `the slowest view takes ${found} to ${TARGET} (at most ${ALIKE} times those of the fastest)`,
  };
}

/** @param pairs digests that should be one. */
export const replayVerdict = (pairs) => ({
  holds: pairs.length > 0 && pairs.every((digests) => new Set(digests).size === 1 && digests[0] !== undefined),
  said: 'digest of the run, digest of the replay, and the bytes of both exports',
});

/** @param changes accuracy before and after, by seed. */
export const objectiveVerdict = (changes) => ({
  holds: changes.length > 0 && changes.every(([before, after]) => after > before),
  said: `held-out accuracy ${changes.map(([before, after]) => `${before.toFixed(3)} → ${after.toFixed(3)}`).join(', ')}`,
});

/** The first step at which held-out accuracy is at the target. @param events of `murmur train`. */
export const stepsTo = (target, events) =>
  events.find((one) => one.event === 'evaluation' && one['eval/accuracy'] >= target)?.round ?? Infinity;

/** Writes the texts, and trains the base where it is not there. */
async function prepare() {
  mkdirSync(HOME, { recursive: true });
  const vocabulary = lettersOf(readFileSync(join(TOKENIZER, 'tokenizer.json'), 'utf8'));
  const texts = { corpus: corpus(20_000, 1, vocabulary), train: reviews(1000, 2), test: reviews(400, 3) };
  for (const [name, rows] of Object.entries(texts))
    writeFileSync(join(HOME, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  if (existsSync(join(MODEL, 'model.safetensors'))) return;
  console.error('training the base: about a minute, once');
  const flags = { data: join(HOME, 'corpus.jsonl'), tokenizer: TOKENIZER, ...BASE, threads: 1 };
  await murmur('pretrain', wordsOf({ ...flags, output_dir: join(HOME, 'base') }));
}

/** One run in a folder of its own. @param look at the folder before it is gone; what it gives is in the result. */
async function tune(arm, flags, look = async () => ({})) {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-mezo-'));
  try {
    const all = {
      ...{ model: MODEL, data: join(HOME, 'train.jsonl'), eval_data: join(HOME, 'test.jsonl') },
      ...{ output_dir: folder, threads: 1, eval_steps: flags.max_steps, ...PROMPT, ...flags },
    };
    const { events, done, seconds } = await murmur('train', [...wordsOf(all), UNGUARDED]);
    console.error(`${arm}: ${done['eval/accuracy_before']} -> ${done['eval/accuracy']}, ${seconds.toFixed(0)} s`);
    return {
      ...{ arm, events, done, seconds, before: done['eval/accuracy_before'], after: done['eval/accuracy'] },
      ...(await look(folder)),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Several runs of an arm, one after the other. */
async function each(arm, many) {
  const runs = [];
  for (const flags of many) runs.push(await tune(arm, flags));
  return runs;
}

const seeded = (flags, seeds = SEEDS) => seeds.map((seed) => ({ ...flags, seed }));
const of = (runs, key) => spread(runs.map((run) => run[key]));
const lossOf = (runs) => spread(runs.map(({ done }) => done['eval/loss']));

const row = (arm, runs) => ({
  arm,
  steps: runs[0].done.rounds,
  'accuracy before': of(runs, 'before'),
  'accuracy after': of(runs, 'after'),
  'loss after': lossOf(runs),
  seconds: of(runs, 'seconds'),
});

async function prompts() {
  const bare = (flags) => BARE.map((words, i) => ({ ...flags, ...words, seed: SEEDS[i] }));
  const arms = [
    ['backpropagation, prompt', seeded(BACKPROP)],
    ['MeZO, prompt', seeded(FULL)],
    ['MeZO, no prompt', bare(FULL)],
    ['backpropagation, no prompt', bare(BACKPROP)],
  ];
  const found = [];
  for (const [arm, many] of arms) found.push(await each(arm, many));
  const [backprop, prompted, without] = found.map((runs) => mean(runs.map(({ after }) => after)));
  return {
    rows: found.map((runs) => row(runs[0].arm, runs)),
    ...promptVerdict({ backprop, prompted, bare: without }),
  };
}

async function views() {
  const rows = [];
  const steps = [];
  for (const { arm, flags } of VIEWS) {
    const runs = await each(arm, seeded({ ...flags, eval_steps: 10 }));
    const to = runs.map(({ events }) => stepsTo(TARGET, events));
    steps.push(mean(to));
    const { learning_rate: rate, eps = 1e-3 } = flags;
    rows.push({ arm, rate, eps, [`steps to ${TARGET}`]: spread(to), ...row(arm, runs) });
  }
  return { rows, ...viewsVerdict(steps) };
}

/** SHA-256 of the one file of weights in a folder. */
function weightsOf(folder) {
  const name = readdirSync(folder).find((file) => file.endsWith('.safetensors'));
  return createHash('sha256')
    .update(readFileSync(join(folder, name)))
    .digest('hex');
}

async function replays() {
  const rows = [];
  const pairs = [];
  for (const { arm, flags } of VIEWS) {
    const look = async (folder) => {
      const [again, exported] = ['again', 'exported'].map((name) => join(folder, name));
      const { done } = await murmur('replay', [folder, ...wordsOf({ output_dir: again })]);
      await murmur('export', [folder, ...wordsOf({ output_dir: exported })]);
      return { replayed: done, files: [weightsOf(again), weightsOf(exported)] };
    };
    const run = await tune(arm, { ...flags, max_steps: 60, seed: 1 }, look);
    pairs.push([run.done.digest, run.replayed.digest], run.files);
    rows.push({
      arm,
      rounds: run.done.rounds,
      'bytes of gradients': run.done.records,
      'journal, bytes': run.replayed['journal/bytes'],
      'digest of the run': run.done.digest?.slice(0, 16),
      'of its replay': run.replayed.digest.slice(0, 16),
    });
  }
  return { rows, ...replayVerdict(pairs) };
}

async function objectives() {
  const accuracy = { ...FULL, max_steps: 100, objective: 'accuracy', eps: 1e-2 };
  const runs = await each('minus accuracy', seeded(accuracy, [1, 2, 3]));
  const beside = await each('loss', seeded({ ...FULL, max_steps: 100 }));
  return {
    rows: [row('minus accuracy', runs), row('loss', beside)],
    ...objectiveVerdict(runs.map(({ before, after }) => [before, after])),
  };
}

const PROPERTIES = {
  a: ['With a prompt near backpropagation, without one near chance', prompts],
  b: ['All weights, LoRA and prefix take alike many steps', views],
  c: ['Replay of seeds and scalars gives the same weights', replays],
  e: ['Accuracy as the objective raises held-out accuracy', objectives],
};
/** Steps to a loss by directions a step have a study of their own. */
const ROUNDS_STUDY = 'd';

async function main() {
  const { property } = flagsOf({ property: 'a,b,c,d,e' });
  const asked = property.split(',');
  const known = [...Object.keys(PROPERTIES), ROUNDS_STUDY];
  const strange = asked.find((letter) => !known.includes(letter));
  if (strange !== undefined) throw new RangeError(`--property expected of ${known.toSorted()}, got ${strange}`);
  console.log(machine());
  for (const letter of asked) {
    if (letter === ROUNDS_STUDY) {
      console.log('\n## (d) Rounds to a loss by records a round: npm run study:rounds\n');
      spawnSync(process.execPath, ['bench/quadratic.mjs'], { cwd: root, stdio: 'inherit' });
      continue;
    }
    await prepare();
    const [title, measure] = PROPERTIES[letter];
    const { rows, holds, said } = await measure();
    console.log(`\n## (${letter}) ${title}\n\n${markdown(rows)}\n\n${holds ? 'Holds' : 'Does not hold'}: ${said}.`);
    if (!holds) process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();

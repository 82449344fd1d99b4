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
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
/** What the same work does without a prompt at a rate that suits it. */
const FASTER = { ...MEZO, learning_rate: 1e-3 };
const BACKPROP = { method: 'backprop', max_steps: 60 };
/** Each at the highest of the tried rates that does not run away. */
const VIEWS = [
  { arm: 'all weights', weights: 104_688, flags: { ...MEZO, learning_rate: 3e-4 } },
  { arm: 'LoRA, rank 8', weights: 3072, flags: { ...MEZO, adapter: 'lora', eps: 1e-2, learning_rate: 1e-2 } },
  { arm: 'prefix of 5', weights: 960, flags: { ...MEZO, adapter: 'prefix', eps: 1e-1, learning_rate: 1 } },
];
const VIEW_ROUNDS = 240;

/** Thresholds of what holds. */
const OF_BACKPROP = 0.95;
const CHANCE = 0.6;
const TARGET = 0.85;
const ALIKE = 2;

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const percent = (x) => `${(100 * x).toFixed(1)} %`;

/** Mean accuracies; `bare` at the rate of `prompted`, `faster` at a rate of its own, which is told and not judged. */
export function promptVerdict({ backprop, prompted, bare, faster }) {
  const part = prompted / backprop;
  return {
    holds: part >= OF_BACKPROP && bare <= CHANCE,
    said:
      `${percent(part)} of backpropagation with the prompt (at least ${percent(OF_BACKPROP)}), accuracy ` +
      `${bare.toFixed(3)} without at the same rate (at most ${CHANCE}), and ${faster.toFixed(3)} at ten times that`,
  };
}

/** @param steps arm → mean steps to the target, `Infinity` where a run does not get there. */
export function viewsVerdict(steps) {
  const fastest = Math.min(...Object.values(steps));
  const told = Object.entries(steps).map(([arm, count]) => {
    const times = Number.isFinite(count) ? `${(count / fastest).toFixed(2)} times the fewest` : 'not reached by all';
    return `${arm} ${times}`;
  });
  return {
    holds: Number.isFinite(fastest) && Object.values(steps).every((count) => count <= ALIKE * fastest),
    said: `steps to ${TARGET}: ${told.join(', ')} (at most ${ALIKE} times)`,
  };
}

/** @param runs digests of each: of the weights of the run, of its replay, and of what it began at. */
export const replayVerdict = (runs) => ({
  holds: runs.length > 0 && runs.every(({ run, replay, base }) => run !== undefined && run === replay && run !== base),
  said: 'the digest of every run is that of its replay, and not that of its base',
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
    ['MeZO, no prompt, ten times the rate', bare(FASTER)],
    ['backpropagation, no prompt', bare(BACKPROP)],
  ];
  const found = [];
  for (const [arm, many] of arms) found.push(await each(arm, many));
  const [backprop, prompted, without, faster] = found.map((runs) => mean(runs.map(({ after }) => after)));
  return {
    rows: found.map((runs) => row(runs[0].arm, runs)),
    ...promptVerdict({ backprop, prompted, bare: without, faster }),
  };
}

async function views() {
  const rows = [];
  const steps = {};
  for (const { arm, weights, flags } of VIEWS) {
    const runs = await each(arm, seeded({ ...flags, max_steps: VIEW_ROUNDS, eval_steps: 10 }));
    const to = runs.map(({ events }) => stepsTo(TARGET, events));
    steps[arm] = mean(to);
    const { learning_rate: rate, eps = 1e-3 } = flags;
    rows.push({ arm, 'weights moved': weights, rate, eps, [`steps to ${TARGET}`]: spread(to), ...row(arm, runs) });
  }
  return { rows, ...viewsVerdict(steps) };
}

async function replays() {
  const rows = [];
  const digests = [];
  for (const { arm, flags } of VIEWS) {
    const look = async (folder) => {
      const { done: replayed } = await murmur('replay', [folder]);
      const { done: begun } = await murmur('replay', [folder, ...wordsOf({ rounds: 0 })]);
      return { replayed, begun };
    };
    const { done, replayed, begun } = await tune(arm, { ...flags, max_steps: 60, seed: 1 }, look);
    digests.push({ run: done.digest, replay: replayed.digest, base: begun.digest });
    rows.push({
      arm,
      rounds: done.rounds,
      'bytes of gradients': done.records,
      'journal, bytes': replayed['journal/bytes'],
      'digest before': begun.digest.slice(0, 16),
      'digest of the run': String(done.digest).slice(0, 16),
      'of its replay': replayed.digest.slice(0, 16),
    });
  }
  return { rows, ...replayVerdict(digests) };
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

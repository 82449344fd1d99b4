/**
 * `npm run study:diloco`: DiLoCo against synchronous data parallel and against one peer, as real processes: a LLaMA of
 * 0.94 million weights on WikiText-2, the same inner steps and tokens in every arm but that of one peer. It begins from
 * nothing or, as the paper's main runs do, from a checkpoint: --pretrain_steps of data parallel training.
 *
 * Needs ../shared. What is finished is kept in build/studies/diloco: repeat the command to go on.
 *
 *     node bench/diloco.mjs [--peers 4] [--steps 2000] [--pretrain_steps 1000] [--rate 2e-3] [--outer 0.7,0.9]
 *       [--only h500,ddp@1e-3] [--at_once 1] [--output DIR]
 *
 * An arm with @ and a number behind it has that as its peak rate; --outer is rate and momentum of the outer step.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freshBase } from './fresh.mjs';
import { machine, markdown, root } from './harness.mjs';

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '4' },
    steps: { type: 'string', default: '2000' },
    pretrain_steps: { type: 'string', default: '0' },
    rate: { type: 'string', default: '2e-3' },
    outer: { type: 'string', default: '0.7,0.9' },
    only: { type: 'string' },
    at_once: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    data: { type: 'string', default: join(root, '../shared/data/wikitext-2') },
    output: { type: 'string', default: join(root, 'build/studies/diloco') },
    seed: { type: 'string', default: '42' },
  },
});
const [text, held] = ['train.txt', 'valid.txt'].map((file) => join(values.data, file));
if (!existsSync(text)) {
  console.error(`study:diloco: ${text} is not here; bench/README.md says what it is`);
  process.exit(1);
}
const peers = Number(values.peers);
const steps = Number(values.steps);
const pretrainSteps = Number(values.pretrain_steps);

/** Merged weights are what is judged; a tenth of the steps warms up. */
const common = {
  ...{ data: text, eval_data: held, task: 'lm', block_size: 64, per_device_train_batch_size: 4, max_steps: steps },
  ...{ learning_rate: values.rate, warmup_steps: Math.min(200, steps / 10), max_eval_samples: 512, guard: 'false' },
  ...{ eval_steps: Math.max(1, steps / 4), threads: values.threads, seed: values.seed },
};
/** What the recipes of exchanges set. */
const LIKE_RECIPE = { adam_beta2: 0.95, weight_decay: 0.1, lr_scheduler_type: 'cosine' };
/** Every step costs as much as a round: a few of them show what there is to see. */
const FEW = { max_steps: Math.min(steps, 100), warmup_steps: 10, eval_steps: 100 };
/** So that a mean of steps is a step along the mean. */
const LINEAR = {
  ...{ max_steps: 20, warmup_steps: 0, eval_steps: 20, lr_scheduler_type: 'constant' },
  ...{ optim: 'sgd', momentum: 0, max_grad_norm: 0, weight_decay: 0, learning_rate: 0.1 },
};
const AVERAGING = { outer_learning_rate: 1, outer_momentum: 0 };
const [outer_learning_rate, outer_momentum] = values.outer.split(',').map(Number);
const diloco = (inner_steps, more = {}) => ({
  ...{ method: 'diloco', inner_steps, outer_learning_rate, outer_momentum },
  ...more,
});
const ARMS = {
  // What a step costs on the wire shows in a few of them; 'all in one' says where they lead.
  ddp: { method: 'ddp', ...FEW },
  'ddp sgd': { method: 'ddp', ...FEW, ...LINEAR },
  // The same steps as ddp takes, by one process that computes the batches of all.
  'all in one': { method: 'backprop', peers: 1, per_device_train_batch_size: 4 * peers, ...LIKE_RECIPE },
  one: { method: 'backprop', peers: 1, ...LIKE_RECIPE },
  'one with all tokens': {
    ...{ method: 'backprop', peers: 1, ...LIKE_RECIPE },
    ...{ max_steps: steps * peers, warmup_steps: Math.min(200, steps / 10) * peers, eval_steps: (steps * peers) / 4 },
  },
  // With AdamW a mean of its steps; with SGD what 'ddp sgd' is.
  h1: diloco(1, { ...AVERAGING, ...FEW }),
  'h1 sgd': diloco(1, { ...AVERAGING, ...FEW, ...LINEAR }),
  h20: diloco(20),
  h100: diloco(100),
  'h100 averaging': diloco(100, AVERAGING),
  h500: diloco(500),
  'h500 averaging': diloco(500, AVERAGING),
  'h500 f16': diloco(500, { exchange_format: 'f16' }),
  'h500 int8': diloco(500, { exchange_format: 'int8' }),
  'h500 e3m0': diloco(500, { exchange_format: 'e3m0' }),
  'h100 half dropped': diloco(100, { dropped_shares: 0.5 }),
  'h500 half dropped': diloco(500, { dropped_shares: 0.5 }),
  'h100 unlike data': diloco(100, { data_parts: peers }),
  'h500 unlike data': diloco(500, { data_parts: peers }),
  'h100 streaming': diloco(100, { fragments: 5, overlap_steps: 5 }),
  'h100 streaming e3m0': diloco(100, { fragments: 5, overlap_steps: 5, exchange_format: 'e3m0' }),
  'h500 streaming': diloco(500, { fragments: 5, overlap_steps: 10 }),
  'h500 streaming e3m0': diloco(500, { fragments: 5, overlap_steps: 10, exchange_format: 'e3m0' }),
};

/** `murmur` to its end. @returns its events */
function murmur(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'bin/murmur.js'), ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (piece) => (said += piece));
    child.on('close', (code) => {
      const lines = said.split('\n').filter(Boolean);
      if (code === 0) resolve(lines.map((line) => JSON.parse(line)));
      else reject(new Error(`murmur ${args.join(' ')}: exit code ${code}\n${lines.at(-1)}`));
    });
  });
}

const train = (flags) =>
  murmur(['train', ...Object.entries(flags).flatMap(([key, value]) => [`--${key}`, `${value}`])]);

/** Where the arms begin: at the fresh weights, or after data parallel training at a rate that stays, by one process. */
async function start() {
  const fresh = await freshBase(join(values.output, 'base'));
  if (pretrainSteps === 0) return fresh;
  const folder = join(values.output, `start-${peers}-${pretrainSteps}`);
  if (existsSync(folder)) return folder;
  const output_dir = `${folder}-run`;
  const schedule = { max_steps: pretrainSteps, warmup_steps: Math.min(200, pretrainSteps / 10), eval_steps: 100_000 };
  // The same for all seeds of arms, and other samples than those they begin with.
  const order = { seed: 1042, lr_scheduler_type: 'constant', learning_rate: 2e-3 };
  await train({ ...common, model: fresh, output_dir, ...ARMS['all in one'], ...schedule, ...order });
  renameSync(join(output_dir, 'model'), folder);
  rmSync(output_dir, { recursive: true, force: true });
  return folder;
}

/** @returns the last event of a run, with what it sent at most in one round. */
async function run(arm, model) {
  const [name, learning_rate = values.rate] = arm.split('@');
  const outer = values.outer === '0.7,0.9' ? [] : [values.outer];
  const place = [peers, steps, pretrainSteps, learning_rate, values.seed, ...outer].join('-');
  const output_dir = join(values.output, `${name.replaceAll(/[^a-z0-9]+/g, '-')}-${place}`);
  const kept = `${output_dir}.json`;
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8'));
  rmSync(output_dir, { recursive: true, force: true });
  const events = await train({ ...common, peers, model, output_dir, learning_rate, ...ARMS[name] });
  const done = events.findLast(({ event }) => event === 'done');
  const wire = events.filter(({ event }) => event === 'merge').map((event) => event['bytes/wire']);
  // The first round has what it takes to join.
  const most = Math.max(...wire.slice(1).map((bytes, i) => bytes - wire[i]));
  const curve = events.filter(({ event }) => event === 'evaluation').map((event) => event['eval/loss']);
  const result = { name: arm, ...done, most, curve };
  writeFileSync(kept, JSON.stringify(result));
  rmSync(output_dir, { recursive: true, force: true });
  return result;
}

const wanted = values.only?.split(',') ?? Object.keys(ARMS);
for (const arm of wanted)
  if (!ARMS[arm.split('@')[0]]) {
    console.error(`study:diloco: "${arm}" is none of ${Object.keys(ARMS).join(', ')}`);
    process.exit(1);
  }
const model = await start();
const results = new Map();
const queue = [...wanted];
await Promise.all(
  Array.from({ length: Number(values.at_once) }, async () => {
    for (let arm = queue.shift(); arm !== undefined; arm = queue.shift()) {
      const result = await run(arm, model);
      results.set(arm, result);
      console.error(`${arm}: ${result['eval/loss'].toFixed(4)} after ${result.seconds} s`);
    }
  }),
);
const baseline = [...results].find(([arm]) => arm.split('@')[0] === 'ddp')?.[1]['bytes/token'];
console.log(
  `${peers} peers, ${steps} inner steps each of 4 windows of 64 tokens, outer rate and momentum ${values.outer}, from ${pretrainSteps ? `a checkpoint of ${pretrainSteps} steps` : 'nothing'}, loss ${results.get(wanted[0])['eval/loss_before'].toFixed(3)} before, seed ${values.seed}. ${machine()}\n`,
);
console.log(
  markdown(
    wanted.map((arm) => {
      const { curve, most, ...done } = results.get(arm);
      const loss = done['eval/loss'];
      const bytes = done['bytes/token'];
      return {
        arm,
        'held-out loss': loss.toFixed(3),
        perplexity: Math.exp(loss).toFixed(2),
        'at a quarter, half, three quarters': curve
          .slice(1, -1)
          .map((each) => each.toFixed(3))
          .join(', '),
        'bytes a token': bytes?.toPrecision(3) ?? '',
        fewer: baseline && bytes ? `${(baseline / bytes).toFixed(0)} times` : '',
        'MB in a round': most > 0 ? (most / 1e6).toFixed(2) : '',
      };
    }),
  ),
);

/**
 * `npm run study:diloco`: DiLoCo against synchronous data parallel and against one peer, as real processes: a LLaMA of
 * 0.94 million weights from nothing, on WikiText-2, the same inner steps and tokens in every arm but that of one peer.
 *
 * Needs ../shared. What is finished is kept in build/studies/diloco: repeat the command to go on.
 *
 *     node bench/diloco.mjs [--peers 4] [--steps 2000] [--only h500,ddp] [--at_once 1] [--output DIR]
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { freshBase } from './fresh.mjs';
import { machine, markdown, root } from './harness.mjs';

const { values } = parseArgs({
  options: {
    peers: { type: 'string', default: '4' },
    steps: { type: 'string', default: '2000' },
    only: { type: 'string' },
    at_once: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    data: { type: 'string', default: join(root, '../shared/data/wikitext-2') },
    output: { type: 'string', default: join(root, 'build/studies/diloco') },
    seed: { type: 'string', default: '42' },
  },
});
const [train, held] = ['train.txt', 'valid.txt'].map((file) => join(values.data, file));
if (!existsSync(train)) {
  console.error(`study:diloco: ${train} is not here; bench/README.md says what it is`);
  process.exit(1);
}
const peers = Number(values.peers);
const steps = Number(values.steps);

/** Merged weights are what is judged; a tenth of the steps warms up. */
const common = {
  ...{ data: train, eval_data: held, task: 'lm', block_size: 64, per_device_train_batch_size: 4, max_steps: steps },
  ...{ learning_rate: 2e-3, warmup_steps: Math.min(200, steps / 10), max_eval_samples: 512, guard: 'false' },
  ...{ eval_steps: Math.max(1, steps / 4), threads: values.threads, seed: values.seed },
};
/** What the recipes of exchanges set. */
const LIKE_RECIPE = { adam_beta2: 0.95, weight_decay: 0.1, lr_scheduler_type: 'cosine' };
const diloco = (inner_steps, more = {}) => ({ method: 'diloco', inner_steps, ...more });
const ARMS = {
  // What a step costs on the wire shows in a few of them; 'all in one' says where they lead.
  ddp: { method: 'ddp', max_steps: Math.min(steps, 100), warmup_steps: 10, eval_steps: 100 },
  // The same steps as ddp takes, by one process that computes the batches of all.
  'all in one': { method: 'backprop', peers: 1, per_device_train_batch_size: 4 * peers, ...LIKE_RECIPE },
  one: { method: 'backprop', peers: 1, ...LIKE_RECIPE },
  'one, all tokens': {
    ...{ method: 'backprop', peers: 1, ...LIKE_RECIPE },
    ...{ max_steps: steps * peers, warmup_steps: Math.min(200, steps / 10) * peers, eval_steps: (steps * peers) / 4 },
  },
  h1: diloco(1, { outer_learning_rate: 1, outer_momentum: 0 }),
  h20: diloco(20),
  h100: diloco(100),
  'h100 averaging': diloco(100, { outer_learning_rate: 1, outer_momentum: 0 }),
  h500: diloco(500),
  'h500 f16': diloco(500, { exchange_format: 'f16' }),
  'h500 int8': diloco(500, { exchange_format: 'int8' }),
  'h500 e3m0': diloco(500, { exchange_format: 'e3m0' }),
  'h100 half dropped': diloco(100, { dropped_shares: 0.5 }),
  'h500 half dropped': diloco(500, { dropped_shares: 0.5 }),
  'h100 unlike data': diloco(100, { data_parts: peers }),
  'h500 unlike data': diloco(500, { data_parts: peers }),
  'h100 streaming': diloco(100, { fragments: 5, overlap_steps: 5 }),
  'h500 streaming': diloco(500, { fragments: 5, overlap_steps: 10 }),
  'h500 streaming e3m0': diloco(500, { fragments: 5, overlap_steps: 10, exchange_format: 'e3m0' }),
};

/** @returns the last event of a run, with what it sent at most in one round. */
function run(name, model) {
  const output_dir = join(values.output, `${name.replaceAll(/[^a-z0-9]+/g, '-')}-${peers}-${steps}-${values.seed}`);
  const kept = `${output_dir}.json`;
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, 'utf8'));
  const flags = { ...common, peers, model, output_dir, ...ARMS[name] };
  const args = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, String(value)]);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'bin/murmur.js'), 'train', ...args, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (piece) => (text += piece));
    child.on('exit', (code) => {
      const events = text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line));
      const done = events.findLast(({ event }) => event === 'done');
      if (code !== 0 || !done) {
        reject(new Error(`${name}: exit code ${code}`));
        return;
      }
      const wire = events.filter(({ event }) => event === 'merge').map((event) => event['bytes/wire']);
      // The first round has what it takes to join.
      const most = Math.max(...wire.slice(1).map((bytes, i) => bytes - wire[i]));
      const curve = events.filter(({ event }) => event === 'evaluation').map((event) => event['eval/loss']);
      const result = { name, ...done, most, curve };
      writeFileSync(kept, JSON.stringify(result));
      rmSync(output_dir, { recursive: true, force: true });
      resolve(result);
    });
  });
}

const wanted = values.only?.split(',') ?? Object.keys(ARMS);
const model = await freshBase(join(values.output, 'base'));
const results = new Map();
const queue = [...wanted];
await Promise.all(
  Array.from({ length: Number(values.at_once) }, async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const result = await run(name, model);
      results.set(name, result);
      console.error(`${name}: ${result['eval/loss'].toFixed(3)} after ${result.seconds} s`);
    }
  }),
);
const baseline = results.get('ddp')?.['bytes/token'];
console.log(`${peers} peers, ${steps} inner steps each of 4 windows of 64 tokens, seed ${values.seed}. ${machine()}\n`);
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

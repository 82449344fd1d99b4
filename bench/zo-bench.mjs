/**
 * `npm run study:zo-bench`: the six optimizers of ZO-Bench (Zhang et al. 2024, arXiv:2402.11592) on the whole model, LoRA,
 * prefix and prompt, and backpropagation beside them: SST-2 with quill, an equal number of forward passes each. Learning
 * rates are the defaults; with more than one multiple of them in --rates, the best by a seed that is not in the table.
 *
 * Needs ../shared/data/sst2. What is finished is kept in build/studies/zo-bench: repeat the command to go on.
 *
 *     node bench/zo-bench.mjs [--budget 6400] [--seeds 1,2,3] [--rates 1] [--rows 4000]
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './harness.mjs';

const { values } = parseArgs({
  options: {
    budget: { type: 'string', default: '6400' },
    seeds: { type: 'string', default: '1,2,3' },
    rates: { type: 'string', default: '1' },
    rows: { type: 'string', default: '4000' },
  },
});
const DATA = join(root, '../shared/data/sst2');
if (!existsSync(DATA)) {
  console.error('study:zo-bench: ../shared/data/sst2 is not here; bench/README.md says what it is');
  process.exit(1);
}
const folder = join(root, 'build/studies/zo-bench');
mkdirSync(folder, { recursive: true });
// The first rows: reading all 67,349 takes longer than a run.
const train = join(folder, 'train.tsv');
const lines = readFileSync(join(DATA, 'train.tsv'), 'utf8').split('\n');
writeFileSync(train, `${lines.slice(0, 1 + Number(values.rows)).join('\n')}\n`);

const METHODS = 'zo-sgd,zo-sgd-sign,zo-sgd-mmt,zo-sgd-cons,zo-adam,forward-grad,backprop';
const words = {
  ...{ model: 'assets/quill', task: 'sst2', data: train, eval_data: join(DATA, 'dev.tsv') },
  ...{ max_train_samples: 1000, max_eval_samples: 300, per_device_train_batch_size: 16, eval_steps: 1000 },
  ...{ methods: METHODS, over: 'adapter=none,lora,prefix,prompt', output_dir: folder },
  ...{ budget: values.budget, seeds: values.seeds, rates: values.rates },
};
const { status } = spawnSync(
  process.execPath,
  ['bin/murmur.js', 'bench', 'methods', ...Object.entries(words).map(([key, value]) => `--${key}=${value}`)],
  { cwd: root, stdio: 'inherit' },
);
process.exitCode = status ?? 1;

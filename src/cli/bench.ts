/**
 * `murmur bench methods`: methods side by side on one task, at an equal budget.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { forwardsPerRound, passesAlone } from '../method/cost.ts';
import { RECIPES } from '../method/recipes.ts';
import type { Argv } from './args.ts';
import { compare, comparingFlags, comparingOf, configWith, jobsOf, present } from './compare.ts';
import { type RunConfig, recordsOf } from './config.ts';
import type { Rated } from './rate.ts';
import { byArm, combinations, type Finished, isScore, type Setting } from './study.ts';
import { trial } from './trial.ts';
import type { Io } from './verb.ts';

export const usage: string = `bench methods [run.yaml] --budget N [flags]

Trains with each method until an equal budget is spent, several seeds each: a table, methods.md, methods.svg and
runs.json in the output folder. Each method has its own defaults; with --rates, its learning rate is first chosen among
multiples of the default, with a seed that is not in the table. What is finished is kept: repeat the command to go on.
  murmur bench methods run.yaml --methods mezo,onebyte --budget 20000
  murmur bench methods run.yaml --budget 2000 --unit bytes --over "adapter=none,lora" --rates 0.3,1,3`;

const own = {
  methods: z.string().optional().describe('Methods, with commas. Default: all; "murmur methods" lists them.'),
  budget: z.int().min(1).describe('How much each run may spend.'),
  unit: z
    .enum(['forwards', 'bytes', 'seconds'])
    .default('forwards')
    .describe('Of the budget: forward passes of one sample, bytes of gradients, or seconds of training.'),
  rates: z
    .string()
    .regex(/^[\d.e+-]+(,[\d.e+-]+)*$/)
    .default('1')
    .meta({ examples: ['0.3,1,3'] })
    .describe('Multiples of the default learning rate to choose from.'),
};
export const flags: z.ZodObject = comparingFlags.extend(own);

/** Of the runs that choose a rate. */
const TRIAL_SEED = 0;
/** Rounds that are timed where the budget is in seconds. */
const TIMED = 8;

/** What a round spends. */
async function costOf(unit: 'forwards' | 'bytes' | 'seconds', config: RunConfig, io: Io): Promise<number> {
  const alone = passesAlone(config.method);
  if (alone !== undefined && unit === 'bytes')
    throw new Fault('CONFIG_INVALID', `--unit: ${config.method} sends no bytes; take forwards or seconds`);
  const records = recordsOf(config);
  if (alone !== undefined && unit === 'forwards')
    return alone * config.per_device_train_batch_size * config.gradient_accumulation_steps;
  if (unit === 'bytes') return records.records_per_round;
  if (unit === 'forwards') return forwardsPerRound({ estimator: config.estimator, ...records });
  const short = { ...config, max_steps: TIMED, eval_steps: TIMED, max_eval_samples: 1, guard: false };
  const { points } = await trial(short, 1, io, () => false);
  return points.at(-1)!.seconds / TIMED;
}

export async function run(argv: Argv, io: Io): Promise<Readonly<Record<string, unknown>>> {
  const [subject, ...words] = argv.words;
  if (subject !== 'methods') throw new Fault('CONFIG_INVALID', `bench: takes "methods", got "${subject ?? ''}"`);
  const { methods, budget, unit, rates, ...shared } = argv.flags;
  const checked = z.strictObject(own).safeParse({ methods, budget, unit, rates: rates?.toString() });
  if (!checked.success) {
    const { path, message } = checked.error.issues[0]!;
    throw new Fault('CONFIG_INVALID', `--${path.join('.')}: ${message}`);
  }
  const wanted = checked.data;
  const { own: comparing, argv: rest } = comparingOf({ words, flags: shared });
  const names = wanted.methods?.split(',').map((name) => name.trim()) ?? RECIPES.map(({ name }) => name);
  const settings = names.flatMap((method) => combinations(comparing.over).map((row) => ({ method, ...row })));
  const factors = wanted.rates.split(',').map(Number);

  const spans = new Map<string, number>();
  /** A configuration that spends the budget. @param factor of its learning rate */
  async function configOf(setting: Setting, seed: number, factor: number): Promise<Rated> {
    const config = await configWith('bench', rest, { ...setting, seed: String(seed) }, io);
    const name = JSON.stringify(setting);
    const cost = spans.get(name) ?? (await costOf(wanted.unit, config, io));
    spans.set(name, cost);
    const max_steps = Math.floor(wanted.budget / cost);
    if (max_steps < 1)
      throw new Fault(
        'CONFIG_INVALID',
        `--budget: a round of ${setting['method']} takes ${cost} ${wanted.unit}; raise it`,
      );
    const eval_steps = rest.flags['eval_steps'] === undefined ? Math.ceil(max_steps / 20) : config.eval_steps;
    return {
      ...config,
      ...{ max_steps, eval_steps, warmup_steps: Math.min(config.warmup_steps, max_steps) },
      learning_rate: config.learning_rate * factor,
    };
  }

  const first = await configOf(settings[0]!, TRIAL_SEED, 1);
  const folder = first.output_dir;
  const best = new Map<string, number>();
  if (factors.length > 1) {
    const arms = settings.flatMap((setting) => factors.map((factor) => ({ ...setting, rate: `x${factor}` })));
    const jobs = await jobsOf(arms, [TRIAL_SEED], ({ rate, ...setting }, seed) =>
      configOf(setting, seed, Number(rate!.slice(1))),
    );
    const tried = await compare(jobs, folder, comparing.parallel, io);
    for (const setting of settings) {
      const name = JSON.stringify(setting);
      const mine = tried.filter(({ arm: { rate: _, ...arm } }) => JSON.stringify(arm) === name);
      best.set(name, Number(bestOf(mine).arm['rate']!.slice(1)));
    }
  }
  const jobs = await jobsOf(settings, comparing.seeds, (setting, seed) =>
    configOf(setting, seed, best.get(JSON.stringify(setting)) ?? factors[0]!),
  );
  const runs = await compare(jobs, folder, comparing.parallel, io);
  const axis = wanted.unit;
  const title = `${wanted.budget} ${wanted.unit} each, ${comparing.seeds.length} seeds`;
  const { rows, metric } = await present(runs, { folder, name: 'methods', title, axis }, comparing.metric, io);
  return { best: rows[0]!['arm'], [metric]: rows[0]![metric], runs: byArm(runs).length, path: folder };
}

/** The run with the lowest held-out loss at its end, or the highest score where there is no loss. */
function bestOf(runs: readonly Finished[]): Finished {
  const worth = ({ curve }: Finished): number => {
    const { metrics } = curve.points.at(-1)!;
    const [metric = 'eval/loss', value = Number.NaN] = Object.entries(metrics)[0] ?? [];
    if (curve.stopped !== undefined || Number.isNaN(value)) return Number.NEGATIVE_INFINITY;
    return isScore(metric) ? value : -value;
  };
  return runs.reduce((a, b) => (worth(b) > worth(a) ? b : a));
}

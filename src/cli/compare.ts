/**
 * What `sweep` and `bench` share: settings → runs → a JSON file, a Markdown table and a plot.
 *
 * @module
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { type Argv, parseArgv } from './args.ts';
import { keys, propertiesOf, runFile } from './keys.ts';
import { svgOf } from './plot.ts';
import { withRate } from './prepare.ts';
import type { Rated } from './rate.ts';
import { onInterrupt } from './signals.ts';
import {
  type Axis,
  byArm,
  type Finished,
  finishAll,
  isScore,
  type Job,
  markdownOf,
  nameOf,
  rowOf,
  type Setting,
  seriesOf,
} from './study.ts';
import { configOf } from './train.ts';
import { trial } from './trial.ts';
import type { Io } from './verb.ts';

/** Flags beside those of a run. */
const COMPARING = {
  over: z
    .string()
    .optional()
    .describe('Keys and the values to try, every combination: "learning_rate=1e-4,1e-3;eps=1e-3,1e-2".'),
  seeds: z
    .string()
    .regex(/^\d+(,\d+)*$/)
    .default('1,2,3')
    .meta({ examples: ['1,2,3'] })
    .describe('Seeds of the runs of each combination, with commas.'),
  parallel: z.int().min(1).max(1024).optional().describe('Runs at a time, one thread each. Default: the cores.'),
  metric: z
    .string()
    .optional()
    .describe('What to compare by. Default: eval/accuracy where there is one, else eval/loss.'),
};

export const comparingFlags: z.ZodObject = z.strictObject({ ...keys, ...COMPARING });

export interface Comparing {
  readonly over: string | undefined;
  readonly seeds: readonly number[];
  readonly parallel: number;
  readonly metric: string | undefined;
}

/** The flags that are no keys of a run, and the rest. */
export function comparingOf({ words, flags }: Argv): { readonly own: Comparing; readonly argv: Argv } {
  const { over, seeds, parallel, metric, ...run } = flags;
  const own = z.strictObject(COMPARING).safeParse({ over, seeds: seeds?.toString(), parallel, metric });
  if (!own.success) {
    const { path, message } = own.error.issues[0]!;
    throw new Fault('CONFIG_INVALID', `--${path.join('.')}: ${message}`);
  }
  const { data } = own;
  return {
    own: {
      over: data.over,
      metric: data.metric,
      seeds: data.seeds.split(',').map(Number),
      parallel: data.parallel ?? availableParallelism(),
    },
    argv: { words, flags: run },
  };
}

/**
 * The configuration of a run file with other values, and with the rate that it comes to.
 * @param setting keys as text. @throws {Fault} CONFIG_INVALID, and as `withRate`
 */
export async function configWith(
  verb: string,
  { words, flags }: Argv,
  setting: Readonly<Record<string, string>>,
  { output, env }: Io,
): Promise<Rated> {
  const tokens = Object.entries(setting).map(([key, value]) => `--${key}=${value}`);
  const { flags: own } = parseArgv(tokens, propertiesOf(runFile));
  return withRate(await configOf(verb, { words, flags: { ...flags, ...own } }, env), output, env);
}

/** Runs of a thread each share a core at most; what is alone has them all. */
const threadsFor = (parallel: number): number => Math.max(1, Math.floor(availableParallelism() / parallel));

/** Makes the runs that are not there yet, telling of each. @throws {Fault} INTERRUPTED when stopped */
export async function compare(jobs: readonly Job[], folder: string, parallel: number, io: Io): Promise<Finished[]> {
  const { output } = io;
  let stopping = false;
  let count = 0;
  const stop = (): void => {
    stopping = true;
  };
  const released = onInterrupt({ first: stop, second: () => process.exit(130) }, output);
  const quiet: Io = { ...io, output: { ...output, event: () => undefined, progress: () => undefined } };
  try {
    const runs = await finishAll(
      jobs,
      folder,
      parallel,
      (config) => trial(config, threadsFor(parallel), quiet, () => stopping),
      {
        isStopped: () => stopping,
        done({ arm, seed, curve }, of) {
          const { round, metrics } = curve.points.at(-1)!;
          const why = curve.stopped === undefined ? {} : { stopped: curve.stopped };
          output.event({ event: 'run', n: ++count, of, arm: nameOf(arm), seed, round, metrics, ...why });
        },
      },
    );
    if (stopping)
      throw new Fault('INTERRUPTED', `${runs.length} of ${jobs.length} runs are kept in ${folder}; repeat to go on`);
    return runs;
  } finally {
    released();
  }
}

export interface Presented {
  /** What the table says of each arm, the best first. */
  readonly rows: readonly Readonly<Record<string, string>>[];
  readonly metric: string;
}

/** Writes `<name>.md` and `<name>.svg` and shows the table. */
export async function present(
  runs: readonly Finished[],
  {
    folder,
    name,
    title,
    axis,
  }: { readonly folder: string; readonly name: string; readonly title: string; readonly axis: Axis },
  wanted: string | undefined,
  { output }: Io,
): Promise<Presented> {
  const known = [...new Set(runs.flatMap(({ curve }) => Object.keys(curve.points.at(-1)!.metrics)))];
  const metric = wanted ?? ['eval/accuracy', 'eval/f1'].find((one) => known.includes(one)) ?? 'eval/loss';
  if (!known.includes(metric)) throw new Fault('CONFIG_INVALID', `--metric: takes one of ${known.join(', ')}`);
  const worth = (group: readonly Finished[]): number => {
    const values = group.map(({ curve }) => curve.points.at(-1)!.metrics[metric] ?? Number.NaN);
    const sum = values.reduce((a, b) => a + b, 0) / values.length;
    return Number.isNaN(sum) ? Number.NEGATIVE_INFINITY : isScore(metric) ? sum : -sum;
  };
  const groups = [...byArm(runs)].sort((a, b) => worth(b) - worth(a));
  const rows = groups.map((group) => rowOf(group, known));
  const sorted = groups.flat();
  await writeFile(join(folder, `${name}.md`), `# ${title}\n\n${markdownOf(rows)}\n`);
  await writeFile(
    join(folder, `${name}.svg`),
    svgOf({ title, x: axis, y: metric, series: seriesOf(sorted, axis, metric) }),
  );
  const headings = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  output.table(title, [headings, ...rows.map((row) => headings.map((key) => row[key] ?? ''))]);
  return { rows, metric };
}

/** Every setting with every seed. @param of a configuration for a setting and a seed. */
export async function jobsOf(
  settings: readonly Setting[],
  seeds: readonly number[],
  of: (setting: Setting, seed: number) => Promise<Rated>,
): Promise<Job[]> {
  const jobs: Job[] = [];
  for (const seed of seeds) for (const arm of settings) jobs.push({ arm, seed, config: await of(arm, seed) });
  return jobs;
}

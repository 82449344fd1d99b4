/**
 * `murmur sweep`: a run with other values of any keys, every combination, as a table and a plot.
 *
 * @module
 */
import type { z } from 'zod';
import { Fault } from '../faults.ts';
import type { Argv } from './args.ts';
import { compare, comparingFlags, comparingOf, configWith, jobsOf, present } from './compare.ts';
import { combinations } from './study.ts';
import type { Io } from './verb.ts';

export const usage: string = `sweep [run.yaml] --over KEYS [flags]

Trains with every combination of the values given, several seeds each, and says which is best: a table, sweep.md,
sweep.svg and runs.json in the output folder. Takes what train takes; each run is one replica in this process, whose
result is that of a swarm to the bit. What is finished is kept: repeat the command to go on, or with more values.
  murmur sweep run.yaml --over "learning_rate=1e-4,3e-4,1e-3" --seeds 1,2,3
  murmur sweep run.yaml --over "method=onebyte,mezo;eps=1e-3,1e-2" --output_dir sweep`;

export const flags: z.ZodObject = comparingFlags;

export async function run(argv: Argv, io: Io): Promise<Readonly<Record<string, unknown>>> {
  const { own, argv: rest } = comparingOf(argv);
  if (own.over === undefined)
    throw new Fault('CONFIG_INVALID', '--over is missing; name keys and values, such as "learning_rate=1e-4,1e-3"');
  const settings = combinations(own.over);
  const jobs = await jobsOf(settings, own.seeds, (setting, seed) =>
    configWith('sweep', rest, { ...setting, seed: String(seed) }, io),
  );
  const folder = jobs[0]!.config.output_dir;
  const runs = await compare(jobs, folder, own.parallel, io);
  const title = `${own.over}: ${jobs.length} runs`;
  const { rows, metric } = await present(runs, { folder, name: 'sweep', title, axis: 'round' }, own.metric, io);
  return { best: rows[0]!['arm'], [metric]: rows[0]![metric], runs: jobs.length, path: folder };
}

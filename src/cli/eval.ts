/**
 * `murmur eval`: held-out loss and accuracy of a run's weights, at its end or after any round.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { blobRef } from '../peer/node/blobs.ts';
import { openRun, requireData } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { dataFile } from './data.ts';
import { evalModel } from './eval-model.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import { resolving } from './prepare.ts';
import type { Io } from './verb.ts';

export const usage: string = `eval [output_dir] [flags]

Rebuilds the weights of a run and judges them on its held-out data, or on a file of your own with --on. Without a run,
judges a model as it is on a task: zero-shot, or with examples of --data in its prompts.
  murmur eval out
  murmur eval out --rounds 0 --on test.jsonl
  murmur eval --model my-model --task sst2 --on dev.tsv --shots_in_context 8 --data train.tsv`;

const own = z.strictObject({
  ...pastFlags,
  on: z.string().min(1).optional().describe('Data to judge on, of the same form as the training data.'),
  rounds: z.int().min(0).optional().describe('Judge the weights after so many rounds; 0 is the base. Default: all.'),
  task: z.string().min(1).optional().describe('Without a run: a named task, or a .yaml file.'),
  shots_in_context: z.int().min(0).default(0).describe('Without a run: examples in front of every prompt.'),
  seed: z.int().min(0).max(0xffff_ffff).default(42).describe('Without a run: which examples these are.'),
  max_eval_samples: z.int().min(1).optional().describe('Judge on the first so many samples only.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, io: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const { model } = given;
  if (argv.words.length === 0 && model !== undefined) return evalModel({ ...given, model }, io);
  const alien = (['task', 'shots_in_context', 'seed'] as const).find((key) => Object.hasOwn(argv.flags, key));
  if (alien) throw new Fault('CONFIG_INVALID', `--${alien}: is for a model without a run; leave it out`);
  const { output, env } = io;
  const past = await openRun(oneRun('eval', argv), given);
  const until = roundsWanted(past, given.rounds);
  const on = given.on === undefined ? undefined : await dataFile(given.on, 'validation', resolving({}, output, env));
  const evalData = on && (await blobRef(on.path, on.name));
  const paths = on && evalData ? { ...past.paths, [evalData.sha256]: on.path } : past.paths;
  requireData({ ...past, paths }, evalData);
  const judge = { evalData, maxEvalSamples: given.max_eval_samples };
  const replica = await rebuild({ ...past, paths }, given, output, { until, judge });
  try {
    return { rounds: until, ...(await replica.evaluate()) };
  } finally {
    await replica.close();
  }
}

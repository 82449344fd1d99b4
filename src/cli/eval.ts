/**
 * `murmur eval`: held-out loss and accuracy of a run's weights, at its end or after any round.
 *
 * @module
 */
import { z } from 'zod';
import { blobRef } from '../peer/node/blobs.ts';
import { rewardPath } from '../peer/node/reward.ts';
import { openRun, requireData } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `eval <output_dir> [flags]

Rebuilds the weights of a run and judges them on its held-out data, or on a file of your own with --on.
  murmur eval out
  murmur eval out --rounds 0 --on test.jsonl`;

const own = z.strictObject({
  ...pastFlags,
  on: z.string().min(1).optional().describe('Data to judge on, of the same form as the training data.'),
  reward: z.string().min(1).optional().describe('Your copy of the reward of the run, to judge by it too.'),
  rounds: z.int().min(0).optional().describe('Judge the weights after so many rounds; 0 is the base. Default: all.'),
  max_eval_samples: z.int().min(1).optional().describe('Judge on the first so many samples only.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('eval', argv), given);
  const until = roundsWanted(past, given.rounds);
  const evalData = given.on === undefined ? undefined : await blobRef(given.on, given.on);
  // Only what is named here is run: the list of files came with the folder.
  const reward = given.reward === undefined ? {} : await rewardPath(past.manifest, given.reward);
  const paths = { ...past.paths, ...(evalData ? { [evalData.sha256]: given.on! } : {}), ...reward };
  requireData({ ...past, paths }, evalData);
  const judge = { evalData, maxEvalSamples: given.max_eval_samples };
  const replica = await rebuild({ ...past, paths }, given, output, { until, judge });
  try {
    return { rounds: until, ...(await replica.evaluate()) };
  } finally {
    await replica.close();
  }
}

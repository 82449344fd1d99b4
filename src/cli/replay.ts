/**
 * `murmur replay`: the model again, from the base and the journal alone.
 *
 * @module
 */
import { z } from 'zod';
import { toHex } from '../numeric/bytes.ts';
import { openRun } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { exportModel, requireNew } from './export.ts';
import { oneRun, pastFlags, rebuild, roundsWanted } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `replay <output_dir> [flags]

Rebuilds the weights of a run from its base and its journal, checks every digest that the journal holds, and prints the
digest of the result: equal digests mean equal bits. With --output_dir the model is written there as well.
  murmur replay out
  murmur replay out --output_dir again --json`;

const own = z.strictObject({
  ...pastFlags,
  output_dir: z.string().min(1).optional().describe('Folder to write the rebuilt model to.'),
  rounds: z.int().min(0).optional().describe('Stop after so many rounds. Default: all.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('replay', argv), given);
  if (given.output_dir !== undefined) await requireNew(given.output_dir);
  const until = roundsWanted(past, given.rounds);
  const replica = await rebuild(past, given, output, { until });
  try {
    const digest = toHex(await replica.root());
    if (given.output_dir !== undefined) await exportModel(past, replica, given.output_dir);
    return { digest, rounds: until, 'journal/bytes': past.bytes };
  } finally {
    await replica.close();
  }
}

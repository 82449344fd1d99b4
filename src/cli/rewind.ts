/**
 * `murmur rewind`: a run goes back to an earlier round, and on from there.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { takeBackIn } from '../peer/node/take-back.ts';
import { type Argv, flagsOf } from './args.ts';
import type { Io } from './verb.ts';

export const usage: string = `rewind <output_dir> <round> [flags]

Takes back all rounds but the first so many: weights, learning rate and scale of the bytes are as they were after
them, and the run goes on from there. The journal keeps what was, so that it can be audited. With the same peers it
would go the same way again: "murmur revoke" whoever did the damage first. A host that is running does it between two
rounds where the method allows that, and all peers follow; else stop it, rewind, and repeat the command that began it.
  murmur rewind out 400`;

const own = z.strictObject({});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  flagsOf(own, argv);
  const [where, number = '', ...more] = argv.words;
  if (where === undefined || more.length > 0 || !/^\d{1,9}$/.test(number))
    throw new Fault('CONFIG_INVALID', 'rewind: takes the output_dir of a run and how many rounds are to stay');
  const { records, round, live } = await takeBackIn(where, { type: 'rewind', round: Number(number) });
  if (!live) output.note('the journal says so; replicas follow when the run goes on, and tools that read it at once');
  return { records, rounds: round, live };
}

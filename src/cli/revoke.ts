/**
 * `murmur revoke`: what a peer gave counts no more, on every machine of the run.
 *
 * @module
 */
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { takeBackIn } from '../peer/node/take-back.ts';
import { type Argv, flagsOf } from './args.ts';
import type { Io } from './verb.ts';

export const usage: string = `revoke <output_dir> <peer> [flags]

Takes back, exactly, every gradient that a peer gave, and excludes it from the run: the weights are then, bit for bit,
those of the journal without its records. What others measured meanwhile was measured at weights that it had a part in,
and stays: for damage that went deep there is "murmur rewind". A host that is running does it between two rounds, and
all peers follow; else the journal says so, and whoever reads it next follows. First comes the output_dir of the run on
its host, or the link in its control.json; <peer> is a slot or a name, as "murmur inspect" lists them.
  murmur revoke out mallory
  murmur revoke out 3 --from 100 --to 200 --reason "its memory is broken"`;

const own = z.strictObject({
  from: z.int().min(0).optional().describe('First round whose records are taken back. Default: the first of all.'),
  to: z.int().min(1).optional().describe('The round before which that ends. Default: all there are.'),
  reason: z.string().min(1).max(512).default('revoked').describe('Why, for all who read the journal.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const [where, peer, ...more] = argv.words;
  if (where === undefined || peer === undefined || more.length > 0)
    throw new Fault('CONFIG_INVALID', 'revoke: takes the output_dir of a run and a peer; see "murmur revoke --help"');
  const { slot, records, round, live } = await takeBackIn(where, { type: 'revoke', peer, ...given });
  if (!live) output.note('the journal says so; replicas follow when the run goes on, and tools that read it at once');
  return { slot, records, rounds: round, live };
}

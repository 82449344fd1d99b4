/**
 * What the verbs about a finished or interrupted run share: which run, where its files lie, and its rebuilt replica.
 *
 * @module
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import type { NodeReplica, ReplicaSpec } from '../peer/node/open-replica.ts';
import { threadedReplica } from '../peer/node/replica-thread.ts';
import { basePaths, type Given, type RunFolder, replay, requireBase } from '../peer/node/run-folder.ts';
import type { Argv } from './args.ts';
import { OFFLOAD } from './keys.ts';
import type { Output } from './output.ts';

type OptionalText = z.ZodOptional<z.ZodString>;

/** Flags of verbs that rebuild a model. */
export const pastFlags: {
  readonly model: OptionalText;
  readonly data: OptionalText;
  readonly eval_data: OptionalText;
  readonly threads: z.ZodOptional<z.ZodInt>;
  readonly offload_folder: OptionalText;
} = {
  model: z.string().min(1).optional().describe('Folder of the base, if it is not where it was.'),
  data: z.string().min(1).optional().describe('Training data, if it is not where it was.'),
  eval_data: z.string().min(1).optional().describe('Held-out data, if it is not where it was.'),
  threads: z.int().min(1).max(1024).optional().describe('Threads to compute with. Default: all cores.'),
  offload_folder: z.string().min(1).optional().describe(OFFLOAD),
};

export interface PastFlags extends Given {
  readonly threads?: number | undefined;
  readonly offload_folder?: string | undefined;
}

/** The one word a verb takes. @throws {Fault} CONFIG_INVALID */
export function oneRun(verb: string, { words }: Argv): string {
  const [run, ...more] = words;
  if (run === undefined || more.length > 0)
    throw new Fault('CONFIG_INVALID', `${verb}: takes the output_dir of one run; "murmur ${verb} --help" shows how`);
  return run;
}

/** How far to replay. @param rounds as the flag of that name says; all by default. @throws {Fault} CONFIG_INVALID */
export function roundsWanted({ ledger }: RunFolder, rounds: number = ledger.round): number {
  if (rounds <= ledger.round) return rounds;
  throw new Fault('CONFIG_INVALID', `--rounds: takes at most ${ledger.round}, the rounds of this run, got ${rounds}`);
}

export interface Rebuild {
  /** Rounds to apply; all by default. */
  readonly until?: number;
  /** What to judge the weights by. Without it no data is read. */
  readonly judge?: Pick<ReplicaSpec, 'evalData' | 'maxEvalSamples'>;
}

/** The weights after some rounds, every digest on the way checked. The caller closes the replica. */
export async function rebuild(
  run: RunFolder,
  { threads = availableParallelism(), offload_folder: offloadFolder }: PastFlags,
  output: Output,
  { until = run.ledger.round, judge }: Rebuild = {},
): Promise<NodeReplica> {
  requireBase(run);
  const paths = judge ? run.paths : basePaths(run);
  const replica = await threadedReplica({ manifest: run.manifest, paths, threads, offloadFolder, ...judge });
  try {
    await replay(run, replica, until, (done) => output.progress({ task: 'replaying rounds', done, total: until }));
  } catch (error) {
    await replica.close();
    throw error;
  }
  return replica;
}

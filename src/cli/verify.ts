/**
 * `murmur verify`: whether a journal is whole, signed and consistent, and whether it gives the weights it says.
 *
 * @module
 */
import { z } from 'zod';
import { toHex } from '../numeric/bytes.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { openRun } from '../peer/node/run-folder.ts';
import { checkStandings } from '../peer/standing.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `verify <output_dir> [flags]

Checks every record of a journal: checksum, chain, signature, order and arithmetic. Where the base is on this machine,
also replays it and compares every digest. Names the first record that is wrong.
  murmur verify out`;

const own = z.strictObject(pastFlags);
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('verify', argv), given);
  const { records, ledger, manifest, paths, bytes } = past;
  checkStandings(records, nodeCrypto);
  const report = {
    records: records.length,
    rounds: ledger.round,
    digests: ledger.digests.size,
    'journal/bytes': bytes,
  };
  if (manifest.base.files.some(({ sha256 }) => paths[sha256] === undefined)) {
    output.note(`the base "${manifest.base.name}" is not on this machine: weights were not compared (see --model)`);
    return { journal: 'valid', weights: 'not compared', ...report };
  }
  const replica = await rebuild(past, given, output);
  try {
    return { journal: 'valid', weights: 'equal', ...report, digest: toHex(await replica.root()) };
  } finally {
    await replica.close();
  }
}

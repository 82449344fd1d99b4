/**
 * `murmur verify`: whether a journal is whole, signed and consistent, and whether it gives the weights it says.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { partingOf } from '../journal/fork.ts';
import { type JournalRecord, verifyJournal } from '../journal/reader.ts';
import { signatureOf } from '../journal/record.ts';
import { toHex } from '../numeric/bytes.ts';
import { httpFetcher } from '../peer/http-fetcher.ts';
import { filesOf } from '../peer/link.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { journalPath, openRun } from '../peer/node/run-folder.ts';
import { checkStandings } from '../peer/standing.ts';
import { type Argv, flagsOf } from './args.ts';
import type { Output } from './output.ts';
import { oneRun, pastFlags, rebuild } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `verify <output_dir> [flags]

Checks every record of a journal: checksum, chain, signature, order and arithmetic. Where the base is on this machine,
also replays it and compares every digest. Names the first record that is wrong.
With --against, compares it with somebody else's copy: two that part, both signed by the coordinator, are proof that it
showed two histories, and are named record by record.
  murmur verify out
  murmur verify out --against alices-copy.murmur
  murmur verify out --against http://192.168.1.20:7777/view/3f9a…`;

const own = z.strictObject({
  ...pastFlags,
  against: z
    .string()
    .min(1)
    .optional()
    .describe('Another copy of the journal: an output_dir, a file, or a join or view link of whoever has it.'),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const past = await openRun(oneRun('verify', argv), given);
  const { records, ledger, manifest, paths, bytes } = past;
  checkStandings(records, nodeCrypto);
  const compared = given.against === undefined ? {} : await compare(records, given.against, output);
  const report = {
    ...compared,
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

/** @throws {Fault} JOURNAL_FORKED, JOURNAL_FOREIGN, and whatever the other copy is refused for */
async function compare(
  records: readonly JournalRecord[],
  against: string,
  output: Output,
): Promise<Readonly<Record<string, unknown>>> {
  const bytes = /^https?:/.test(against)
    ? await httpFetcher(filesOf(against)).journal(0)
    : new Uint8Array(await readFile(await journalPath(against)));
  const other = verifyJournal(bytes, nodeCrypto).records;
  const at = partingOf(records, other);
  if (at === undefined)
    return {
      against: other.length > records.length ? 'longer' : 'agrees',
      common: Math.min(records.length, other.length),
    };
  const [own, theirs] = [records[at]!, other[at]!];
  for (const [copy, { hash, bytes: record }] of [
    ['this', own],
    [against, theirs],
  ] as const)
    output.event({ event: 'fork', record: at, copy, hash: toHex(hash), signature: toHex(signatureOf(record)) });
  throw new Fault(
    'JOURNAL_FORKED',
    `record ${at} is another in ${against}, and the coordinator signed both; do not trust this run, and show both copies`,
  );
}

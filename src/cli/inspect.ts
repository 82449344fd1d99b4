/**
 * `murmur inspect`: what a journal holds, for people.
 *
 * @module
 */
import { z } from 'zod';
import { budgetOf } from '../estimator/privacy.ts';
import { describe } from '../journal/describe.ts';
import { toHex } from '../numeric/bytes.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { mergesOf, roundsOf } from '../peer/ledger.ts';
import { openRun } from '../peer/node/run-folder.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun } from './past.ts';
import type { Io } from './verb.ts';

export const usage: string = `inspect <output_dir> [flags]

Shows the manifest of a run, who took part, how held-out loss went, and where the bytes of its journal are.
  murmur inspect out
  murmur inspect out --records`;

const own = z.strictObject({ records: z.boolean().default(false).describe('List every record.') });
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const { records: list } = flagsOf(own, argv);
  const { manifest, records, ledger, bytes } = await openRun(oneRun('inspect', argv));
  const { base, data, ...rest } = manifest;
  const rows = Object.entries(rest).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  output.table('Manifest', [
    ['key', 'value'],
    ['base', `${base.name} (${base.files.map(({ path }) => path).join(', ')})`],
    ['data', data.train.path],
    ...rows,
  ]);
  const promises = promisesOf(manifest);
  output.table('Promises', [
    ['promise', 'kept', 'why'],
    ...Object.entries(promises).map(([name, { holds, why }]) => [name, holds ? 'yes' : 'no', why]),
  ]);
  const budget = manifest.privacy && budgetOf(manifest.privacy);
  if (budget)
    output.table('Privacy', [
      ['of any one training example', ''],
      ['epsilon, at most', budget.epsilon.toFixed(2)],
      ['delta', String(budget.delta)],
    ]);
  const rounds = roundsOf(records.map(({ entry }) => entry));
  const sent = new Map<number, number>();
  for (const { segments } of rounds)
    for (const { slot, codes } of segments) sent.set(slot, (sent.get(slot) ?? 0) + codes.length);
  for (const { shares } of mergesOf(records.map(({ entry }) => entry)))
    for (const { slot, count } of shares) sent.set(slot, (sent.get(slot) ?? 0) + count);
  output.table('Peers', [
    ['slot', 'name', manifest.exchange ? 'steps' : 'gradients', 'key'],
    ...[...ledger.admitted.values()].map(({ slot, name, key, evicted }) => [
      String(slot),
      evicted ? `${name} (evicted)` : name,
      String(sent.get(slot) ?? 0),
      `${toHex(key).slice(0, 16)}…`,
    ]),
  ]);
  output.table('Held out', [
    ['rounds', 'metrics'],
    ...[...ledger.evaluated].map(([round, metrics]) => [
      String(round),
      Object.entries(metrics)
        .map(([name, value]) => `${name} ${value.toFixed(4)}`)
        .join('   '),
    ]),
  ]);
  if (list)
    output.table('Records', [
      ['#', 'byte', 'bytes', 'type', ''],
      ...records.map(({ index, offset, bytes: { length }, entry }) => [
        ...[index, offset, length].map(String),
        entry.type,
        describe(entry),
      ]),
    ]);
  const gradients = rounds.reduce((sum, { segments }) => sum + segments.reduce((n, s) => n + s.codes.length, 0), 0);
  const perType: Record<string, number> = {};
  for (const {
    entry,
    bytes: { length },
  } of records)
    perType[entry.type] = (perType[entry.type] ?? 0) + length;
  output.table('Journal', [['records of', 'bytes'], ...Object.entries(perType).map(([type, n]) => [type, String(n)])]);
  return {
    rounds: ledger.round,
    gradients,
    'journal/bytes': bytes,
    'journal/bytes_per_gradient': gradients === 0 ? 0 : bytes / gradients,
    manifest,
    promises: Object.fromEntries(Object.entries(promises).map(([name, { holds }]) => [name, holds])),
    ...(budget ? { privacy: budget } : {}),
    evaluations: Object.fromEntries(ledger.evaluated),
  };
}

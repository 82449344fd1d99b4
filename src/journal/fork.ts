/**
 * Two copies of one journal: whether they are one history. A peer hears only its host, and would not know that others
 * are told something else; whoever holds two copies does.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { equalBytes, toHex } from '../numeric/bytes.ts';
import type { JournalRecord } from './reader.ts';

/**
 * The first record in which two verified journals differ; undefined where one continues the other. As both are signed by
 * the coordinator that their common manifest names, it is proof that this one signed two histories.
 * @throws {Fault} JOURNAL_FOREIGN for journals of two runs
 */
export function partingOf(a: readonly JournalRecord[], b: readonly JournalRecord[]): number | undefined {
  const both = Math.min(a.length, b.length);
  if (both > 0 && !equalBytes(a[0]!.hash, b[0]!.hash))
    throw new Fault(
      'JOURNAL_FOREIGN',
      `these are journals of two runs, ${toHex(a[0]!.hash).slice(0, 16)}… and ${toHex(b[0]!.hash).slice(0, 16)}…; compare two of one`,
    );
  // Each hash covers all before it: where the last are equal, everything is.
  if (both === 0 || equalBytes(a[both - 1]!.hash, b[both - 1]!.hash)) return undefined;
  let [same, other] = [0, both - 1];
  while (other - same > 1) {
    const middle = (same + other) >> 1;
    if (equalBytes(a[middle]!.hash, b[middle]!.hash)) same = middle;
    else other = middle;
  }
  return other;
}

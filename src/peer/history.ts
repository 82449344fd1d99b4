/**
 * The rounds of a journal as they count now: revocations and rewinds are carried out here. A list from the latest to the
 * first, so that one round more costs nothing and earlier states stay what they were.
 *
 * @module
 */
import type { Entry, Round } from '../nouns.ts';

export interface Past {
  /** As it was committed: headers of later rounds follow from it. */
  readonly committed: Round;
  /** Without what was revoked: what moves the weights. The same object where nothing was. */
  readonly counted: Round;
  readonly before: Past | undefined;
}

type Revocation = Omit<Extract<Entry, { readonly type: 'revoke' }>, 'type'>;

/** After one more round. */
export const withRound = (past: Past | undefined, round: Round): Past => ({
  committed: round,
  counted: round,
  before: past,
});

/** The first `rounds` rounds. */
export function firstOf(past: Past | undefined, rounds: number): Past | undefined {
  let left = past;
  while (left !== undefined && left.committed.header.round >= rounds) left = left.before;
  return left;
}

/** Without the records of a slot in some rounds. Headers stay. */
export function withoutSlot(past: Past | undefined, { slot, from, to }: Revocation): Past | undefined {
  const later: Past[] = [];
  let left = past;
  for (; left !== undefined && left.committed.header.round >= from; left = left.before) later.push(left);
  return later.reduceRight<Past | undefined>((before, one) => {
    const { header, segments } = one.counted;
    const isOf = header.round < to && segments.some((segment) => segment.slot === slot);
    const counted = isOf ? { header, segments: segments.filter((segment) => segment.slot !== slot) } : one.counted;
    return { committed: one.committed, counted, before };
  }, left);
}

/** Rounds in order. @param which of the two versions */
export function roundsIn(past: Past | undefined, which: 'committed' | 'counted' = 'counted'): Round[] {
  const rounds: Round[] = [];
  for (let left = past; left !== undefined; left = left.before) rounds.push(left[which]);
  return rounds.reverse();
}

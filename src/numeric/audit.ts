/**
 * Which of the claims of a redundancy group a round takes (docs/NUMBERS.md 11): all replicas check that it took that one,
 * so it is a rule over the claims and nothing else.
 *
 * @module
 */
import { type AuditClaim, NO_LOSS } from '../nouns.ts';

/** Between two codes of which one says that there was no loss: more than two numbers can be apart. */
const NO_LOSS_APART = 255;

/** How far apart two codes of one record are. */
export const apart = (a: number, b: number): number =>
  a === b ? 0 : a === NO_LOSS || b === NO_LOSS ? NO_LOSS_APART : Math.abs(a - b);

/** Records that all claims hold: the first so many of their range. */
export const compared = (claims: readonly AuditClaim[]): number => Math.min(...claims.map(({ codes }) => codes.length));

/** Of each of three claims, the sum of what its compared codes are away from the median of the three. */
function deviations(claims: readonly AuditClaim[]): readonly number[] {
  const sums = claims.map(() => 0);
  for (let i = 0; i < compared(claims); i++) {
    const codes = claims.map((claim) => claim.codes[i]!);
    const middle = [...codes].sort((a, b) => a - b)[1]!;
    for (const [k, code] of codes.entries()) sums[k]! += apart(code, middle);
  }
  return sums;
}

/**
 * The claim that stands for its group: of the two longest, the one nearer to the median; of two that are as near, the
 * longer; of two that are as long, the one of the lower slot. Of two claims there is no median, and length decides.
 *
 * @param claims two or three.
 */
export function chosenClaim(claims: readonly AuditClaim[]): AuditClaim {
  const [, second] = claims.map(({ codes }) => codes.length).sort((a, b) => b - a);
  const away = claims.length === 3 ? deviations(claims) : claims.map(() => 0);
  const candidates = claims
    .map((claim, i) => ({ claim, away: away[i]! }))
    .filter(({ claim }) => claim.codes.length >= second!);
  candidates.sort(
    (a, b) => a.away - b.away || b.claim.codes.length - a.claim.codes.length || a.claim.slot - b.claim.slot,
  );
  return candidates[0]!.claim;
}

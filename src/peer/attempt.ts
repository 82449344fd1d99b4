/**
 * The round that is being measured: whose share is what, and the sums over all shares that decide when it closes. Of a
 * thousand shares one changes at a time, so the sums are kept up and not taken anew.
 *
 * @module
 */
import { Table } from '../numeric/table.ts';
import type { Attempt, Member, Share, Sums } from './state.ts';

const NOTHING: Sums = { delivered: 0, missing: 0, able: 0, given: 0, wanted: 0 };

const one = (holds: boolean): number => (holds ? 1 : 0);

/** What a share adds to the sums. */
function sumsOf(share: Share | undefined, { status, channel }: Pick<Member, 'status' | 'channel'>): Sums {
  if (share === undefined) return NOTHING;
  const { codes, given, count } = share;
  return {
    delivered: one(codes !== undefined),
    missing: one(codes === undefined && channel !== undefined),
    able: one(status === 'ready'),
    given,
    wanted: count,
  };
}

const moved = (sums: Sums, from: Sums, to: Sums): Sums => ({
  delivered: sums.delivered - from.delivered + to.delivered,
  missing: sums.missing - from.missing + to.missing,
  able: sums.able - from.able + to.able,
  given: sums.given - from.given + to.given,
  wanted: sums.wanted - from.wanted + to.wanted,
});

/** @param members all who have a share. */
export function attemptOf(openedAt: number, shares: readonly Share[], members: Table<Member>): Attempt {
  const sums = shares.reduce<Sums>(
    (sum, share) => moved(sum, NOTHING, sumsOf(share, members.get(share.slot)!)),
    NOTHING,
  );
  return { ...sums, openedAt, shares: Table.of(shares.map((share) => [share.slot, share])), span: 0, renewAt: 0 };
}

/** @param member whose share it is. */
export function withShare(attempt: Attempt, share: Share, member: Member): Attempt {
  const sums = moved(attempt, sumsOf(attempt.shares.get(share.slot), member), sumsOf(share, member));
  return { ...attempt, ...sums, shares: attempt.shares.set(share.slot, share) };
}

export function withoutShare(attempt: Attempt, member: Member): Attempt {
  const sums = moved(attempt, sumsOf(attempt.shares.get(member.slot), member), NOTHING);
  return { ...attempt, ...sums, shares: attempt.shares.delete(member.slot), renewAt: 0 };
}

/** Its peer has become another. */
export function withMember(attempt: Attempt, before: Member, after: Member): Attempt {
  if (before.status === after.status && before.channel === after.channel) return attempt;
  const share = attempt.shares.get(after.slot);
  if (share === undefined) return attempt;
  return { ...attempt, ...moved(attempt, sumsOf(share, before), sumsOf(share, after)) };
}

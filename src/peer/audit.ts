/**
 * Audits: some records are measured by three peers who do not know of each other, along the same direction, on the same
 * samples. What they say must agree within the noise of their devices; whoever two others contradict gets a strike.
 *
 * Everything here follows from the journal and from a secret of the host: the book of an audit can be made again from the
 * entries, so an eviction has its evidence on the record.
 *
 * @module
 */
import type { Audit, AuditClaim, Precision } from '../nouns.ts';
import { apart, compared } from '../numeric/audit.ts';
import { ASSIGNMENT_STREAM, block } from '../numeric/noise.ts';
import { assign, type Range, type Worker } from './assignment.ts';

/** What a host decides of audits. Neither changes a bit of what a round is worth. */
export interface AuditRules {
  /** Part of the records that three peers measure, 0 to 1. */
  readonly fraction: number;
  /** Three words that only the host knows: with them anybody could tell who is audited. */
  readonly secret: readonly [number, number, number];
}

/** @param entropy random bytes. */
export function auditRules(fraction: number, entropy: (bytes: number) => Uint8Array): AuditRules {
  const bytes = new DataView(entropy(12).slice().buffer);
  return { fraction, secret: [bytes.getUint32(0), bytes.getUint32(4), bytes.getUint32(8)] };
}

const GROUP = 3;
/** A peer whose rate is within this factor of another's: with much slower ones it would be given less than it is used to. */
const ALIKE = 2;

/**
 * Mean difference of codes that is always borne. A device may join whose slopes are off by 2 % of the largest
 * (`known-answer.ts`), 2.5 codes of 127, and half a code is rounded on either side. In an int8 run a peer may measure in
 * f32, and bytes may be off by half of the slopes' size (`cli/precision.ts`).
 */
const BORNE: Readonly<Record<Precision, number>> = { f32: 3, int8: 32 };
/** And so many times the usual difference between the two that agree best. */
const SPREADS = 8;
/** Audits that tell what is usual. */
const WINDOW = 128;

// ------------------------------------------------------------------------------------------------------ assignment

/** Numbers in [0, 1) of a round, which nobody can know without the secret. */
function draws({ secret: [a, b, c] }: AuditRules, round: number): () => number {
  const words = new Uint32Array(4);
  let next = 0;
  return () => {
    const i = next++;
    return block({ round, run: a, sample: b, slot: c }, ASSIGNMENT_STREAM, 0, 0, i >>> 2, words)[i & 3]! / 2 ** 32;
  };
}

function shuffled<T>(values: readonly T[], draw: () => number): T[] {
  const a = [...values];
  for (let i = a.length - 1; i > 0; i--) {
    const j = Math.floor(draw() * (i + 1));
    [a[i], a[j]] = [a[j]!, a[i]!];
  }
  return a;
}

/** Groups of a round among n peers: as many as make `fraction` of its records on average. */
function groupsOf(n: number, fraction: number, draw: () => number): number {
  const part = (groups: number): number => groups / (n - (GROUP - 1) * groups);
  const most = Math.floor(n / GROUP);
  let groups = 0;
  while (groups < most && part(groups + 1) <= fraction) groups++;
  if (groups === most) return most;
  return draw() < (fraction - part(groups)) / (part(groups + 1) - part(groups)) ? groups + 1 : groups;
}

/** Whoever is first in a list, and two others of about its rate if there are any. The rest stay in their order. */
function groupOf(workers: readonly Worker[]): { readonly group: readonly Worker[]; readonly rest: readonly Worker[] } {
  const [first, ...others] = workers;
  const isAlike = ({ rate }: Worker): boolean =>
    rate === undefined || first!.rate === undefined || Math.max(rate / first!.rate, first!.rate / rate) <= ALIKE;
  const alike = others.filter(isAlike);
  const partners = (alike.length >= GROUP - 1 ? alike : others).slice(0, GROUP - 1);
  return { group: [first!, ...partners], rest: others.filter((worker) => !partners.includes(worker)) };
}

/**
 * As `assign`, with some ranges given to three peers each. Ranges lie in an order drawn for the round: where a peer's
 * begins says nothing of whether others have it too.
 *
 * @returns ranges by slot; those of a group are equal.
 */
export function assignAudited(workers: readonly Worker[], records: number, rules: AuditRules, round: number): Range[] {
  const draw = draws(rules, round);
  let rest: readonly Worker[] = shuffled(
    [...workers].sort((a, b) => a.slot - b.slot),
    draw,
  );
  const teams: (readonly Worker[])[] = [];
  for (let left = groupsOf(rest.length, rules.fraction, draw); left > 0; left--) {
    const next = groupOf(rest);
    teams.push(next.group);
    rest = next.rest;
  }
  const units = shuffled([...teams, ...rest.map((worker) => [worker])], draw);
  const ranges = assign(
    units.map((team, slot): Worker => {
      const rates = team.flatMap(({ rate }) => rate ?? []);
      const rate = rates.length === 0 ? undefined : Math.min(...rates);
      // What one invite may have at most, the records of its peers' groups have too.
      const { invite, maxShare } = team.reduce((a, b) => ((b.maxShare ?? 1) < (a.maxShare ?? 1) ? b : a));
      return { slot, rate, worked: Math.min(...team.map(({ worked }) => worked)), invite, maxShare };
    }),
    records,
  );
  return ranges
    .flatMap(({ slot, from, count }) => units[slot]!.map((worker): Range => ({ slot: worker.slot, from, count })))
    .sort((a, b) => a.slot - b.slot);
}

// --------------------------------------------------------------------------------------------------------- results

/** Deliveries to one range by several peers, by its first record. */
export function groupsAmong<T extends Pick<Range, 'slot' | 'from'>>(shares: readonly T[]): readonly (readonly T[])[] {
  const byFrom = new Map<number, T[]>();
  for (const share of shares) byFrom.set(share.from, [...(byFrom.get(share.from) ?? []), share]);
  return [...byFrom.values()].map((group) => group.sort((a, b) => a.slot - b.slot));
}

/** What audits have found of a key. */
export interface Doubt {
  /** Rounds in which two others contradicted it. */
  readonly rounds: readonly number[];
  /** Slots that did. */
  readonly witnesses: readonly number[];
}

/** What the audits of a run have found. */
export interface AuditBook {
  /** Mean difference between the two of a group that agree best, newest last. */
  readonly gaps: readonly number[];
  readonly doubts: ReadonlyMap<number, Doubt>;
}

export const EMPTY_BOOK: AuditBook = { gaps: [], doubts: new Map() };

/** Mean difference between the codes of two claims, over what all of a group delivered. */
function gap(a: AuditClaim, b: AuditClaim, records: number): number {
  let sum = 0;
  for (let i = 0; i < records; i++) sum += apart(a.codes[i]!, b.codes[i]!);
  return sum / records;
}

/** Mean difference that is noise, by what was found before. */
export function tolerance({ gaps }: AuditBook, precision: Precision): number {
  const usual = gaps.toSorted((a, b) => a - b)[(gaps.length - 1) >> 1] ?? 0;
  return Math.max(BORNE[precision], SPREADS * usual);
}

/**
 * The book after an audit. Of three claims, one is contradicted if the other two agree and it is beyond the tolerance of
 * both; where no two agree, nobody knows who is wrong. Of two claims, neither.
 *
 * @returns `failed`: the slot that gets a strike.
 */
export function judge(
  book: AuditBook,
  { round, claims }: Audit,
  precision: Precision,
): { readonly book: AuditBook; readonly failed?: number } {
  if (claims.length < GROUP) return { book };
  const records = compared(claims);
  const pairs = claims.map((odd) => {
    const [a, b] = claims.filter((claim) => claim !== odd);
    return { odd, a: a!, b: b!, gap: gap(a!, b!, records) };
  });
  const [best] = pairs.toSorted((x, y) => x.gap - y.gap || x.odd.slot - y.odd.slot);
  const { odd, a, b } = best!;
  const most = tolerance(book, precision);
  const next = { ...book, gaps: [...book.gaps, best!.gap].slice(-WINDOW) };
  const contradicted = best!.gap <= most && Math.min(gap(odd, a, records), gap(odd, b, records)) > most;
  if (!contradicted) return { book: next };
  const before = book.doubts.get(odd.slot) ?? { rounds: [], witnesses: [] };
  const doubt: Doubt = {
    rounds: [...before.rounds, round],
    witnesses: [...new Set([...before.witnesses, a.slot, b.slot])].sort((x, y) => x - y),
  };
  return { book: { ...next, doubts: new Map(book.doubts).set(odd.slot, doubt) }, failed: odd.slot };
}

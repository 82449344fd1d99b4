/**
 * Taking committed rounds back, exactly: what they added is owed once more, with the opposite sign, and what is left of
 * them is owed anew. For methods whose steps are sums (docs/NUMBERS.md 6).
 *
 * @module
 */
import { applyRound, lookAtAll, unseen } from '../apply/apply.ts';
import type { Weights } from '../model/weights.ts';
import type { Round } from '../nouns.ts';
import { checkRevocable } from '../optimizer/algebra.ts';
import { recentOf, type Step, type StepRules, stepsOf, type windowOf } from '../optimizer/steps.ts';
import { keptIn, type Learner, type Memory } from './onebyte.ts';

/** Rounds as weights hold them and as they are to, both from the first that differs to the end of each. */
export interface Revision {
  readonly was: readonly Round[];
  /** Not longer. Headers are the same. */
  readonly now: readonly Round[];
  /** Rounds before these, as many as momentum looks back on. */
  readonly recent: readonly Round[];
}

/**
 * @param held all rounds that the weights hold. @param wanted those that count; of these, at most as many are looked at.
 * @returns undefined where nothing differs
 */
export function revisionOf(
  rules: Parameters<typeof windowOf>[0],
  held: readonly Round[],
  wanted: readonly Round[],
): Revision | undefined {
  const first = held.findIndex((round, i) => round !== wanted[i]);
  if (first < 0) return undefined;
  const recent = recentOf(rules, held, first);
  return { was: held.slice(first), now: wanted.slice(first, held.length), recent };
}

/** For each round, the steps that it moves the weights by. */
function stepsIn(rules: StepRules, rounds: readonly Round[], recent: readonly Round[]): (readonly Step[])[] {
  const known = [...recent, ...rounds];
  return rounds.map((round, i) => stepsOf(rules, round, recentOf(rules, known, recent.length + i)));
}

const isSame = (a: Step, b: Step | undefined): boolean =>
  b !== undefined &&
  a.round.segments.length === b.round.segments.length &&
  a.round.segments.every(({ slot, from, codes }, i) => {
    const other = b.round.segments[i]!;
    return slot === other.slot && from === other.from && codes.length === other.codes.length;
  });

/** Owing to these is owing the opposite. Modulo 2^32, as all sums are. */
const opposite = (weights: Weights): Weights => ({
  ...weights,
  owe: (debt) =>
    weights.owe({
      ...debt,
      terms: (tensor, kernels) => debt.terms(tensor, kernels).map(({ key, c }) => ({ key, c: Math.imul(c, -1) })),
    }),
});

/**
 * @param memory of the rounds that the weights hold; set back with them.
 * @param owes is told how many records were owed, and may have them paid.
 * @throws {Fault} NOT_REVOCABLE; RANGE naming the tensor: the weights are no use then
 */
export async function reviseCommitted(
  learner: Learner,
  { was, now, recent }: Revision,
  memory: Memory,
  owes: (records: number) => Promise<void>,
): Promise<void> {
  const { weights, manifest, run } = learner;
  checkRevocable(manifest);
  const { direction, directions, scalar_aggregation: by } = manifest;
  const add = async (to: Weights, { round, age }: Step): Promise<void> => {
    await applyRound(to, direction, run, round, keptIn(learner, round.header.round), age, directions, by);
    await owes(round.header.usable);
  };
  const given = unseen(weights);
  const taken = opposite(given);
  const after = stepsIn(manifest, now, recent);
  for (const [i, steps] of stepsIn(manifest, was, recent).entries())
    for (const [j, step] of steps.entries()) {
      const left = after[i]?.[j];
      if (isSame(step, left)) continue;
      await add(taken, step);
      if (left !== undefined) await add(given, left);
    }
  await lookAtAll(weights);
  const known = [...recent, ...now];
  memory.recent = recentOf(manifest, known, known.length);
}

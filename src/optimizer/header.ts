/**
 * The header of a round: what its bytes are worth (docs/NUMBERS.md 6). It is a function of the manifest and the rounds
 * before, so the host cannot choose it: every replica computes it and refuses another.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { type Header, type Manifest, NO_LOSS, type Round } from '../nouns.ts';
import { root16 } from '../numeric/root.ts';
import { type CodeSums, codeSums, gainOf, type HeaderState, NO_CODES } from './gain.ts';
import { learningRate } from './schedule.ts';

/** What the summed steps of n usable records are divided by. `sqrt` has 16 fractional bits. */
export const DIVISOR: Readonly<Record<Manifest['reduction'], (n: number) => number>> = {
  mean: (n) => n,
  sqrt: root16,
  sum: () => 1,
};

/** The part of a manifest that headers depend on. */
export type HeaderRules = Pick<
  Manifest,
  | 'learning_rate'
  | 'lr_scheduler_type'
  | 'warmup_steps'
  | 'max_steps'
  | 'direction'
  | 'reduction'
  | 'clip'
  | 'optimizer'
>;

/**
 * @param usable codes of the round that are not NO_LOSS; with none, the gain is 0.
 * @param codes of the round, `codeSums`; nothing but the steps of `normalised` and `scalar_adam` depends on them.
 */
export function headerOf(
  rules: HeaderRules,
  state: HeaderState,
  round: number,
  usable: number,
  codes: CodeSums = NO_CODES,
): Header {
  const { optimizer, clip } = rules;
  const { scale } = state;
  if (usable === 0) return { round, usable, gain: 0, scale, clip };
  const rate = learningRate(rules, round);
  const plain = (rate * rules.direction.scale) / DIVISOR[rules.reduction](usable);
  return { round, usable, gain: gainOf(optimizer, { rate, plain, round, state, codes }), scale, clip };
}

/** Codes of a round that carry a loss. */
export function usableCodes(segments: Round['segments']): number {
  let usable = 0;
  for (const { codes } of segments) for (const code of codes) if (code !== NO_LOSS) usable += 1;
  return usable;
}

/**
 * Compares a committed round's header with the one that follows from the rules.
 *
 * @param round the number it must have.
 * @throws {Fault} HEADER_WRONG naming the field.
 */
export function checkHeader(rules: HeaderRules, state: HeaderState, round: number, committed: Round): void {
  const { segments } = committed;
  const expected = headerOf(rules, state, round, usableCodes(segments), codeSums(segments, rules.clip));
  for (const field of ['round', 'usable', 'gain', 'scale', 'clip'] as const)
    if (!Object.is(committed.header[field], expected[field]))
      throw new Fault(
        'HEADER_WRONG',
        `round ${round} has ${field} ${committed.header[field]} and must have ${expected[field]}; the journal is not valid`,
      );
}

/**
 * The rounds that move the weights when one is committed: itself, and with momentum the ones before it once more (MeZO,
 * arXiv:2305.17333, section 2.1: moments recomputed from the history of slopes instead of kept as arrays). Each is a sum
 * of integers, so order stays nothing, and the journal is all the memory there is.
 *
 * @module
 */
import type { Header, Manifest, Round } from '../nouns.ts';
import { power } from './gain.ts';
import { DIVISOR } from './header.ts';

export type StepRules = Pick<Manifest, 'optimizer' | 'reduction'>;

/** A round as it is added to the weights: its header is that of the step, not the committed one. */
export interface Step {
  readonly round: Round;
  /** Rounds since it was measured. */
  readonly age: number;
}

/** With it a code is worth 1 whatever the scale. */
const SIGN: Pick<Header, 'scale' | 'clip'> = { scale: 2 ** 32, clip: 1 };

/** What stays of a step from a round to the next, and for how many rounds in all. */
function decayOf(optimizer: Manifest['optimizer']): { readonly beta: number; readonly window: number } {
  if (optimizer?.kind === 'momentum') return optimizer;
  if (optimizer?.kind === 'scalar_adam' && optimizer.beta1 > 0)
    return { beta: optimizer.beta1, window: optimizer.window };
  return { beta: 0, window: 1 };
}

/** Rounds that one committed round moves the weights by, itself counted. */
export const windowOf = ({ optimizer }: Pick<Manifest, 'optimizer'>): number => decayOf(optimizer).window;

/**
 * Of the rounds of a run, in order from the first, those that must be at hand when round `next` is applied.
 */
export const recentOf = (
  rules: Pick<Manifest, 'optimizer'>,
  rounds: readonly Round[],
  next: number,
): readonly Round[] => rounds.slice(Math.max(0, next - windowOf(rules) + 1), next);

/** @throws {RangeError} unless `recent` is what `recentOf` gives for round `next` */
export function checkRecent(rules: Pick<Manifest, 'optimizer'>, recent: readonly Round[], next: number): void {
  const wanted = Math.min(next, windowOf(rules) - 1);
  const found = recent.map(({ header }) => header.round);
  if (found.length !== wanted || found.some((round, i) => round !== next - wanted + i))
    throw new RangeError(`"recent" expected the ${wanted} rounds before round ${next}, got [${found}]`);
}

/**
 * @param recent `recentOf` the round.
 * @throws {RangeError} when they are not that
 */
export function stepsOf(rules: StepRules, round: Round, recent: readonly Round[]): readonly Step[] {
  const { optimizer, reduction } = rules;
  const { header, segments } = round;
  if (optimizer?.kind === 'sign') return [{ round: { header: { ...header, ...SIGN }, segments }, age: 0 }];
  checkRecent(rules, recent, header.round);
  const { beta } = decayOf(optimizer);
  const divisor = DIVISOR[reduction];
  // A gain of the newest round is per record of it; of an older one it must be per record of that.
  const whole = header.gain * divisor(header.usable);
  const older = recent.flatMap((past): Step[] => {
    const age = header.round - past.header.round;
    const { usable } = past.header;
    if (usable === 0) return [];
    const gain = (whole * power(beta, age)) / divisor(usable);
    return [{ round: { header: { ...past.header, gain }, segments: past.segments }, age }];
  });
  return [{ round, age: 0 }, ...older];
}

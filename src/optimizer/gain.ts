/**
 * What the header's gain makes of a round's slopes, by optimizer (docs/NUMBERS.md 6): as they are, over their spread
 * (FZOO, arXiv:2506.09034), or over the root of a running mean square (MEAZO, arXiv:2605.03869; MeZO-Adam without its
 * arrays). All of it follows from committed codes, so nothing travels and every replica agrees.
 *
 * @module
 */
import { type Manifest, NO_LOSS, type Round } from '../nouns.ts';
import { SCALE_UNIT } from '../numeric/byte.ts';
import { isqrt, squareRoot } from '../numeric/root.ts';
import { nextScale, type ScaleState } from '../numeric/scale.ts';

/** Usable codes of a round, as they count: brought into the clip. Sums are exact: below 2^31. */
export interface CodeSums {
  readonly n: number;
  readonly sum: number;
  readonly squares: number;
}

export const NO_CODES: CodeSums = { n: 0, sum: 0, squares: 0 };

export function codeSums(segments: Round['segments'], clip: number): CodeSums {
  let [n, sum, squares] = [0, 0, 0];
  for (const { codes } of segments)
    for (const code of codes) {
      if (code === NO_LOSS) continue;
      const counted = Math.max(-clip, Math.min(clip, code));
      n += 1;
      sum += counted;
      squares += counted * counted;
    }
  return { n, sum, squares };
}

/** Running mean of squared slopes, v. */
export interface MeanSquare {
  readonly value: number;
  /** beta2^t: the weight that the 0 of the beginning still has. */
  readonly left: number;
}

/** What the header of the round to come depends on. Immutable. */
export interface HeaderState extends ScaleState {
  /** `scalar_adam`. Absent before round 0. */
  readonly square?: MeanSquare;
}

const START: MeanSquare = { value: 0, left: 1 };

type ScalarAdam = Extract<NonNullable<Manifest['optimizer']>, { readonly kind: 'scalar_adam' }>;

/** v ← beta2 v + (1 - beta2) mean(g²). A round without a usable code leaves it. */
function nextSquare({ beta2 }: ScalarAdam, state: HeaderState, { n, squares }: CodeSums): MeanSquare {
  const before = state.square ?? START;
  if (n === 0) return before;
  const unit = state.scale * SCALE_UNIT;
  const mean = (squares / n) * (unit * unit);
  return { value: beta2 * before.value + (1 - beta2) * mean, left: beta2 * before.left };
}

/** The state after `round`, the successor of the rounds that made `state`. */
export function nextState(
  { optimizer, clip }: Pick<Manifest, 'optimizer' | 'clip'>,
  state: HeaderState,
  round: Round,
): HeaderState {
  const scale = nextScale(state, round);
  if (optimizer?.kind !== 'scalar_adam') return scale;
  return { ...scale, square: nextSquare(optimizer, state, codeSums(round.segments, clip)) };
}

/**
 * Standard deviation of a round's slopes. Where it is none, with a single usable code or with equal ones, the root mean
 * square of these and of the window that the scale follows.
 * @returns slope per unit of direction; 0 where all slopes are 0.
 */
export function spread({ scale, window }: ScaleState, { n, sum, squares }: CodeSums): number {
  const variance = n * squares - sum * sum; // times n²; below 2^53
  if (n > 1 && variance > 0) {
    const codes = Number(isqrt((BigInt(variance) << 32n) / BigInt(n * (n - 1)))) / 65536;
    return codes * (scale * SCALE_UNIT);
  }
  const magnitudes = window.flat();
  let total = BigInt(squares) * BigInt(scale) ** 2n;
  for (const magnitude of magnitudes) total += BigInt(magnitude) ** 2n;
  const count = n + magnitudes.length;
  return count === 0 ? 0 : Number(isqrt(total / BigInt(count))) * SCALE_UNIT;
}

/** base^k by k products: the power of the library is not the same everywhere. */
export function power(base: number, k: number): number {
  let product = 1;
  for (let i = 0; i < k; i++) product *= base;
  return product;
}

/** What a gain is made of. */
export interface Gain {
  /** Learning rate of the round. */
  readonly rate: number;
  /** rate · direction.scale / divisor(n): SGD's. */
  readonly plain: number;
  readonly round: number;
  readonly state: HeaderState;
  readonly codes: CodeSums;
}

type Optimizer = NonNullable<Manifest['optimizer']>;

const GAIN: {
  readonly [K in Optimizer['kind']]: (optimizer: Extract<Optimizer, { readonly kind: K }>, gain: Gain) => number;
} = {
  sign: (_, { plain }) => plain,
  momentum: (_, { plain }) => plain,
  adam: (_, { rate }) => rate, // the rest of a step needs the moments
  normalised(_, { plain, state, codes }) {
    const sigma = spread(state, codes);
    return sigma === 0 ? 0 : plain / sigma;
  },
  scalar_adam(optimizer, { plain, round, state, codes }) {
    const { beta1, epsilon, window } = optimizer;
    const { value, left } = nextSquare(optimizer, state, codes);
    if (value === 0) return 0;
    const newest = (1 - beta1) / (1 - power(beta1, Math.min(round + 1, window)));
    return (plain * newest) / (squareRoot(value / (1 - left)) + epsilon);
  },
};

export const gainOf = (optimizer: Manifest['optimizer'], gain: Gain): number =>
  optimizer === undefined ? gain.plain : (GAIN[optimizer.kind] as (o: Optimizer, g: Gain) => number)(optimizer, gain);

/**
 * Adam on coordinates (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1; ZO-Adam of ZO-Bench, arXiv:2402.11592): the one step
 * that is no sum. A round's records are summed in integers, in any order; what their mean makes of the moments and the
 * weights depends on the rounds before, so rounds are applied at once and in order (docs/NUMBERS.md 6).
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import type { Weights } from '../model/weights.ts';
import type { Direction, Manifest, Round } from '../nouns.ts';
import { checkRange, MAX_Q, powerOfTwo } from '../numeric/fixed.ts';
import type { Term } from '../numeric/kernels.ts';
import { everything, type Kept } from '../numeric/mask.ts';
import { squareRoot } from '../numeric/root.ts';
import { contributions } from './apply.ts';

/** The moments of a tensor: doubles, 16 bytes a weight. */
export interface Moments {
  /** (elements,) running means of ĝ and of ĝ². */
  readonly m: Float64Array;
  readonly v: Float64Array;
  /** beta1^k and beta2^k after k rounds that moved the tensor: what the zeros of the beginning still weigh. */
  left1: number;
  left2: number;
}

const momentsOf = (n: number): Moments => ({ m: new Float64Array(n), v: new Float64Array(n), left1: 1, left2: 1 });

export interface AdamRules {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** ĝ of an element is this times Σ code · z: gradient per code. */
  readonly unit: number;
}

/**
 * m ← β₁ m + (1 - β₁) ĝ;  v ← β₂ v + (1 - β₂) ĝ²;  w ← w - gain · m̂ / (√v̂ + ε), element by element.
 *
 * @param sums (elements,) Σ code · z. @param q (elements,) weights before. @param gain learning rate.
 * @returns the weights after it, in units of 2^exponent, to the nearest.
 */
export function adamStep(
  moments: Moments,
  sums: Int32Array,
  q: Int32Array,
  exponent: number,
  gain: number,
  { beta1, beta2, epsilon, unit }: AdamRules,
): Int32Array {
  const { m, v } = moments;
  moments.left1 *= beta1;
  moments.left2 *= beta2;
  const whole1 = 1 - moments.left1;
  const whole2 = 1 - moments.left2;
  const perUnit = powerOfTwo(-exponent);
  return q.map((weight, i) => {
    const g = unit * sums[i]!;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    const x = -((gain * (m[i]! / whole1)) / (squareRoot(v[i]! / whole2) + epsilon)) * perUnit;
    return weight + Math.max(-MAX_Q, Math.min(MAX_Q, Math.floor(x + 0.5)));
  });
}

/**
 * Applies a round, the successor of those that made `moments`.
 *
 * @param moments by id; those of a tensor that moves for the first time are added. A round leaves the moments of tensors
 * that it does not move.
 * @throws {Fault} RANGE naming the tensor. The weights are no use then: the run has ended.
 */
export async function foldRound(
  weights: Weights,
  direction: Direction,
  run: number,
  round: Round,
  rules: AdamRules,
  moments: Map<number, Moments>,
  kept: Kept = everything,
  directions?: Manifest['directions'],
): Promise<void> {
  const { header } = round;
  const { kind, rank } = direction;
  const drawing = { direction, ...(directions ? { directions } : {}) };
  const terms = contributions(run, round, drawing).map(({ key, code }): Term => ({ key, c: code }));
  if (terms.length === 0) return;
  for (const tensor of weights.tensors) {
    const { id, name, shape, exponent } = tensor;
    if (!kept(id)) continue;
    const own = moments.get(id) ?? momentsOf(size(shape));
    moments.set(id, own);
    const peak = await weights.visit(name, ({ kernels, tensor: read, replace }) => {
      const { q } = read(name);
      const before = q.slice();
      kernels.apply(q, tensor, kind, rank, terms); // modulo 2^32, so the difference is the sums and nothing is lost
      const sums = q.map((x, i) => x - before[i]!);
      replace(name, 0, adamStep(own, sums, before, exponent, header.gain, rules));
      return kernels.peak(read(name).q);
    });
    weights.reach[id] = peak;
    checkRange(peak, name);
  }
}

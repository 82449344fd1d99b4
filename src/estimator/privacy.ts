/**
 * Records that tell little of any one example (after DPZero, Zhang et al. 2024, arXiv:2310.09639): slopes are measured example by
 * example, clipped, added up, and noise that only the peer knows is added before the byte is made.
 *
 * What is spent is counted in zero-concentrated differential privacy (Bun & Steinke 2016, arXiv:1605.02658): replacing an
 * example changes the sum of a record by 2 · clip at most, discrete Gaussian noise of standard deviation m · 2 · clip then
 * costs ρ = 1 / (2 m²) each time the example is read (arXiv:2004.00010, Theorem 4), costs add up, and (ε, δ) follows with
 * ε = ρ + 2 √(ρ ln(1 / δ)). Nothing is claimed for which examples are read when: their order is public.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Manifest, Privacy } from '../nouns.ts';
import { encodeSlope } from '../numeric/byte.ts';
import { discreteGaussian, type Entropy } from './discrete-gaussian.ts';

/** Standard deviation of the noise of a sum, in codes. */
const sigmaOf = ({ clip, noise_multiplier }: Privacy): number => Math.ceil(noise_multiplier * 2 * clip);

/** ρ after every example was read so many times. */
export const rhoOf = ({ noise_multiplier }: Pick<Privacy, 'noise_multiplier'>, reads: number): number =>
  reads / (2 * noise_multiplier * noise_multiplier);

/** ε at δ. */
export const epsilonOf = (rho: number, delta: number): number => rho + 2 * Math.sqrt(rho * Math.log(1 / delta));

/** What a run may spend on any one example of its training data, at most. */
export const budgetOf = (privacy: Privacy): { readonly epsilon: number; readonly delta: number } => ({
  epsilon: epsilonOf(rhoOf(privacy, privacy.epochs), privacy.delta),
  delta: privacy.delta,
});

/**
 * The code of a record.
 * @param slopes (samples) of its examples. One that is no number counts as 0: that it is none would tell of it.
 * @param clip largest |code| that is sent.
 */
export function privateCode(
  slopes: ArrayLike<number>,
  scale: number,
  clip: number,
  privacy: Privacy,
  entropy: Entropy,
): number {
  let sum = discreteGaussian(sigmaOf(privacy), entropy);
  for (let i = 0; i < slopes.length; i++)
    sum += Number.isFinite(slopes[i]!) ? encodeSlope(slopes[i]!, scale, privacy.clip) : 0;
  return Math.max(-clip, Math.min(clip, Math.floor(sum / slopes.length + 0.5)));
}

/**
 * @param examples of the training data.
 * @throws {Fault} CONFIG_INVALID where the rounds of a run read an example more often than the run says
 */
export function checkPrivacy(manifest: Manifest, examples: number): void {
  const { privacy, max_steps, records_per_round, samples_per_record } = manifest;
  if (privacy === undefined) return;
  const reads = Math.ceil((max_steps * records_per_round * samples_per_record) / examples);
  if (reads > privacy.epochs)
    throw new Fault(
      'CONFIG_INVALID',
      `dp_epochs: ${max_steps} rounds read each of ${examples} examples up to ${reads} times, ${privacy.epochs} are allowed; lower max_steps, or raise dp_epochs and with it epsilon`,
    );
}

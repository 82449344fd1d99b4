/**
 * What a round costs, in forward passes of one sample: the currency in which methods are compared (ZO-Bench, Zhang et
 * al. 2024, arXiv:2402.11592, section 4).
 *
 * @module
 */
import type { Estimator, Manifest } from '../nouns.ts';

/**
 * Passes that a sample takes for one record. `conservative` looks at three more losses. `forward_gradient` has two
 * products for every one with a weight that moves beside the plain one.
 */
const PASSES: Readonly<Record<Estimator, number>> = { spsa: 2, conservative: 5, forward_gradient: 3 };

export const passesOf = ({ estimator = 'spsa' }: Pick<Manifest, 'estimator'>): number => PASSES[estimator];

/** Passes of a sample in a round, over all peers. */
export const forwardsPerRound = (
  manifest: Pick<Manifest, 'estimator' | 'records_per_round' | 'samples_per_record'>,
): number => passesOf(manifest) * manifest.records_per_round * manifest.samples_per_record;

/** A step along a gradient: once forward, once more on the way back, and twice to differentiate; the hybrid's two more. */
const ALONE: Readonly<Record<string, number>> = { backprop: 4, hybrid: 6 };

/** Passes of a sample that a step of a method for one machine takes; undefined for the others. */
export const passesAlone = (method: string): number | undefined => ALONE[method];

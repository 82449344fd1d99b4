/**
 * Whether a run may measure in int8. Rounding to bytes makes noise of a size that does not depend on eps, and a slope is
 * a difference over 2 eps: the smaller eps, the more of the noise is in it. How much depends on the model and the data,
 * so it is measured before a run begins.
 *
 * Measured on 32 directions, relative noise of int8, and how far f32 itself is from its slopes at eps 1e-3:
 *
 *     eps                      1e-4   3e-4   1e-3   2e-3   5e-3   1e-2   2e-2
 *     stories260k  int8        6.1    1.7    0.57   0.28   0.14   0.10   0.07
 *                  f32                       0      0.03   0.15   0.39   0.90
 *     quill        int8        3.1    0.92   0.39   0.20   0.08   0.06   0.05
 *                  f32                       0      0.00   0.03   0.13   0.50
 *
 * The host's measurement holds for every peer: the products of bytes are whole numbers, the same on all machines.
 *
 * @module
 */
import { relativeNoise } from '../estimator/noise.ts';
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';
import type { NodeReplica } from '../peer/node/open-replica.ts';

/**
 * Directions measured in both precisions. They tell the relative noise to about a fifth of itself: near the border, one
 * run is taken and another, whose directions are its own, is not.
 */
const PROBES = 32;

/**
 * Half the size of the slopes: steps then take a quarter more records to be as good (`relativeNoise`), less than bytes
 * save. Twice that noise, and they take twice the records, which is all that bytes can save.
 */
const MOST_NOISE = 0.5;

/** What is tried where eps is too small. Larger ones measure how the loss curves, and no slope any more. */
const REMEDIES = [2e-3, 5e-3, 1e-2];

/** @param slopes of a replica on the base of the run. @throws {Fault} PRECISION_LOW, with an eps that would do */
export async function admitPrecision(
  { eps, forward_precision }: Pick<Manifest, 'eps' | 'forward_precision'>,
  slopes: NodeReplica['slopes'],
): Promise<void> {
  if (forward_precision === 'f32') return;
  const noiseAt = async (at: number): Promise<number> => {
    const exact = await slopes(PROBES, { eps: at, forward_precision: 'f32' });
    return relativeNoise(await slopes(PROBES, { eps: at, forward_precision }), exact);
  };
  const noise = await noiseAt(eps);
  if (noise <= MOST_NOISE) return;
  const found = await firstOf(
    REMEDIES.filter((larger) => larger > eps),
    async (larger) => (await noiseAt(larger)) <= MOST_NOISE,
  );
  const remedy = found === undefined ? 'take forward_precision f32' : `raise eps to ${found}, or take f32`;
  throw new Fault(
    'PRECISION_LOW',
    `forward_precision ${forward_precision} at eps ${eps}: rounding adds ${noise.toFixed(2)} of the slopes' size, at most ${MOST_NOISE} is taken; ${remedy}`,
  );
}

/** The first that passes: the others are not tried. */
async function firstOf<T>(candidates: readonly T[], passes: (one: T) => Promise<boolean>): Promise<T | undefined> {
  for (const one of candidates) if (await passes(one)) return one;
  return undefined;
}

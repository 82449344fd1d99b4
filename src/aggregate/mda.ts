/**
 * Minimum diameter averaging — Rousseeuw 1985; El Mhamdi et al. 2020, arXiv:1905.03853, section 4: the mean of the n - f
 * vectors whose greatest distance from each other is least.
 *
 * There are n over f such sets, and a search that gives up a set at the first pair too far apart still visits many: for
 * tens of vectors and a few faults.
 *
 * @module
 */
import { squaredDistances } from './distance.ts';
import { average } from './mean.ts';
import { checkMinority, received, type Vectors } from './vectors.ts';

/**
 * Of sets with the same diameter, the first by index: there may be several, for the pair that sets it leaves others free.
 *
 * @returns (d) @throws {RangeError} as `received`, and unless 2 f < n
 */
export function mda(vectors: Vectors, f: number): Float64Array {
  const x = received(vectors);
  checkMinority(f, x.length);
  return average(tightest(squaredDistances(x), x.length - f).map((i) => x[i]!));
}

/** @returns the k indices, ascending, whose greatest squared distance from each other is least */
function tightest(squared: readonly Float64Array[], k: number): readonly number[] {
  const n = squared.length;
  let best: readonly number[] = Array.from({ length: k }, (_, i) => i);
  let least = Infinity;
  const extend = (chosen: readonly number[], diameter: number): void => {
    if (chosen.length === k) {
      [best, least] = [chosen, diameter];
      return;
    }
    const last = n - (k - chosen.length);
    for (let i = (chosen.at(-1) ?? -1) + 1; i <= last; i++) {
      const wider = chosen.reduce((most, j) => Math.max(most, squared[i]![j]!), diameter);
      if (wider < least) extend([...chosen, i], wider);
    }
  };
  extend([], 0);
  return best;
}

/**
 * Many records along few directions are few terms: what multiplies one direction adds up, modulo 2^32 like the weights.
 *
 * @module
 */
import type { DirectionKey } from '../nouns.ts';
import type { Term } from './kernels.ts';
import { columnRound } from './noise.ts';

const isSame = (a: DirectionKey, b: DirectionKey): boolean =>
  a.round === b.round && a.run === b.run && a.slot === b.slot && columnRound(a) === columnRound(b);

/** One term for each direction of the terms, in the order of their first ones; those that add up to 0 are left out. */
export function merged(terms: readonly Term[]): readonly Term[] {
  const sums: { readonly key: DirectionKey; c: number }[] = [];
  /** By sample: in a run with few directions these differ in nothing else. */
  const places = new Map<number, number[]>();
  for (const { key, c } of terms) {
    const alike = places.get(key.sample);
    const place = alike?.find((i) => isSame(sums[i]!.key, key));
    if (place !== undefined) sums[place]!.c = (sums[place]!.c + c) | 0;
    else {
      if (alike) alike.push(sums.length);
      else places.set(key.sample, [sums.length]);
      sums.push({ key, c });
    }
  }
  return sums.filter(({ c }) => c !== 0);
}

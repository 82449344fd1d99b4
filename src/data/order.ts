/**
 * Which samples a record measures: a pure function of the manifest, the run and the record's place, so that whoever is
 * assigned a record measures the same data (docs/NUMBERS.md 7).
 *
 * @module
 */
import type { Manifest } from '../nouns.ts';
import { permutation } from '../numeric/permutation.ts';

/** The permutations last used. A round may cross from one epoch into the next. */
const recent = new Map<string, ArrayLike<number>>();
const KEPT = 4;

function permutationOf(count: number, epoch: number, run: number): ArrayLike<number> {
  const key = `${count} ${epoch} ${run}`;
  const known = recent.get(key);
  if (known) return known;
  const made = permutation(count, epoch, run);
  if (recent.size >= KEPT) recent.delete(recent.keys().next().value!);
  recent.set(key, made);
  return made;
}

/**
 * Samples of record `record` of `round`. Records read the data in order, epoch after epoch, each a permutation of all
 * `count` samples: none is seen a second time before every other was seen once.
 *
 * @param run first word of the run id.
 * @returns (samples_per_record) indices below `count`.
 */
export function sampleIndices(
  manifest: Pick<Manifest, 'records_per_round' | 'samples_per_record'>,
  run: number,
  count: number,
  round: number,
  record: number,
): number[] {
  const { records_per_round, samples_per_record } = manifest;
  const start = (round * records_per_round + record) * samples_per_record;
  return Array.from({ length: samples_per_record }, (_, k) => {
    const position = start + k;
    return permutationOf(count, Math.floor(position / count), run)[position % count]!;
  });
}

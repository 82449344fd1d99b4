/**
 * How many weights a run trains, by the shapes of its base: no weights are read.
 *
 * @module
 */
import { viewOf } from '../../model/view.ts';
import { elementsOf } from '../../model/weights.ts';
import type { Manifest } from '../../nouns.ts';
import type { Paths } from './blobs.ts';
import { openModel } from './open-replica.ts';

/** @throws {Fault} MODEL_* */
export async function trainedWeights({ base, view }: Manifest, paths: Paths): Promise<number> {
  const hashes = new Map(base.files.map(({ path, sha256 }) => [path, sha256]));
  const { model } = await openModel(new Set(hashes.keys()), (name) => paths[hashes.get(name)!]!, view);
  const trained = new Set(viewOf(model, view));
  return elementsOf(model.tensors.filter(({ id }) => trained.has(id)));
}

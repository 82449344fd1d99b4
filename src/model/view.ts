/**
 * The trained view: which tensors a run may move. The others are the base's, in memory and on export; what comes before
 * the first of the view is the same on both sides of a measurement and is computed once.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';
import type { Model, Stage } from './stage.ts';

const boundBy = (stages: readonly Stage[]): string[] =>
  stages.flatMap(({ bindings }) => bindings.map(({ tensor }) => tensor));

/**
 * Ids of the view's tensors, ascending; those of an adapter alone, which `modelOf` has added. With `last_blocks` these are the last blocks, the norm after them, and a head
 * that is not tied to the embedding.
 * @throws {Fault} CONFIG_INVALID when the model has fewer blocks
 */
export function viewOf(model: Model, view: Manifest['view']): readonly number[] {
  if (view === 'full') return model.tensors.map(({ id }) => id);
  if (!('last_blocks' in view)) {
    const own = new Set(model.adapter?.tensors);
    return model.tensors.filter(({ name }) => own.has(name)).map(({ id }) => id);
  }
  const { last_blocks: count } = view;
  const { blocks } = model;
  if (count > blocks.length)
    throw new Fault('CONFIG_INVALID', `last_blocks: ${count} is more than the ${blocks.length} blocks of the model`);
  const still = new Set(boundBy([model.embed, ...blocks.slice(0, blocks.length - count)]));
  return model.tensors.filter(({ name }) => !still.has(name)).map(({ id }) => id);
}

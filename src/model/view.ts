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

/**
 * The view cut into windows of so many neighbouring blocks, which rounds move in turn (MeZO-BCD, arXiv:2501.19099). What
 * comes before its blocks, such as the embedding, is of the first window, what comes after them of the last.
 *
 * @param view ids, ascending.
 * @returns ids of each window; no id is in two, none is left out.
 * @throws {Fault} CONFIG_INVALID when the view has fewer blocks
 */
export function windowsOf(model: Model, view: readonly number[], count: number): readonly (readonly number[])[] {
  const trained = new Set(view);
  const ids = new Map(model.tensors.map(({ name, id }) => [name, id]));
  const within = (stages: readonly Stage[]): number[] =>
    boundBy(stages)
      .map((name) => ids.get(name)!)
      .filter((id) => trained.has(id));
  const blocks = model.blocks.map((block) => within([block])).filter((own) => own.length > 0);
  if (count > blocks.length)
    throw new Fault(
      'CONFIG_INVALID',
      `blocks_per_round: ${count} is more than the ${blocks.length} blocks that are trained; lower it, or leave it out`,
    );
  const last = Math.ceil(blocks.length / count) - 1;
  const windowOf = new Map(blocks.flatMap((own, i) => own.map((id) => [id, Math.floor(i / count)] as const)));
  for (const id of within([model.embed])) windowOf.set(id, 0);
  return Array.from({ length: last + 1 }, (_, i) => view.filter((id) => (windowOf.get(id) ?? last) === i));
}

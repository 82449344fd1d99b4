/**
 * Which tensors a round perturbs and updates (docs/NUMBERS.md 3). Applying a round then costs its share of the model,
 * where applying everybody's records would cost more than measuring one's own.
 *
 * @module
 */
import { SHARED_SLOT, type TensorMask } from '../nouns.ts';
import { block, MASK_STREAM } from './noise.ts';

/** Whether a round perturbs and updates the tensor of this id. */
export type Kept = (id: number) => boolean;

/** What is kept where neither view nor mask limits it. */
export const everything: Kept = () => true;

/** Word `id` of the mask stream: the rank of a tensor among its likes in this round. */
function maskWord(id: number, round: number, run: number, words: Uint32Array): number {
  return block({ round, run, sample: 0, slot: SHARED_SLOT }, MASK_STREAM, 0, 0, id >>> 2, words)[id & 3]!;
}

/**
 * The mask of a round: the ceil(n · kept / of) of the n tensors whose words are the smallest, ties by id. An exact
 * number of them, since a coin for each would leave some rounds with none.
 *
 * @param mask of the manifest; undefined keeps the whole view. @param ids of the trained view, in any order.
 */
export function maskOf(mask: TensorMask | undefined, ids: readonly number[], round: number, run: number): Kept {
  if (!mask) {
    const all = new Set(ids);
    return (id) => all.has(id);
  }
  const words = new Uint32Array(4);
  const drawn = ids.map((id) => ({ id, word: maskWord(id, round, run, words) }));
  drawn.sort((a, b) => a.word - b.word || a.id - b.id);
  const count = Math.floor((ids.length * mask.kept + mask.of - 1) / mask.of);
  const kept = new Set(drawn.slice(0, count).map(({ id }) => id));
  return (id) => kept.has(id);
}

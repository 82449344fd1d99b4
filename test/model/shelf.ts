/** Weights of small models for tests: everything in the memory of given kernels. */
import { size } from '../../src/graph/shape.ts';
import type { Model, TensorSpec } from '../../src/model/stage.ts';
import { fixWeights, pagesOf, type Shelf, type Weights } from '../../src/model/weights.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { scratchOf } from '../../src/numeric/scratch.ts';

/** Enough for every small model. */
export const SCRATCH: number = 2 ** 18;

export function shelfIn(kernels: Kernels, model: Pick<Model, 'tensors' | 'blocks'>, floats = SCRATCH): Shelf {
  const scratch = scratchOf(kernels, floats);
  const pages = pagesOf(model).map(
    (page) => new Map(page.map(({ name, shape }) => [name, kernels.i32(size(shape))] as const)),
  );
  return {
    hold: async (page) => ({ kernels, scratch, arrays: pages[page]!, release: () => undefined }),
    close: async () => undefined,
  };
}

/** @param weight gives a tensor of the base. */
export const weightsIn = (
  kernels: Kernels,
  model: Pick<Model, 'tensors' | 'blocks'>,
  weight: (name: string) => Float32Array,
  floats?: number,
  movedIn?: (tensor: TensorSpec, q: Int32Array) => Uint32Array,
): Promise<Weights> =>
  fixWeights(
    model,
    shelfIn(kernels, model, floats),
    async (name, first, count) => weight(name).subarray(first, first + count),
    movedIn,
  );

/** Copies of all tensors, by id, every debt paid. */
export async function integersOf({ tensors, visit }: Weights): Promise<Int32Array[]> {
  const all: Int32Array[] = [];
  for (const { name } of tensors) all.push(await visit(name, ({ tensor }) => tensor(name).q.slice()));
  return all;
}

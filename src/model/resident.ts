/**
 * All weights in memory. WebAssembly has 4 GiB in one piece, so a large model takes several kernels, each with pages of
 * its own and scratch to perturb them in.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import type { Kernels } from '../numeric/kernels.ts';
import { type Scratch, scratchOf } from '../numeric/scratch.ts';
import type { TensorSpec } from './stage.ts';
import { elementsOf, type Held, type Shelf } from './weights.ts';

/** Kernels with room for arrays of these lengths. @throws {Fault} TOO_LARGE */
export type MakeKernels = (lengths: readonly number[]) => Promise<Kernels>;

/** Elements that one memory takes at most: 4 GiB, less what the kernels keep for themselves. */
export const MEMORY_ELEMENTS: number = (2 ** 32 - 2 ** 23) / 4;

/** Neighbouring pages that share a memory, as many as fit. A page too large for one gets one, which refuses it. */
export function sharing(pages: readonly (readonly TensorSpec[])[], scratch: number, most: number): number[][] {
  const memories: number[][] = [];
  let left = -1;
  for (const [i, page] of pages.entries()) {
    const length = elementsOf(page);
    if (length > left) {
      memories.push([]);
      left = most - scratch;
    }
    memories.at(-1)!.push(i);
    left -= length;
  }
  return memories;
}

/** @param scratch floats of it in each memory. @param most elements in one memory. @throws {Fault} TOO_LARGE */
export async function residentShelf(
  pages: readonly (readonly TensorSpec[])[],
  scratch: number,
  make: MakeKernels,
  most: number = MEMORY_ELEMENTS,
): Promise<Shelf> {
  const held: Held[] = [];
  for (const numbers of sharing(pages, scratch, most)) {
    const specs = numbers.flatMap((i) => pages[i]!);
    const kernels = await make([...specs.map(({ shape }) => size(shape)), scratch]);
    const working: Scratch = scratchOf(kernels, scratch);
    for (const i of numbers) {
      const arrays = new Map(pages[i]!.map(({ name, shape }) => [name, kernels.i32(size(shape))]));
      held[i] = { kernels, scratch: working, arrays, release: () => undefined };
    }
  }
  return { hold: async (page) => held[page]!, close: async () => undefined };
}

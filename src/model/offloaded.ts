/**
 * Weights on disk, for models larger than memory: page 0 stays (embedding and head are used at both ends of every
 * pass), the blocks pass through two slots. While one is computed with, the next one is read into the other slot, and
 * the last one, if it changed, is written back.
 *
 * @module
 */
import { size } from '../graph/shape.ts';
import { scratchOf } from '../numeric/scratch.ts';
import type { PageFile } from '../ports.ts';
import type { MakeKernels } from './resident.ts';
import type { TensorSpec } from './stage.ts';
import { elementsOf, type Held, type Shelf } from './weights.ts';

const SLOTS = 2;

interface Slot {
  readonly memory: Int32Array;
  /** What lies in it, or is on its way. */
  page: number | undefined;
  lent: boolean;
  /** Ends when the last transfer that was asked for has ended. */
  transfer: Promise<void>;
}

/** The bytes of a page in a slot. */
const bytesOf = ({ buffer, byteOffset }: Int32Array, length: number): Uint8Array =>
  new Uint8Array(buffer, byteOffset, 4 * length);

/** @param scratch floats of it. @throws {Fault} TOO_LARGE, and from `hold` what the file refuses */
export async function offloadedShelf(
  pages: readonly (readonly TensorSpec[])[],
  scratch: number,
  make: MakeKernels,
  file: PageFile,
): Promise<Shelf> {
  const [first = [], ...blocks] = pages;
  const lengths = [elementsOf(first), ...blocks.map(elementsOf)];
  const room = Math.max(0, ...lengths.slice(1));
  const pinned = first.map(({ shape }) => size(shape));
  const kernels = await make([...pinned, ...Array.from({ length: SLOTS }, () => room), scratch]);
  const working = scratchOf(kernels, scratch);
  const offsets = lengths.map((_, page) => 4 * lengths.slice(1, page).reduce((a, b) => a + b, 0));

  const resident: Held = {
    kernels,
    scratch: working,
    arrays: new Map(first.map(({ name }, i) => [name, kernels.i32(pinned[i]!)])),
    release: () => undefined,
  };
  const slots = Array.from({ length: SLOTS }, (): Slot => {
    return { memory: kernels.i32(room), page: undefined, lent: false, transfer: Promise.resolve() };
  });
  /** Blocks that were never written: their bytes on disk mean nothing, and are not read. */
  const blank = new Set(blocks.map((_, i) => i + 1));

  /** The slot of a page, where it lies or is being read to. */
  function bring(page: number): Slot {
    const found = slots.find((slot) => slot.page === page);
    if (found) return found;
    const slot = slots.find(({ lent }) => !lent);
    if (!slot) throw new RangeError(`"page" expected at most ${SLOTS} lent at a time, page ${page} is one more`);
    slot.page = page;
    if (!blank.has(page))
      slot.transfer = slot.transfer.then(() => file.read(offsets[page]!, bytesOf(slot.memory, lengths[page]!)));
    return slot;
  }

  async function hold(page: number): Promise<Held> {
    if (page === 0) return resident;
    const slot = bring(page);
    slot.lent = true;
    await slot.transfer;
    if (blocks.length >= SLOTS) ahead((page % blocks.length) + 1);
    const arrays = new Map<string, Int32Array>();
    let at = 0;
    for (const { name, shape } of pages[page]!) arrays.set(name, slot.memory.subarray(at, (at += size(shape))));
    return {
      kernels,
      scratch: working,
      arrays,
      release(changed) {
        slot.lent = false;
        if (!changed) return;
        blank.delete(page);
        slot.transfer = slot.transfer.then(() => file.write(offsets[page]!, bytesOf(slot.memory, lengths[page]!)));
        slot.transfer.catch(() => undefined); // whoever holds the slot next is told
      },
    };
  }

  /** Starts reading what is likely wanted next. */
  function ahead(page: number): void {
    bring(page).transfer.catch(() => undefined);
  }

  return {
    hold,
    async close() {
      await Promise.allSettled(slots.map(({ transfer }) => transfer));
      await file.close();
    },
  };
}

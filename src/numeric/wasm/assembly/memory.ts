/**
 * Scratch at the bottom of the memory; `../wasm.ts` places arrays above it. Noise comes 512 elements at a time (a
 * *group*: four Philox blocks of 128 signs, one to a lane) or, for four directions at once, 128 (a *block*).
 */

export const GROUP: usize = 512;
export const GROUP_BYTES: usize = GROUP * 4;
export const BLOCK: usize = 128;

/** Directions of a call: entries of eight u32 {round, run, sample, slot, component, c, word, columns}, by `../wasm.ts`. */
export const TABLE: usize = 1024;
export const TABLE_ENTRIES: usize = 256;
export const ENTRY: usize = 32;

/** Random words: four blocks of a direction, or a block of four directions. */
export const WORDS: usize = TABLE + TABLE_ENTRIES * ENTRY;

/** Partial groups. */
export const TAIL_Q: usize = WORDS + 64;
export const TAIL_PLUS: usize = TAIL_Q + GROUP_BYTES;
export const TAIL_MINUS: usize = TAIL_PLUS + GROUP_BYTES;

/** Bits of the elements that move, a group's in 64 bytes, placed as signs are: those of a part of a tensor at a time. */
export const MASK: usize = TAIL_MINUS + GROUP_BYTES;
export const MASK_GROUPS: usize = 512;

/** Where the scratch of `lowrank.ts` begins. */
export const LOW_RANK: usize = MASK + MASK_GROUPS * 64;

/**
 * Scratch at the bottom of the memory; `../wasm.ts` places arrays above it. Noise comes 512 elements at a time (a
 * *group*: four Philox blocks of 128 signs, one to a lane).
 */

export const GROUP: usize = 512;
export const GROUP_BYTES: usize = GROUP * 4;

/** Directions of a call: entries of eight u32 {round, run, sample, slot, component, c, 0, 0}, written by `../wasm.ts`. */
export const TABLE: usize = 1024;
export const TABLE_ENTRIES: usize = 256;
export const ENTRY: usize = 32;

/** Random words of a group for up to four directions: 4 blocks x 4 words each. */
export const WORDS: usize = TABLE + TABLE_ENTRIES * ENTRY;
export const WORDS_BYTES: usize = 64;
export const SECOND: usize = WORDS + WORDS_BYTES;
export const THIRD: usize = SECOND + WORDS_BYTES;
export const FOURTH: usize = THIRD + WORDS_BYTES;

/** Partial groups. */
export const TAIL_Q: usize = FOURTH + WORDS_BYTES;
export const TAIL_PLUS: usize = TAIL_Q + GROUP_BYTES;
export const TAIL_MINUS: usize = TAIL_PLUS + GROUP_BYTES;

/** Where the scratch of `lowrank.ts` begins. */
export const LOW_RANK: usize = TAIL_MINUS + GROUP_BYTES;

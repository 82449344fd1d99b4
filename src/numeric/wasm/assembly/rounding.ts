/** The words that round coefficients (docs/NUMBERS.md 6). */
import { ENTRY, TABLE, WORDS } from './memory';
import { philoxOfFour, ROUNDING } from './noise';

/** Word 0 of block 0 of each of the first `count` entries, into the entry. */
export function roundingWords(count: usize, id: u32): void {
  for (let entry = TABLE, end = TABLE + count * ENTRY; entry < end; entry += 4 * ENTRY) {
    philoxOfFour(entry, ROUNDING | id, 0, WORDS);
    const words = v128.load(WORDS);
    v128.store32_lane(entry, words, 0, 24);
    v128.store32_lane(entry + ENTRY, words, 1, 24);
    v128.store32_lane(entry + 2 * ENTRY, words, 2, 24);
    v128.store32_lane(entry + 3 * ENTRY, words, 3, 24);
  }
}

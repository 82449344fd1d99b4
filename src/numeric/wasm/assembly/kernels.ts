/**
 * The kernels in AssemblyScript with 128-bit SIMD: what `../wasm.ts` calls. `../../reference` is the definition and
 * docs/NUMBERS.md the text. A tensor's last, partial group is computed in scratch and copied out, so that no kernel
 * writes past the end of an array.
 *
 * Its compiler checks the types of this folder; those of TypeScript and the linter leave it out, as its language is another.
 */
export { adamw, MOMENTS, MOMENTS_LENGTH } from './adamw';
export { checksum, peak } from './checksum';
export { applyDense } from './dense';
export { factorAt, factors } from './factor';
export { applyLowRank, SCRATCH_END } from './lowrank';
export { materialise, pairDense, pairGiven } from './measure';
export { quantiseRows } from './quantise';
export { MASK, MASK_GROUPS, TABLE, TABLE_ENTRIES } from './memory';
export { roundingWords } from './rounding';

/**
 * Keys and values of the tokens that a text has so far, so that a new token costs one token's work. Room for them comes in
 * steps: every capacity is a program of its own. What lies beyond a sequence's own tokens is masked.
 *
 * @module
 */
import type { CacheShape, Model } from '../model/stage.ts';
import type { Batch } from '../nouns.ts';

interface BlockCache extends CacheShape {
  /** (S,G,C,d) both. */
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Of one batch in one lane. */
export interface Cache {
  /** S. */
  readonly sequences: number;
  /** C. */
  readonly capacity: number;
  readonly blocks: readonly BlockCache[];
}

/** Whether a model can read a cache: all its blocks have a form that does, and no prompt is put before every call. */
export const hasCache = ({ blocks, virtual }: Pick<Model, 'blocks' | 'virtual'>): boolean =>
  virtual === 0 && blocks.every(({ cache }) => cache);

/** @throws {RangeError} for a model that has none */
export function emptyCache({ blocks }: Pick<Model, 'blocks'>, sequences: number, capacity: number): Cache {
  return {
    sequences,
    capacity,
    blocks: blocks.map(({ cache, program }) => {
      if (!cache) throw new RangeError(`"model" expected blocks with a cache, got ${program}`);
      const length = sequences * cache.groups * capacity * cache.headDim;
      return { ...cache, k: new Float32Array(length), v: new Float32Array(length) };
    }),
  };
}

/** The same keys and values with room for more. */
export function grown({ sequences, capacity, blocks }: Cache, more: number): Cache {
  const moved = (from: Float32Array, headDim: number): Float32Array => {
    const to = new Float32Array((from.length / capacity) * more);
    const row = capacity * headDim;
    for (let i = 0; i * row < from.length; i++) to.set(from.subarray(i * row, (i + 1) * row), i * more * headDim);
    return to;
  };
  return {
    ...{ sequences, capacity: more },
    blocks: blocks.map(({ k, v, ...shape }) => ({ ...shape, k: moved(k, shape.headDim), v: moved(v, shape.headDim) })),
  };
}

/** What the program of a block reads and writes of a cache, and how what it wrote gets there: see `Stage.cache`. */
export interface CacheIo {
  readonly feeds: Readonly<Record<string, Float32Array>>;
  readonly outputs: Readonly<Record<string, Float32Array>>;
  /** To be called when the program has run. */
  readonly done: () => void;
}

export function cacheIo(
  { sequences, capacity, blocks }: Cache,
  block: number,
  { tokens, past, starts }: Batch,
): CacheIo {
  const { k, v, groups, headDim } = blocks[block]!;
  const length = sequences * groups * tokens * headDim;
  const fresh = { 'k.new': new Float32Array(length), 'v.new': new Float32Array(length) };
  const keep = (from: Float32Array, to: Float32Array): void => {
    for (let i = 0; i < sequences * groups; i++) {
      const start = starts![Math.floor(i / groups)]!;
      const room = Math.min(tokens, capacity - start); // the padding of a prompt may reach beyond
      to.set(from.subarray(i * tokens * headDim, (i * tokens + room) * headDim), (i * capacity + start) * headDim);
    }
  };
  return {
    feeds: past ? { 'k.past': k, 'v.past': v } : {},
    outputs: fresh,
    done(): void {
      keep(fresh['k.new'], k);
      keep(fresh['v.new'], v);
    },
  };
}

/**
 * Who holds a key: slots by the first bits of their keys. Who makes keys that begin alike, at a million tries each, makes
 * one list longer.
 *
 * @module
 */
import type { Hex } from '../nouns.ts';
import { Table } from '../numeric/table.ts';

/** Slots by `bitsOf` their keys. */
export type Holders = Table<readonly number[]>;

/** 20 bits: a run has a few thousand keys at most. */
const DIGITS = 5;
const bitsOf = (key: Hex): number => Number.parseInt(key.slice(0, DIGITS), 16);

export const NO_HOLDERS: Holders = Table.of();

/** Slots whose key may be this one. */
export const holdersOf = (holders: Holders, key: Hex): readonly number[] => holders.get(bitsOf(key)) ?? [];

export const hold = (holders: Holders, key: Hex, slot: number): Holders =>
  holders.set(bitsOf(key), [...holdersOf(holders, key), slot]);

export function release(holders: Holders, key: Hex, slot: number): Holders {
  const left = holdersOf(holders, key).filter((other) => other !== slot);
  return left.length === 0 ? holders.delete(bitsOf(key)) : holders.set(bitsOf(key), left);
}

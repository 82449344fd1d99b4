import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Table } from '../../src/numeric/table.ts';

/** Small keys, as slots are, crowded ones, and any. */
const key = fc.oneof(fc.nat(40), fc.nat(1 << 11), fc.integer({ min: 0, max: 0xffff_ffff }));
type Move = { readonly key: number; readonly value: number | undefined };
const moves: fc.Arbitrary<readonly Move[]> = fc.array(
  fc.record({ key, value: fc.option(fc.integer(), { nil: undefined, freq: 3 }) }),
  { maxLength: 60 },
);

const turn = (table: Table<number>, { key, value }: Move): Table<number> =>
  value === undefined ? table.delete(key) : table.set(key, value);

const sorted = (map: ReadonlyMap<number, number>): [number, number][] => [...map].sort(([a], [b]) => a - b);

describe('a table', () => {
  test('holds what a map would hold, after any moves, in the order of its keys', () => {
    fc.assert(
      fc.property(moves, (list) => {
        const map = new Map<number, number>();
        let table = Table.of<number>();
        for (const move of list) {
          table = turn(table, move);
          if (move.value === undefined) map.delete(move.key);
          else map.set(move.key, move.value);
          expect(table.get(move.key)).toBe(move.value);
          expect(table.has(move.key)).toBe(move.value !== undefined);
        }
        expect(table.size).toBe(map.size);
        expect([...table]).toEqual(sorted(map));
        expect([...table.keys()]).toEqual(sorted(map).map(([k]) => k));
        expect([...table.values()]).toEqual(sorted(map).map(([, v]) => v));
        const seen: [number, number][] = [];
        table.forEach((v, k) => {
          seen.push([k, v]);
        });
        expect(seen).toEqual(sorted(map));
      }),
    );
  });

  test('stays as it was when another is made from it', () => {
    fc.assert(
      fc.property(moves, moves, (first, more) => {
        const table = first.reduce(turn, Table.of<number>());
        const before = [...table];
        more.reduce(turn, table);
        expect([...table]).toEqual(before);
      }),
    );
  });

  test('knows where it differs from another', () => {
    fc.assert(
      fc.property(moves, moves, (first, more) => {
        const a = first.reduce(turn, Table.of<number>());
        const b = more.reduce(turn, a);
        const keys = [...new Set([...a.keys(), ...b.keys()])].sort((x, y) => x - y);
        const differ = keys.filter((k) => a.get(k) !== b.get(k));
        expect(b.changedSince(a)).toEqual(differ);
        expect(a.changedSince(b)).toEqual(differ);
        const c = more.reduce(turn, Table.of<number>());
        expect(c.changedSince(a)).toEqual(
          [...new Set([...a.keys(), ...c.keys()])].filter((k) => a.get(k) !== c.get(k)).sort((x, y) => x - y),
        );
      }),
    );
  });

  test('is the same where nothing changes', () => {
    const table = Table.of([
      [1, 10],
      [0xffff_ffff, 20],
    ]);
    expect(table.set(1, 10)).toBe(table);
    expect(table.delete(2)).toBe(table);
    expect(table.changedSince(table)).toEqual([]);
  });

  test('has no place for what is no u32, and finds nothing there', () => {
    const table = Table.of([[3, 1]]);
    for (const key of [-1, 0.5, 2 ** 32, Number.NaN]) {
      expect(table.get(key)).toBeUndefined();
      expect(table.delete(key)).toBe(table);
      expect(() => table.set(key, 1)).toThrow(RangeError);
    }
  });
});

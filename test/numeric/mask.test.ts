/** Which tensors a round moves (docs/NUMBERS.md 3). The vectors of golden.test.ts say which; here what they amount to. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { everything, maskOf } from '../../src/numeric/mask.ts';
import { u32 } from './arbitrary.ts';

const mask = fc
  .tuple(fc.integer({ min: 1, max: 2 ** 20 }), fc.integer({ min: 1, max: 2 ** 20 }))
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ kept: Math.min(a, b), of: Math.max(a, b) }));
const ids = fc.uniqueArray(fc.nat(2 ** 20 - 1), { minLength: 1, maxLength: 60 });

test('a round keeps exactly ceil(n · kept / of) of its n tensors, in whatever order they are listed', () => {
  fc.assert(
    fc.property(mask, ids, u32, u32, (m, list, round, run) => {
      const kept = list.filter(maskOf(m, list, round, run));
      const n = BigInt(list.length) * BigInt(m.kept);
      expect(BigInt(kept.length)).toBe((n + BigInt(m.of) - 1n) / BigInt(m.of));
      expect(list.filter(maskOf(m, list.toReversed(), round, run))).toEqual(kept);
    }),
  );
});

test('a larger part of the same round holds the smaller one', () => {
  fc.assert(
    fc.property(ids, u32, u32, (list, round, run) => {
      const half = new Set(list.filter(maskOf({ kept: 1, of: 2 }, list, round, run)));
      expect(list.filter(maskOf({ kept: 1, of: 5 }, list, round, run)).every((id) => half.has(id))).toBe(true);
    }),
  );
});

test('over 4000 rounds each of 20 tensors is kept a quarter of the time, each pair as if drawn without replacement', () => {
  const list = Array.from({ length: 20 }, (_, i) => i);
  const rounds = 4000;
  const counts = list.map(() => 0);
  let pairs = 0;
  for (let round = 0; round < rounds; round++) {
    const kept = maskOf({ kept: 1, of: 4 }, list, round, 0x51ab_1e55);
    for (const id of list.filter(kept)) counts[id]! += 1;
    if (kept(0) && kept(1)) pairs++;
  }
  // Five standard deviations: sqrt(4000 · 3/16) = 27.4, and sqrt(4000 · p (1 - p)) = 14.2 with p = 5/20 · 4/19.
  for (const [id, count] of counts.entries()) expect(Math.abs(count - rounds / 4), `tensor ${id}`).toBeLessThan(137);
  expect(Math.abs(pairs - rounds / 19)).toBeLessThan(71);
});

test('another round, or another run, is another draw; no mask keeps the whole view', () => {
  const list = Array.from({ length: 40 }, (_, i) => i);
  const draw = (round: number, run: number) => list.filter(maskOf({ kept: 1, of: 2 }, list, round, run)).join();
  expect(new Set([draw(0, 1), draw(1, 1), draw(0, 2), draw(1, 2)]).size).toBe(4);
  const whole = maskOf(undefined, list.slice(5), 3, 4);
  expect(list.filter(whole)).toEqual(list.slice(5));
  expect(list.every(everything)).toBe(true);
});

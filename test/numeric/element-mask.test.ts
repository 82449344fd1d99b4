/** Which elements directions move. The vectors of golden.test.ts say which; here what they amount to. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementMask, isMoved } from '../../src/numeric/element-mask.ts';
import { integers } from './arbitrary.ts';

const part = fc
  .tuple(fc.integer({ min: 1, max: 2 ** 20 }), fc.integer({ min: 1, max: 2 ** 20 }))
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => ({ kept: Math.min(a, b), of: Math.max(a, b) }));

const tensor = (n: number, id = 7) => ({ id, shape: [n] });
const movedOf = (bits: Uint32Array, n: number) => Array.from({ length: n }, (_, i) => isMoved(bits, i));

test('magnitude: exactly ceil(n · kept / of), none of them larger than one that stays, ties to the first', () => {
  fc.assert(
    fc.property(part, fc.integer({ min: 1, max: 400 }), fc.integer(), fc.nat(27), (m, n, seed, shift) => {
      const q = integers(n, seed).map((x) => x >> (3 + shift)); // from few values, with many ties, to the range of a base
      const moved = movedOf(elementMask({ by: 'magnitude', ...m }, tensor(n), q, 1), n);
      const count = Number((BigInt(n) * BigInt(m.kept) + BigInt(m.of) - 1n) / BigInt(m.of));
      const order = [...q.keys()].sort((a, b) => Math.abs(q[a]!) - Math.abs(q[b]!) || a - b);
      expect(moved.flatMap((one, i) => (one ? [i] : []))).toEqual(order.slice(0, count).sort((a, b) => a - b));
    }),
  );
});

test('random: the part that was asked for, other elements in another tensor and in another run, whatever the weights', () => {
  const n = 40_000;
  const draw = (id: number, run: number, q = integers(n, 1)) =>
    movedOf(elementMask({ by: 'random', kept: 1, of: 5 }, tensor(n, id), q, run), n);
  const [one, two, three] = [draw(3, 9), draw(4, 9), draw(3, 10)];
  for (const moved of [one, two, three]) {
    // Five standard deviations: sqrt(40000 · 0.2 · 0.8) = 80.
    expect(Math.abs(moved.filter(Boolean).length - n / 5)).toBeLessThan(400);
  }
  const both = one.filter((moves, i) => moves && two[i]).length;
  expect(Math.abs(both - n / 25)).toBeLessThan(5 * Math.sqrt((n / 25) * 0.96));
  expect(three).not.toEqual(one);
  expect(draw(3, 9, integers(n, 2))).toEqual(one);
});

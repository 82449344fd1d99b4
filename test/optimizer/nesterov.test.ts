/** Nesterov's momentum as PyTorch's SGD(nesterov=True, dampening=0) arranges it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nesterov } from '../../src/optimizer/nesterov.ts';
import { sgd } from '../../src/optimizer/sgd.ts';

/** θ after every step, of one weight that begins at 0. */
function walk(gradients: readonly number[], momentum: number, rate: number): { path: number[]; velocity: number } {
  const u = new Float64Array(1);
  let w = 0;
  const path = gradients.map((gradient) => {
    const g = Float64Array.of(gradient);
    nesterov(g, u, momentum, rate);
    return (w += g[0]!);
  });
  return { path, velocity: u[0]! };
}

test('three steps worked out by hand', () => {
  // μ = 1/2, η = 1/4. u: 8, 4 + 4 = 8, 4 - 16 = -12. Δ = -η (g + μ u): -(8 + 4)/4, -(4 + 4)/4, -(-16 - 6)/4.
  const { path, velocity } = walk([8, 4, -16], 0.5, 0.25);
  expect(path).toEqual([-3, -5, 0.5]);
  expect(velocity).toBe(-12);
});

test('of a gradient that stays, steps grow towards rate / (1 - momentum), from (1 + momentum) rate on', () => {
  const { path, velocity } = walk(new Array(400).fill(1), 0.9, 0.7);
  expect(path[0]).toBeCloseTo(-0.7 * 1.9, 12);
  expect(path.at(-1)! - path.at(-2)!).toBeCloseTo(-7, 9);
  expect(velocity).toBeCloseTo(10, 9);
});

const numbers = fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 12 });

test('without momentum it is the plain step', () => {
  fc.assert(
    fc.property(numbers, fc.double({ min: 0, max: 2, noNaN: true }), (gradients, rate) => {
      const g = Float64Array.from(gradients);
      nesterov(g, new Float64Array(g.length), 0, rate);
      // Which zero it is, nobody asks.
      for (const [i, x] of gradients.entries()) expect(Math.abs(g[i]! + rate * x)).toBe(0);
    }),
  );
});

test('it looks one step ahead: the velocity of plain momentum, and a step along gradient and velocity', () => {
  fc.assert(
    fc.property(numbers, numbers, fc.double({ min: 0, max: 0.99, noNaN: true }), (before, gradients, momentum) => {
      const n = Math.min(before.length, gradients.length);
      const u = Float64Array.from(before.slice(0, n));
      const plain = u.slice();
      const g = Float64Array.from(gradients.slice(0, n));
      nesterov(g, u, momentum, 1);
      sgd(Float64Array.from(gradients.slice(0, n)), plain, momentum, 1);
      expect(u).toEqual(plain);
      for (let i = 0; i < n; i++) expect(g[i]).toBeCloseTo(-(gradients[i]! + momentum * plain[i]!), 9);
    }),
  );
});

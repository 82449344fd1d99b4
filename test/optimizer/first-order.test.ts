/** AdamW, SGD and clipping against PyTorch's own trajectories (test/fixtures/optimizers), and by their properties. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Adam, adamw, nextPowers, noPowers } from '../../src/optimizer/adamw.ts';
import { clipFactor, globalNorm, scale } from '../../src/optimizer/clip.ts';
import { sgd } from '../../src/optimizer/sgd.ts';

interface Case {
  readonly path: readonly (readonly number[])[];
  readonly norms: readonly number[];
}
const fixture = JSON.parse(readFileSync('test/fixtures/optimizers/trajectories.json', 'utf8')) as {
  readonly start: readonly number[];
  readonly gradients: readonly (readonly number[])[];
  readonly rates: readonly number[];
  readonly cases: Readonly<Record<string, Case>>;
};

/** θ after every step. @param update overwrites g by Δ. */
function walk(
  update: (g: Float64Array, rate: number) => void,
  { decay = 0, most = 0 }: { decay?: number; most?: number },
): { path: number[][]; norms: number[] } {
  const w = Float64Array.from(fixture.start);
  const norms: number[] = [];
  const path = fixture.gradients.map((gradient, t) => {
    const g = Float64Array.from(gradient);
    const norm = globalNorm([g]);
    norms.push(norm);
    scale(g, clipFactor(norm, most));
    const rate = fixture.rates[t]!;
    update(g, rate);
    for (let i = 0; i < w.length; i++) w[i]! += g[i]! - rate * decay * w[i]!;
    return [...w];
  });
  return { path, norms };
}

function adamWalk(adam: Adam, options: { decay?: number; most?: number }) {
  const [m, v] = [new Float64Array(fixture.start.length), new Float64Array(fixture.start.length)];
  let powers = noPowers;
  return walk((g, rate) => {
    powers = nextPowers(powers, adam);
    adamw(g, m, v, adam, powers, rate);
  }, options);
}

function sgdWalk(momentum: number, options: { most?: number }) {
  const m = new Float64Array(fixture.start.length);
  return walk((g, rate) => sgd(g, m, momentum, rate), options);
}

const usual: Adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

describe('twenty steps are those of PyTorch in float64', () => {
  const walks: Readonly<Record<string, () => ReturnType<typeof walk>>> = {
    adamw: () => adamWalk(usual, { decay: 0.1 }),
    'adamw, other betas': () => adamWalk({ beta1: 0.8, beta2: 0.95, epsilon: 1e-4 }, {}),
    'adamw, clipped': () => adamWalk(usual, { decay: 0.1, most: 1 }),
    sgd: () => sgdWalk(0, {}),
    'sgd with momentum': () => sgdWalk(0.9, { most: 2 }),
  };
  test('every case of the fixture is walked', () => {
    expect(Object.keys(walks)).toEqual(Object.keys(fixture.cases));
  });
  test.each(Object.entries(walks))('%s', (name, go) => {
    const { path, norms } = go();
    const { path: expected, norms: expectedNorms } = fixture.cases[name]!;
    for (const [t, w] of path.entries()) {
      expect(Math.abs(norms[t]! / expectedNorms[t]! - 1), `norm of step ${t}`).toBeLessThan(1e-14);
      for (const [i, x] of w.entries())
        expect(Math.abs(x - expected[t]![i]!), `element ${i} after step ${t}`).toBeLessThan(1e-13);
    }
  });
});

const finite = fc.double({ min: -1e3, max: 1e3, noNaN: true });

test('the first step of AdamW is the rate against the sign, whatever the size of the gradient', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), fc.boolean(), (size, negative) => {
      const g = Float64Array.of(negative ? -size : size);
      adamw(g, new Float64Array(1), new Float64Array(1), usual, nextPowers(noPowers, usual), 0.5);
      expect(Math.abs(g[0]! - (negative ? 0.5 : -0.5))).toBeLessThan(1e-4);
    }),
  );
});

test('a clipped gradient keeps its direction, and its norm is at most the limit', () => {
  fc.assert(
    fc.property(
      fc.array(finite, { minLength: 2, maxLength: 9 }),
      fc.double({ min: 1e-3, max: 10, noNaN: true }),
      (x, most) => {
        const whole = Float64Array.from(x);
        const parts = [whole.subarray(0, 1), whole.subarray(1)];
        const norm = globalNorm(parts);
        const factor = clipFactor(norm, most);
        for (const part of parts) scale(part, factor);
        expect(globalNorm(parts)).toBeLessThanOrEqual(Math.min(norm, most) * (1 + 1e-12));
        if (norm + 1e-6 <= most) expect([...whole]).toEqual(x);
        else expect([...whole]).toEqual(x.map((value) => value * factor));
      },
    ),
  );
});

test('no limit is no clipping', () => {
  expect(clipFactor(1e30, 0)).toBe(1);
});

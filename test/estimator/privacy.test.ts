import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { discreteGaussian } from '../../src/estimator/discrete-gaussian.ts';
import { budgetOf, checkPrivacy, epsilonOf, privateCode, rhoOf } from '../../src/estimator/privacy.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { measureRecords } from '../../src/method/onebyte.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { nextScale, scaleState } from '../../src/numeric/scale.ts';
import { entropyOf, MANIFEST, seeded } from '../peer/fake.ts';
import { committed, smallLearner } from '../peer/learner.ts';

const entropy = (seed: number) => entropyOf(seeded(seed));
const PRIVACY = { noise_multiplier: 1, clip: 50, epochs: 2, delta: 1e-5 };

describe('noise', () => {
  test.each([1, 3, 40])('of standard deviation %i has the probabilities of a discrete Gaussian', (sigma) => {
    const from = entropy(7);
    const n = 4000;
    const drawn = Array.from({ length: n }, () => discreteGaussian(sigma, from));
    const whole = Array.from({ length: 20 * sigma + 1 }, (_, i) =>
      Math.exp(-((i - 10 * sigma) ** 2) / (2 * sigma ** 2)),
    );
    const total = whole.reduce((sum, p) => sum + p, 0);
    /** Chance of -sigma … sigma, within four standard errors of what was counted. */
    const near = whole.slice(9 * sigma, 11 * sigma + 1).reduce((sum, p) => sum + p, 0) / total;
    const found = drawn.filter((x) => Math.abs(x) <= sigma).length / n;
    expect(Math.abs(found - near)).toBeLessThan(4 * Math.sqrt((near * (1 - near)) / n));
    const mean = drawn.reduce((sum, x) => sum + x, 0) / n;
    expect(Math.abs(mean)).toBeLessThan((4 * sigma) / Math.sqrt(n));
    const variance = drawn.reduce((sum, x) => sum + x * x, 0) / n;
    expect(Math.abs(variance / sigma ** 2 - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
  });

  test.each([0, 0.5, 2 ** 24, Number.NaN])('of standard deviation %d is refused', (sigma) => {
    expect(() => discreteGaussian(sigma, entropy(1))).toThrow(RangeError);
  });
});

describe('what is spent', () => {
  test('is that of the Gaussian mechanism: ρ = 1/2 at a multiplier of 1, and costs add up', () => {
    expect(rhoOf({ noise_multiplier: 1 }, 1)).toBe(0.5);
    expect(rhoOf({ noise_multiplier: 2 }, 8)).toBe(1);
    // 0.5 + 2 √(0.5 · ln 10⁵) and 1 + 2 √ln 10⁶, by hand.
    expect(epsilonOf(0.5, 1e-5)).toBeCloseTo(5.298526, 5);
    expect(epsilonOf(1, 1e-6)).toBeCloseTo(8.433844, 5);
    expect(budgetOf(PRIVACY).epsilon).toBeCloseTo(epsilonOf(1, 1e-5), 12);
  });

  test('a run that would read an example more often than it says is refused', () => {
    const manifest = { ...MANIFEST, privacy: PRIVACY, max_steps: 10, records_per_round: 4, samples_per_record: 8 };
    checkPrivacy(manifest, 160);
    expect(() => checkPrivacy(manifest, 159)).toThrow(
      /CONFIG_INVALID: dp_epochs: 10 rounds read each of 159 examples up to 3/,
    );
  });
});

describe('a record with noise', () => {
  const slopes = fc.array(fc.oneof(fc.double({ min: -1e6, max: 1e6, noNaN: true }), fc.constant(Number.NaN)), {
    minLength: 1,
    maxLength: 20,
  });

  test('hides behind it whatever one example may change: no more than 2 clip in the sum', () =>
    fc.assert(
      fc.property(slopes, fc.nat(), fc.double(), fc.nat(1000), (own, place, other, seed) => {
        const changed = own.with(place % own.length, other);
        const code = (values: readonly number[]) => privateCode(values, 2 ** 32, 127, PRIVACY, entropy(seed));
        expect(Math.abs(code(own) - code(changed))).toBeLessThanOrEqual(Math.ceil((2 * PRIVACY.clip) / own.length));
      }),
    ));

  test('is right on average, and never says that there was no loss', () => {
    const from = entropy(3);
    const n = 2000;
    const values = [10, -400, 30, Number.NaN, 20, 20, 20, 20, 0, 0];
    let sum = 0;
    for (let i = 0; i < n; i++) sum += privateCode(values, 2 ** 32, 127, PRIVACY, from);
    expect(Math.abs(sum / n - 7)).toBeLessThan((4 * 10) / Math.sqrt(n));
  });

  test('is what a peer of such a run measures, with entropy of its own', async () => {
    const made = await smallLearner({ engine: interpreter, kernels: referenceKernels(), samples: 2 });
    const learner = { ...made, manifest: { ...made.manifest, privacy: PRIVACY } };
    const opened = { round: 0, scale: made.manifest.initial_scale, clip: 127 };
    const measured = async (seed: number) => [
      ...(await measureRecords({ ...learner, entropy: entropy(seed) }, opened, 0, 4)),
    ];
    expect(await measured(1)).toEqual(await measured(1));
    expect(await measured(1)).not.toEqual(await measured(2));
    await expect(measureRecords(learner, opened, 0, 1)).rejects.toThrow(/"learner" expected entropy/);
  });

  test('does not move the scale, which would follow the noise', () => {
    const round = committed({ ...MANIFEST, initial_scale: 1000 }, 0, Int8Array.from([120, -127, 99]));
    expect(nextScale(scaleState(1000, false, true), round).scale).toBe(1000);
    expect(nextScale(scaleState(1000), round).scale).toBeGreaterThan(1000);
  });
});

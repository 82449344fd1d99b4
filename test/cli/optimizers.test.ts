/** Run files that choose an optimizer or an estimator: manifests, refusals, rates, and the methods that do it by name. */
import { describe, expect, test } from 'vitest';
import { loadConfig, optionalKeys } from '../../src/cli/config.ts';
import { defaultLearningRate } from '../../src/cli/rate.ts';
import { RECIPES } from '../../src/method/recipes.ts';
import { promisesOf } from '../../src/optimizer/algebra.ts';

const load = (flags: Record<string, unknown>) =>
  loadConfig(undefined, { model: 'm', data: 'd.txt', ...flags }, {}).config;

function refusal(flags: Record<string, unknown>): string {
  try {
    load(flags);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return 'no refusal';
}

test.each([
  [{ momentum: 0.5 }, '--momentum: is for optimizer momentum, not sgd; leave it out'],
  [
    { optimizer: 'sign', adam_beta2: 0.5 },
    '--adam_beta2: is for optimizer scalar_adam and adam, not sign; leave it out',
  ],
  [
    { estimator: 'conservative', optimizer: 'momentum' },
    '--optimizer: momentum takes another step than the one that estimator conservative tries; take sgd',
  ],
  [
    { estimator: 'conservative', forward_precision: 'int8' },
    '--forward_precision: int8 drowns the difference that estimator conservative looks for; take f32',
  ],
  [
    { optimizer: 'adam', save_steps: 10 },
    `--save_steps: has no use with optimizer adam: ${promisesOf({ optimizer: { kind: 'adam', beta1: 0, beta2: 0, epsilon: 1 } }).snapshots.why}; leave it out`,
  ],
])('%o is refused by name and remedy', (flags, expected) => {
  expect(refusal(flags)).toBe(`CONFIG_INVALID: ${expected}`);
});

describe('manifests', () => {
  test('have an optimizer where it is not plain SGD, with what it needs and no more', () => {
    expect(optionalKeys(load({}))).toEqual({});
    expect(optionalKeys(load({ optimizer: 'sign' }))).toEqual({ optimizer: { kind: 'sign' } });
    expect(optionalKeys(load({ optimizer: 'momentum', momentum: 0.5 }))).toEqual({
      optimizer: { kind: 'momentum', beta: 0.5, window: 10 },
    });
    expect(optionalKeys(load({ optimizer: 'scalar_adam', adam_beta1: 0 }))).toEqual({
      optimizer: { kind: 'scalar_adam', beta1: 0, beta2: 0.999, epsilon: 1e-8, window: 1 },
    });
    expect(optionalKeys(load({ estimator: 'conservative' }))).toEqual({ estimator: 'conservative' });
  });

  test('of ZO-Bench, FZOO and MEAZO have the algebra that their recipe says', () => {
    const mine = RECIPES.filter(({ name }) => /^(zo-|fzoo$|meazo$)/.test(name));
    expect(mine.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['zo-sgd', 'zo-sgd-sign', 'zo-sgd-mmt', 'zo-sgd-cons', 'zo-adam', 'fzoo', 'meazo']),
    );
    for (const { name, algebra, page } of mine.filter(({ page }) => /^(zo-bench|fzoo|meazo)/.test(page))) {
      const { optimizer } = optionalKeys(load({ method: name }));
      expect(promisesOf({ optimizer }).order_free.holds, `${name}, ${page}`).toBe(algebra === 'sum');
    }
    expect(optionalKeys(load({ method: 'fzoo' })).optimizer).toEqual({ kind: 'normalised' });
    expect(optionalKeys(load({ method: 'zo-sgd-cons' }))).toEqual({ estimator: 'conservative' });
  });
});

test('rates by default: momentum counts a slope many times, Adam divides by what was reduced', () => {
  const rate = (flags: Record<string, unknown>) =>
    defaultLearningRate(load({ peers: 4, ...flags }), { zeroth: 1e6, part: 1 });
  expect(rate({ optimizer: 'momentum', momentum: 0 })).toBeCloseTo(
    10 * rate({ optimizer: 'momentum', momentum: 0.9 }),
    12,
  );
  expect(rate({ optimizer: 'adam', reduction: 'sum' })).toBe(rate({ optimizer: 'adam' }));
  expect(rate({ optimizer: 'sign', reduction: 'sum' })).toBeCloseTo(rate({ optimizer: 'sign' }) / 64, 12);
  expect(rate({ optimizer: 'normalised' })).toBeGreaterThan(rate({}));
});

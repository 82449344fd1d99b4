/** Methods whose peers exchange vectors, by their keys: which go together, and the manifest they make. */
import { describe, expect, test } from 'vitest';
import { loadConfig, type RunConfig } from '../../src/cli/config.ts';
import { exchangeKeys, isExchange, votesOf } from '../../src/cli/exchange.ts';

const config = (flags: Readonly<Record<string, unknown>>): RunConfig =>
  loadConfig(undefined, { model: 'm', data: 'd.txt', method: 'diloco', ...flags }, {}).config;

describe('keys', () => {
  test.each([
    [{ method: 'onebyte', inner_steps: 5 }, '--inner_steps: is for methods that exchange vectors, not onebyte'],
    [{ method: 'backprop', exchange_format: 'int8' }, '--exchange_format: is for methods that exchange vectors'],
    [{ method: 'ddp', inner_steps: 5 }, '--inner_steps: has no meaning for method ddp'],
    [{ method: 'acco', outer_momentum: 0 }, '--outer_momentum: is for method diloco'],
    [{ method: 'ddp', fragments: 2 }, '--fragments: is for method diloco'],
    [{ method: 'acco', dropped_shares: 0.5 }, '--dropped_shares: has no meaning for method acco'],
    [{ byzantine: 2 }, '--byzantine: is for an aggregation that bears with lies, not mean'],
    [{ mixing: 0.5 }, '--mixing: is for steps that go on meanwhile; give overlap_steps too'],
    [{ inner_steps: 10, fragments: 3 }, '--fragments: 3 does not divide inner_steps, 10'],
    [{ inner_steps: 10, fragments: 2, overlap_steps: 5 }, '--overlap_steps: is not below the 5 steps'],
    [{ workers: 2, threads: 4 }, '--workers: has no meaning for method diloco'],
    [{ estimator: 'conservative' }, '--estimator: has no meaning for method diloco'],
    [{ momentum: 0.5 }, '--momentum: is for optim sgd, not adamw'],
  ])('%j is refused', (flags, message) => {
    expect(() => config(flags)).toThrow(`CONFIG_INVALID: ${message}`);
  });

  const votes = { method: 'onebyte', shared_directions: 4, aggregation: 'median', peers: 5 };
  test.each([
    [
      { method: 'onebyte', aggregation: 'median' },
      '--aggregation: is for methods that exchange vectors and for shared',
    ],
    [{ method: 'onebyte', byzantine: 2, shared_directions: 4 }, '--byzantine: is for an aggregation that bears'],
    [{ ...votes, aggregation: 'krum' }, '--aggregation: krum is for vectors; take median, trimmed_mean or nna'],
    [{ ...votes, optimizer: 'adam' }, '--optimizer: adam divides by what liars can raise'],
    [{ ...votes, byzantine: 3 }, '--byzantine: 3 liars are outvoted by 7 peers or more'],
    [
      { ...votes, byzantine: 2, per_device_train_batch_size: 2 },
      '--shared_directions: 4 take 20 records a round to outvote 2 liars, and there are 10',
    ],
  ])('%j is refused', (flags, message) => {
    expect(() => config(flags)).toThrow(`CONFIG_INVALID: ${message}`);
  });

  test('codes along shared directions are votes by the keys that merges have', () => {
    expect(votesOf(config(votes))).toEqual({ rule: 'median', byzantine: 1 });
    expect(votesOf(config({ ...votes, aggregation: 'mean' }))).toBeUndefined();
    expect(votesOf(config({ method: 'diloco', aggregation: 'median' }))).toBeUndefined();
  });

  test('steps in a run file are inner steps, rounds in a manifest', () => {
    expect(exchangeKeys(config({ inner_steps: 100, max_steps: 950 }))).toMatchObject({
      ...{ method: 'exchange', max_steps: 10, records_per_round: 100, samples_per_record: 16 },
      exchange: { kind: 'diloco', steps: 100, fragments: 1, overlap: 0, mixing: 0, outer_learning_rate: 0.7 },
    });
    const streaming = config({ inner_steps: 100, fragments: 4, overlap_steps: 5, max_steps: 200, eval_steps: 50 });
    expect(exchangeKeys(streaming)).toMatchObject({ max_steps: 8, exchange: { steps: 25, mixing: 0.5 } });
    expect(streaming.eval_steps).toBe(2);
    expect(exchangeKeys(config({ method: 'ddp', max_steps: 30 }))).toMatchObject({ max_steps: 30 });
    // A guess and a step.
    expect(exchangeKeys(config({ method: 'acco', max_steps: 30 }))).toMatchObject({ max_steps: 60 });
    expect(exchangeKeys(config({ method: 'acco', inner_steps: 2 }))!.exchange!.steps).toBe(2);
    expect(exchangeKeys(config({ method: 'onebyte' }))).toBeUndefined();
  });

  test.each(['diloco', 'ddp', 'dpu', 'acco'])('%s has a recipe, and peers', (method) => {
    expect(isExchange(config({ method }))).toBe(true);
    expect(config({ method, peers: 3 }).min_peers).toBe(3);
  });
});

/** Rounds to a loss against records a round: MeZO's Theorem 1 where its premise holds (bench/quadratic.mjs). */
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { applyRound, recordKey } from '../../src/apply/apply.ts';
import { fixWeights } from '../../src/model/weights.ts';
import { encodeSlope } from '../../src/numeric/byte.ts';
import { direction } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { nextState } from '../../src/optimizer/gain.ts';
import { headerOf } from '../../src/optimizer/header.ts';

const lib = {
  ...{ applyRound, recordKey, fixWeights, encodeSlope, direction, referenceKernels, scaleState, nextState },
  headerOf,
};

interface Quadratic {
  roundsToLoss(parts: object, n: number, seed: number): Promise<number>;
  predicted(n: number): number;
  readonly PARTS: readonly (readonly [string, readonly string[]])[];
}
const load = async (): Promise<Quadratic> =>
  (await import(pathToFileURL('bench/quadratic.mjs').href)) as unknown as Quadratic;

const SEEDS = [1000, 2000, 3000];

test('n records a round need r / n + 1 times as many rounds as all directions would, within a third', async () => {
  const { roundsToLoss, predicted, PARTS } = await load();
  expect(PARTS.flatMap(([, names]) => [...names]).sort()).toEqual(Object.keys(lib).sort());
  const found = new Map<number, number>();
  for (const n of [2, 8, 32, 64]) {
    const rounds: number[] = [];
    for (const seed of SEEDS) rounds.push(await roundsToLoss(lib, n, seed));
    const mean = rounds.reduce((a, b) => a + b) / SEEDS.length;
    found.set(n, mean);
    expect(mean / predicted(n), `${n} records: ${rounds}`).toBeGreaterThan(0.67);
    expect(mean / predicted(n), `${n} records: ${rounds}`).toBeLessThan(1.33);
  }
  // While n is far below r they are nearly inverse to n; beyond it more records help less.
  expect(found.get(2)! / found.get(8)!).toBeGreaterThan(3);
  expect(found.get(32)! / found.get(64)!).toBeLessThan(2);
});

test('and diverge if the update goes along other directions than the probe', async () => {
  const { roundsToLoss } = await load();
  const astray = {
    ...lib,
    applyRound: (...[weights, own, run, round]: Parameters<typeof applyRound>) =>
      applyRound(weights, own, run + 1, round),
  };
  await expect(roundsToLoss(astray, 64, 1000)).rejects.toThrow(/^RANGE: /);
});

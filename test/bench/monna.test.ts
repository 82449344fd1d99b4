/** The study of MoNNA (bench/monna.mjs), small: its gradient, its task, its verdict, and the answer itself on a few steps. */
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { aggregators } from '../../src/aggregate/aggregators.ts';
import { geometricMedian } from '../../src/aggregate/geometric-median.ts';
import { addToMomentum, halfStep, quorum } from '../../src/method/monna.ts';
import { philox } from '../../src/numeric/philox.ts';

interface Row {
  readonly x: Float64Array;
  readonly y: number;
}
interface Task {
  readonly own: readonly (readonly Row[])[];
  readonly test: readonly Row[];
}
interface Run {
  readonly attack: string;
  readonly arm: string;
  readonly beta: number;
  readonly steps: number;
  readonly seed: number;
}
interface Study {
  readonly PARTS: readonly (readonly [string, readonly string[]])[];
  readonly ATTACKS: readonly string[];
  taskOf(lib: object, seed: number, alpha: number): Task;
  fresh(next: () => number): Float64Array;
  loss(theta: Float64Array, batch: readonly Row[], labelOf: (row: Row) => number): number;
  gradient(theta: Float64Array, batch: readonly Row[], labelOf: (row: Row) => number): Float64Array;
  train(lib: object, task: Task, run: Run): number;
  rate(t: number): number;
  keyOf(arm: string, beta: number, attack: string): string;
  verdict(found: Readonly<Record<string, readonly number[]>>): {
    readonly broken: readonly string[];
    readonly held: readonly string[];
    readonly lost: readonly string[];
  };
}
const study = (await import(pathToFileURL('bench/monna.mjs').href)) as Study;
const lib = { aggregators, geometricMedian, addToMomentum, halfStep, quorum, philox };

test('takes of the library what it says it takes', () => {
  expect(new Set(study.PARTS.flatMap(([, names]) => names))).toEqual(new Set(Object.keys(lib)));
});

test('the rate is 0.75 / (1 + t / 50), renewed every 50 steps', () => {
  expect([0, 49, 50, 149, 150].map(study.rate)).toEqual([0.75, 0.75, 0.375, 0.25, 0.1875]);
});

describe('the task', () => {
  const classesOf = (rows: readonly Row[]) =>
    Array.from({ length: 10 }, (_, y) => rows.filter((row) => row.y === y).length / rows.length);
  // How far the classes of a peer are from a tenth each.
  const lopsided = ({ own }: Task) =>
    own.flatMap((rows) => classesOf(rows).map((part) => Math.abs(part - 0.1))).reduce((a, b) => a + b, 0);

  test('is the same for a seed, and another for another', () => {
    const first = (seed: number) => [...study.taskOf(lib, seed, 1).test[0]!.x];
    expect(first(1)).toEqual(first(1));
    expect(first(1)).not.toEqual(first(2));
  });

  test('gives every row to one of nine honest peers, more alike where α is higher', () => {
    const [one, many] = [study.taskOf(lib, 1, 1), study.taskOf(lib, 1, 50)];
    expect(one.own.map((rows) => rows.length).reduce((a, b) => a + b)).toBe(6000);
    expect(one.own).toHaveLength(9);
    expect(lopsided(one)).toBeGreaterThan(3 * lopsided(many));
  });

  test('the gradient is that of the loss', () => {
    const { own } = study.taskOf(lib, 1, 5);
    const batch = own[0]!.slice(0, 4);
    const labelOf = ({ y }: Row) => 9 - y;
    let draws = 0;
    const theta = study.fresh(() => (draws++ * 0.7548776662466927) % 1);
    const g = study.gradient(theta, batch, labelOf);
    for (let i = 0; i < theta.length; i += 37) {
      const at = (step: number) => study.loss(theta.with(i, theta[i]! + step), batch, labelOf);
      expect(Math.abs((at(1e-5) - at(-1e-5)) / 2e-5 - g[i]!), `element ${i}`).toBeLessThan(1e-6);
    }
  });
});

describe('sixty steps', () => {
  const task = study.taskOf(lib, 1, 1);
  const reached = (arm: string, attack: string, beta = 0.9) =>
    study.train(lib, task, { arm, attack, beta, steps: 60, seed: 1 });
  const clean = reached('mean', 'silent');

  test('train, where nobody attacks', () => {
    expect(clean).toBeGreaterThan(0.85);
  });

  test.each(['alie', 'foe', 'sign_flip'])('the mean breaks under %s, NNA stays within 3 points of clean', (attack) => {
    expect(reached('mean', attack)).toBeLessThan(clean - 0.3);
    expect(reached('NNA', attack)).toBeGreaterThan(clean - 0.03);
  });

  test('NaN is as if nothing came', () => {
    expect(reached('mean', 'nan')).toBeGreaterThan(clean - 0.03);
  });
});

describe('what is said', () => {
  const found = (of: (arm: string, attack: string) => number) =>
    Object.fromEntries(
      ['mean', 'NNA'].flatMap((arm) =>
        study.ATTACKS.map((attack) => [study.keyOf(arm, 0.99, attack), [of(arm, attack)]]),
      ),
    );

  test('follows the figures', () => {
    const good = found((arm, attack) => (arm === 'mean' && attack === 'foe' ? 0.4 : attack === 'silent' ? 0.95 : 0.93));
    expect(study.verdict(good)).toEqual({ broken: ['foe'], held: study.ATTACKS.slice(1), lost: [] });
    const bad = found((arm, attack) => (arm === 'NNA' && attack === 'alie' ? 0.91 : 0.95));
    expect(study.verdict(bad)).toMatchObject({ broken: [], lost: ['alie'] });
  });
});

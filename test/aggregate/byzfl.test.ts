/** Aggregators and attacks are those of ByzFL, on the vectors of test/fixtures/aggregate. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { bucketing } from '../../src/aggregate/bucketing.ts';
import { centredClipping } from '../../src/aggregate/centred-clipping.ts';
import { geometricMedian } from '../../src/aggregate/geometric-median.ts';
import { krum, multiKrum } from '../../src/aggregate/krum.ts';
import { mda } from '../../src/aggregate/mda.ts';
import { mean } from '../../src/aggregate/mean.ts';
import { median } from '../../src/aggregate/median.ts';
import { nna } from '../../src/aggregate/nna.ts';
import { nnm } from '../../src/aggregate/nnm.ts';
import { trimmedMean } from '../../src/aggregate/trimmed-mean.ts';
import type { Vector, Vectors } from '../../src/aggregate/vectors.ts';

type Numbers = readonly number[];
interface Out {
  readonly out: Numbers;
}
interface Case {
  readonly vectors: readonly Numbers[];
  readonly f: number;
  readonly aggregators: Readonly<Record<keyof typeof simple, Numbers>>;
  readonly weiszfeld: Out & { readonly nu: number; readonly iterations: number };
  readonly clipping: Out & { readonly centre: Numbers; readonly radius: number; readonly iterations: number };
  readonly nna: Out & { readonly pivot: number };
  readonly nnm: readonly Numbers[];
  readonly bucketing: { readonly size: number; readonly order: Numbers; readonly out: readonly Numbers[] };
  readonly attacks: {
    readonly alie: Out & { readonly nu: number };
    readonly foe: Out & { readonly nu: number };
    readonly sign_flip: Numbers;
    readonly mimic: Out & { readonly victim: number };
  };
}
interface Attacks {
  alie(honest: Vectors, nu: number): Float64Array;
  foe(honest: Vectors, nu: number): Float64Array;
  signFlip(honest: Vectors): Float64Array;
  mimic(honest: Vectors, victim: number): Float64Array;
}

const simple = {
  mean: (x: Vectors) => mean(x),
  median: (x: Vectors) => median(x),
  trimmed_mean: trimmedMean,
  krum,
  multi_krum: multiKrum,
  mda,
  geometric_median: (x: Vectors) => geometricMedian(x),
};

const { cases } = JSON.parse(readFileSync('test/fixtures/aggregate/byzfl.json', 'utf8')) as {
  readonly cases: readonly Case[];
};
const vectorsOf = ({ vectors }: Case): Vector[] => vectors.map((x) => Float64Array.from(x));
const of = (got: Vectors, expected: readonly Numbers[], which: number) => {
  const flat = got.flatMap((x) => [...x]);
  const off = expected.flat().map((value, i) => Math.abs(flat[i]! - value));
  expect(flat, `case ${which}`).toHaveLength(off.length);
  expect(Math.max(...off), `case ${which}`).toBeLessThan(1e-6);
};

describe(`as ByzFL has it, within 1e-6, in ${cases.length} cases`, () => {
  test.each(Object.keys(simple) as (keyof typeof simple)[])('%s', (name) => {
    for (const [i, one] of cases.entries()) of([simple[name](vectorsOf(one), one.f)], [one.aggregators[name]], i);
  });

  test('geometric median, with other ν and T', () => {
    for (const [i, one] of cases.entries())
      of([geometricMedian(vectorsOf(one), one.weiszfeld)], [one.weiszfeld.out], i);
  });

  test('centred clipping', () => {
    for (const [i, one] of cases.entries()) {
      const { centre, out, ...rest } = one.clipping;
      of([centredClipping(vectorsOf(one), { ...rest, centre: Float64Array.from(centre) })], [out], i);
    }
  });

  test('NNA is its MoNNA', () => {
    for (const [i, one] of cases.entries()) {
      const { pivot, out } = one.nna;
      of([nna(vectorsOf(one)[pivot]!, vectorsOf(one).toSpliced(pivot, 1), one.f)], [out], i);
    }
  });

  test('NNM', () => {
    for (const [i, one] of cases.entries()) of(nnm(vectorsOf(one), one.f), one.nnm, i);
  });

  test('bucketing', () => {
    for (const [i, one] of cases.entries()) {
      const { size, order, out } = one.bucketing;
      of(bucketing(vectorsOf(one), size, order), out, i);
    }
  });

  test('ALIE, FOE (its inner-product manipulation), sign flip, mimic', async () => {
    const attacks = (await import(pathToFileURL('bench/attacks.mjs').href)) as Attacks;
    for (const [i, one] of cases.entries()) {
      const { alie, foe, sign_flip, mimic } = one.attacks;
      of([attacks.alie(vectorsOf(one), alie.nu)], [alie.out], i);
      of([attacks.foe(vectorsOf(one), foe.nu)], [foe.out], i);
      of([attacks.signFlip(vectorsOf(one))], [sign_flip], i);
      of([attacks.mimic(vectorsOf(one), mimic.victim)], [mimic.out], i);
    }
  });
});

test('the cases can tell rules apart: each differs from the next in ten or more', () => {
  const names = Object.keys(simple) as (keyof typeof simple)[];
  for (const [i, name] of names.entries()) {
    const other = names[(i + 1) % names.length]!;
    const apart = cases.filter(({ aggregators }) =>
      aggregators[name].some((value, k) => Math.abs(value - aggregators[other][k]!) > 1e-3),
    );
    expect(apart.length, `${name} and ${other}`).toBeGreaterThanOrEqual(10);
  }
});

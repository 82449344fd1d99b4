/** What every aggregator owes, whatever the vectors: order, place and f liars change nothing, or little. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Aggregator, type AggregatorName, aggregators } from '../../src/aggregate/aggregators.ts';
import { bucketing } from '../../src/aggregate/bucketing.ts';
import { centredClipping } from '../../src/aggregate/centred-clipping.ts';
import { geometricMedian } from '../../src/aggregate/geometric-median.ts';
import { krum } from '../../src/aggregate/krum.ts';
import { mda } from '../../src/aggregate/mda.ts';
import { mean } from '../../src/aggregate/mean.ts';
import { median } from '../../src/aggregate/median.ts';
import { nnm } from '../../src/aggregate/nnm.ts';
import { trimmedMean } from '../../src/aggregate/trimmed-mean.ts';
import { received, type Vector } from '../../src/aggregate/vectors.ts';

const all = Object.entries(aggregators) as [AggregatorName, Aggregator][];
const without = (one: AggregatorName) => all.filter(([name]) => name !== one);

/** n vectors of d elements, on a grid of 1/64, so that sums of few are exact; and an f below n / 2. */
const drawn = fc
  .record({ n: fc.integer({ min: 3, max: 9 }), d: fc.integer({ min: 1, max: 5 }) })
  .chain(({ n, d }) =>
    fc.record({
      f: fc.integer({ min: 0, max: Math.floor((n - 1) / 2) }),
      rows: fc.array(fc.array(fc.integer({ min: -640, max: 640 }), { minLength: d, maxLength: d }), {
        minLength: n,
        maxLength: n,
      }),
    }),
  )
  .map(({ f, rows }) => ({ f, vectors: rows.map((row) => Float64Array.from(row, (x) => x / 64)) }));

const distance = (x: Vector, y: Vector) =>
  Math.sqrt(Array.from(x, (value, i) => (value - y[i]!) ** 2).reduce((a, b) => a + b, 0));
const turned = (vectors: readonly Vector[], by: number) => {
  const at = by % vectors.length;
  return [...vectors.slice(at), ...vectors.slice(0, at)].reverse();
};
const apart = (vectors: readonly Vector[]) => {
  const all = vectors.flatMap((x, i) => vectors.slice(i + 1).map((y) => distance(x, y))).sort((a, b) => a - b);
  return all.every((value, i) => i === 0 || value - all[i - 1]! > 1e-6);
};
const call = (of: Aggregator, [own, ...others]: readonly Vector[], f: number) => of(own!, others, { f, radius: 2 });
const shifted = (x: Vector, by: Vector) => Float64Array.from(x, (value, i) => value + by[i]!);

describe('order and place', () => {
  test.each(all)('%s of equal vectors is that vector', (_, of) => {
    fc.assert(
      fc.property(drawn, ({ f, vectors }) => {
        const same = vectors.map(() => Float32Array.from(vectors[0]!));
        expect(distance(call(of, same, f), same[0]!)).toBeLessThan(1e-12);
      }),
    );
  });

  // Of MDA's sets several may share the pair that sets their diameter; then order decides.
  test.each(without('mda'))('%s does not depend on the order of the others', (_, of) => {
    fc.assert(
      fc.property(drawn, fc.nat(), ({ f, vectors }, turn) => {
        // Scores and diameters of few vectors tie even where distances do not, and a tie goes by order.
        fc.pre(apart(vectors) && vectors.length - f > 3);
        const [own, ...others] = vectors;
        expect(distance(call(of, vectors, f), call(of, [own!, ...turned(others, turn)], f))).toBeLessThan(1e-9);
      }),
    );
  });

  test.each(all)('%s goes along when everything is shifted', (_, of) => {
    fc.assert(
      fc.property(drawn, fc.array(fc.integer({ min: -99, max: 99 }), { minLength: 5, maxLength: 5 }), (one, by) => {
        fc.pre(apart(one.vectors));
        const shift = Float64Array.from(by);
        const there = call(
          of,
          one.vectors.map((x) => shifted(x, shift)),
          one.f,
        );
        expect(distance(there, shifted(call(of, one.vectors, one.f), shift))).toBeLessThan(1e-6);
      }),
    );
  });

  test.each(all)('%s writes on nothing it is given', (_, of) => {
    fc.assert(
      fc.property(drawn, ({ f, vectors }) => {
        const before = vectors.map((x) => [...x]);
        const out = call(of, vectors, f);
        out.fill(0);
        expect(vectors.map((x) => [...x])).toEqual(before);
      }),
    );
  });
});

describe('f of n = 2 f + 1 or more far away', () => {
  const honest = drawn.filter(({ f }) => f > 0);
  const outliers = (vectors: readonly Vector[], f: number, far: number) =>
    vectors.map((x, i) => (i < vectors.length - f ? x : x.map((_, k) => far * (k + 1 + i))));

  test.each(without('mean'))('%s stays within what honest vectors span, or a radius of it', (_, of) => {
    fc.assert(
      fc.property(honest, fc.constantFrom(1e4, -1e9, 1e200, -1e307), ({ f, vectors }, far) => {
        const good = vectors.slice(0, vectors.length - f);
        const widest = Math.max(...good.flatMap((x) => good.map((y) => distance(x, y))));
        // A coordinate bounded by honest ones is so at most √d times; clipping moves by at most 3 radii; Weiszfeld's
        // liar, at 1e4 or farther, weighs a thousandth of an honest vector or less.
        expect(distance(call(of, outliers(vectors, f, far), f), good[0]!)).toBeLessThan(5 * widest + 20);
      }),
    );
  });

  test('MDA leaves just them out, in any order', () => {
    fc.assert(
      fc.property(honest, fc.nat(), ({ f, vectors }, turn) => {
        const good = mean(vectors.slice(0, vectors.length - f));
        expect(distance(mda(turned(outliers(vectors, f, 1e4), turn), f), good)).toBeLessThan(1e-9);
      }),
    );
  });

  test('the mean does not', () => {
    fc.assert(
      fc.property(honest, ({ f, vectors }) => {
        expect(distance(mean(outliers(vectors, f, 1e4)), vectors[0]!)).toBeGreaterThan(900);
      }),
    );
  });
});

describe('by hand', () => {
  const line = (...values: number[]) => values.map((value) => Float64Array.of(value));

  test('median of three and of four', () => {
    expect(median(line(5, 1, 3))).toEqual(Float64Array.of(3));
    expect(median(line(5, 1, 3, 100))).toEqual(Float64Array.of(4));
  });

  test('trimmed mean drops f on either side, of each coordinate', () => {
    const x = [Float64Array.of(-100, 1), Float64Array.of(1, 2), Float64Array.of(2, 6), Float64Array.of(3, 900)];
    expect(trimmedMean(x, 1)).toEqual(Float64Array.of(1.5, 4));
  });

  test('Krum takes the vector with the nearest neighbours, of equal ones the first', () => {
    expect(krum(line(10, 0, 1, 3), 1)).toEqual(Float64Array.of(1)); // scores 149, 10, 5, 13
    expect(krum(line(7, 7, 7), 1)).toEqual(Float64Array.of(7));
    expect(krum(line(0, 1, 50, 51), 1)).toEqual(Float64Array.of(1)); // 1 + 50², 1 + 49², as much, 1 + 50²
  });

  test('MDA averages the set of the least diameter', () => {
    expect(mda(line(0, 4, 5, 7, 40), 2)).toEqual(Float64Array.of(16 / 3));
  });

  test('centred clipping shortens what is farther than the radius', () => {
    const options = { centre: Float64Array.of(0, 0), radius: 5 };
    const far = [Float64Array.of(30, 40), Float64Array.of(-1, 0)];
    expect(centredClipping(far, options)).toEqual(Float64Array.of(1, 2)); // (3, 4) and (-1, 0)
  });

  test('NNM replaces an outlier by a mean with its neighbours', () => {
    expect(nnm(line(0, 1, 9), 1)).toEqual([Float64Array.of(0.5), Float64Array.of(0.5), Float64Array.of(5)]);
  });

  test('buckets are filled in the order given, the last with what is left', () => {
    expect(bucketing(line(0, 10, 20, 30, 40), 2, [4, 0, 3, 1, 2])).toEqual([...line(20), ...line(20), ...line(20)]);
    expect(bucketing(line(0, 10, 20), 2, [1, 2, 0])).toEqual([...line(15), ...line(0)]);
    expect(() => bucketing(line(0, 1), 2, [0, 0])).toThrow(RangeError);
    expect(() => bucketing(line(0, 1), 0, [0, 1])).toThrow(RangeError);
  });
});

describe('a vector that is not finite counts as not received', () => {
  const broken = [Number.NaN, Infinity, -Infinity];

  test.each(all)('%s is that of the others', (_, of) => {
    fc.assert(
      fc.property(drawn, fc.constantFrom(...broken), fc.nat(), ({ f, vectors }, bad, at) => {
        const [own, ...others] = vectors;
        const poisoned = Float64Array.from(own!).fill(bad, at % own!.length, (at % own!.length) + 1);
        const place = at % (others.length + 1);
        expect(call(of, [own!, ...others.toSpliced(place, 0, poisoned)], f)).toEqual(call(of, vectors, f));
      }),
    );
  });

  test('NNM and bucketing leave it out', () => {
    const x = [Float64Array.of(1), Float64Array.of(Number.NaN), Float64Array.of(2)];
    expect(nnm(x, 0)).toEqual([Float64Array.of(1.5), Float64Array.of(1.5)]);
    expect(bucketing(x, 2, [0, 1, 2])).toEqual([Float64Array.of(1.5)]);
  });

  test('n = 3 f + 1 with f of them broken is still enough, and n = 2 f + 1 is not', () => {
    const of = (n: number, f: number) => Array.from({ length: n }, (_, i) => Float64Array.of(i < f ? Infinity : i));
    expect(trimmedMean(of(7, 2), 2)).toEqual(Float64Array.of(4));
    expect(() => trimmedMean(of(5, 2), 2)).toThrow(RangeError);
  });

  test('none left, lengths that differ, and an f that is no minority are refused', () => {
    expect(() => received([Float64Array.of(Number.NaN)])).toThrow(/none of 1/);
    expect(() => received([])).toThrow(RangeError);
    expect(() => received([Float64Array.of(1), Float64Array.of(1, 2)])).toThrow(/expected 1 elements/);
    const x = [Float64Array.of(1), Float64Array.of(2)];
    for (const f of [1, -1, 0.5, Number.NaN]) {
      for (const of of [trimmedMean, krum, mda, nnm]) expect(() => of(x, f), `${of.name} ${f}`).toThrow(RangeError);
    }
    expect(() => geometricMedian(x, { nu: 0 })).toThrow(RangeError);
    expect(() => centredClipping(x, { centre: x[0]!, radius: -1 })).toThrow(RangeError);
  });
});

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { type Header, NO_LOSS, type Round } from '../../src/nouns.ts';
import { isqrt } from '../../src/numeric/root.ts';
import { scaleState } from '../../src/numeric/scale.ts';
import { checkHeader, type HeaderRules, headerOf, usableCodes } from '../../src/optimizer/header.ts';
import { cosineOfPi, learningRate, type Schedule } from '../../src/optimizer/schedule.ts';

const rules: HeaderRules = {
  learning_rate: 1e-3,
  lr_scheduler_type: 'linear',
  warmup_steps: 4,
  max_steps: 20,
  direction: { kind: 'lowrank', rank: 1, scale: 0.5 },
  reduction: 'mean',
  clip: 127,
};

describe('schedules', () => {
  test('the cosine of + - * / agrees with the library to 1e-12', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), fc.nat(), (total, k) => {
        const done = k % (total + 1);
        expect(Math.abs(cosineOfPi(done, total) - Math.cos((Math.PI * done) / total))).toBeLessThan(1e-12);
      }),
    );
    expect(cosineOfPi(7, 7)).toBe(-1);
  });

  test('warm up from lr / warmup_steps, then decay from lr to 0 at max_steps', () => {
    const at = (type: Schedule['lr_scheduler_type'], t: number) =>
      learningRate({ ...rules, lr_scheduler_type: type }, t);
    for (const type of ['constant', 'linear', 'cosine'] as const) {
      expect(at(type, 0)).toBe(1e-3 / 4);
      expect(at(type, 3)).toBe(1e-3);
      expect(at(type, 4)).toBe(1e-3);
    }
    expect(at('linear', 12)).toBe(1e-3 / 2);
    expect(at('linear', 19)).toBe(1e-3 / 16);
    expect(at('cosine', 12)).toBeCloseTo(1e-3 / 2, 15);
    expect([at('constant', 20), at('linear', 20), at('cosine', 20), at('cosine', 99)]).toEqual([1e-3, 0, 0, 0]);
  });

  test('never negative, never above the rate, whatever the lengths', () => {
    const length = fc.nat(50);
    fc.assert(
      fc.property(fc.constantFrom('constant', 'linear', 'cosine'), length, length, length, (type, warmup, last, t) => {
        const rate = learningRate({ ...rules, lr_scheduler_type: type, warmup_steps: warmup, max_steps: last }, t);
        expect(rate).toBeGreaterThanOrEqual(0);
        expect(rate).toBeLessThanOrEqual(1e-3);
      }),
    );
  });
});

test('isqrt is the square root rounded down', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 80n }), (n) => {
      const r = isqrt(n);
      expect(r * r <= n && n < (r + 1n) * (r + 1n)).toBe(true);
    }),
  );
});

describe('headers', () => {
  const gain = (reduction: HeaderRules['reduction'], usable: number) =>
    headerOf({ ...rules, reduction }, scaleState(9), 4, usable).gain;

  test('gain is rate x direction scale over the reduction; nothing usable, nothing gained', () => {
    expect(gain('mean', 10)).toBe(0.0005 / 10);
    expect(gain('sqrt', 16)).toBe(0.0005 / 4);
    expect(gain('sqrt', 2)).toBeCloseTo(0.0005 / Math.SQRT2, 8);
    expect(gain('sum', 10)).toBe(0.0005);
    for (const reduction of ['mean', 'sqrt', 'sum'] as const) expect(gain(reduction, 0)).toBe(0);
  });

  const segments = [
    { slot: 1, from: 0, codes: Int8Array.of(3, NO_LOSS, -9) },
    { slot: 2, from: 3, codes: Int8Array.of(0) },
  ];
  const header = headerOf(rules, scaleState(9), 6, 3);
  const check = (changed: Partial<Header>): void => {
    const round: Round = { header: { ...header, ...changed }, segments };
    checkHeader(rules, scaleState(9), 6, round);
  };

  test('a header that follows from the journal passes', () => {
    expect(usableCodes(segments)).toBe(3);
    check({});
  });

  test.each([
    { round: 7 },
    { usable: 4 },
    { gain: header.gain * (1 + 2 ** -52) },
    { gain: Number.NaN },
    { scale: 10 },
    { clip: 126 },
  ])('HEADER_WRONG for %o', (changed) => {
    expect(() => check(changed)).toThrow(Fault);
    expect(() => check(changed)).toThrow(new RegExp(`HEADER_WRONG.*${Object.keys(changed)[0]}`));
  });
});

interface Case extends Omit<HeaderRules, 'direction' | 'clip'> {
  readonly scale: number;
  readonly gains: readonly (readonly [number, number, string])[];
}

test('gains are those of docs/NUMBERS.md, bit for bit (test/golden/numbers)', () => {
  const golden = new URL('../golden/numbers/vectors.json', import.meta.url);
  const cases: Case[] = JSON.parse(readFileSync(golden, 'utf8')).header;
  for (const { scale, gains, ...rest } of cases) {
    const given: HeaderRules = { ...rest, direction: { kind: 'lowrank', rank: 1, scale }, clip: 127 };
    for (const [t, n, bits] of gains) {
      const view = Buffer.alloc(8);
      view.writeDoubleBE(headerOf(given, scaleState(1), t, n).gain);
      expect(view.toString('hex'), `${rest.lr_scheduler_type} ${rest.reduction} t=${t} n=${n}`).toBe(bits);
    }
  }
  expect(cases.length).toBe(9);
});

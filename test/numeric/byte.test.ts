import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NO_LOSS, type Round } from '../../src/nouns.ts';
import { decodeSlope, encodeSlope, MAX_SCALE, SCALE_UNIT } from '../../src/numeric/byte.ts';
import { coefficient } from '../../src/numeric/coefficient.ts';
import { initialScale, nextScale, type ScaleState, scaleState } from '../../src/numeric/scale.ts';
import { u32 } from './arbitrary.ts';

const scale = fc.oneof(fc.integer({ min: 1, max: MAX_SCALE }), fc.constantFrom(1, 2, 3, MAX_SCALE));
const clip = fc.integer({ min: 1, max: 127 });

describe('the byte', () => {
  test('every code that the clip lets pass survives decoding and encoding', () => {
    fc.assert(
      fc.property(fc.integer({ min: -127, max: 127 }), scale, (code, s) => {
        expect(encodeSlope(decodeSlope(code, s), s, 127)).toBe(code);
      }),
    );
  });

  test('a slope inside the clip comes back within half a unit; outside, at the clip', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -300, max: 300 }), scale, clip, (units, s, c) => {
        const unit = s * 2 ** -32;
        const code = encodeSlope(units * unit, s, c);
        expect(Math.abs(code)).toBeLessThanOrEqual(c);
        if (Math.abs(units) < c) expect(Math.abs(code - units)).toBeLessThanOrEqual(0.5 + 1e-9);
        else expect(code).toBe(Math.sign(units) * c);
      }),
    );
  });

  test('what is not a number is NO_LOSS', () => {
    for (const g of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      expect(encodeSlope(g, 5, 127)).toBe(NO_LOSS);
    expect(decodeSlope(NO_LOSS, 5)).toBeNaN();
  });
});

/** A round at the scale the state asks for. */
const round = (state: ScaleState, codes: readonly number[], limit = 127): Round => ({
  header: { round: 0, usable: 0, gain: 0, scale: state.scale, clip: limit },
  segments: [{ slot: 1, from: 0, codes: Int8Array.from(codes) }],
});
const code = fc.integer({ min: -128, max: 127 });

describe('the scale', () => {
  test('moves by a factor 2 at most and stays in 1 … 2^45, whatever is sent', () => {
    fc.assert(
      fc.property(scale, fc.array(fc.array(code, { maxLength: 70 }), { maxLength: 20 }), (start, rounds) => {
        let state = scaleState(start);
        for (const codes of rounds) {
          const next = nextScale(state, round(state, codes));
          expect(Number.isInteger(next.scale)).toBe(true);
          expect(next.scale).toBeGreaterThanOrEqual(Math.max(1, state.scale / 2));
          expect(next.scale).toBeLessThanOrEqual(Math.min(MAX_SCALE, 2 * state.scale));
          state = next;
        }
      }),
    );
  });

  test('a minority of liars leaves it where honest codes alone could have put it', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 20, max: 50 }), { minLength: 33, maxLength: 40 }),
        fc.array(fc.integer({ min: -127, max: 127 }), { maxLength: 31 }),
        (honest, lies) => {
          const start = scaleState(2 ** 30);
          const { scale } = nextScale(start, round(start, [...lies, ...honest]));
          expect(scale).toBeGreaterThanOrEqual(Math.floor((Math.min(...honest) * 2 ** 30) / 32));
          expect(scale).toBeLessThanOrEqual(Math.floor((Math.max(...honest) * 2 ** 30) / 32));
        },
      ),
    );
  });

  test('follows slopes of a steady size to a median code of 32, and stays', () => {
    let state = scaleState(2 ** 20);
    const slopes = Array.from({ length: 64 }, (_, i) => 0.01 * (i - 31.5)); // median |g| = 0.155
    for (let t = 0; t < 30; t++) {
      const codes = slopes.map((g) => encodeSlope(g, state.scale, 127));
      state = nextScale(state, round(state, codes));
    }
    const magnitudes = slopes.map((g) => Math.abs(encodeSlope(g, state.scale, 127))).sort((a, b) => a - b);
    expect(Math.abs(magnitudes[31]! - 32)).toBeLessThanOrEqual(1);
  });

  test('looks back until it has 64 codes, and no further than 16 rounds', () => {
    let state = scaleState(1000);
    for (let t = 0; t < 40; t++) state = nextScale(state, round(state, [32, NO_LOSS]));
    expect(state.window.length).toBe(16);
    state = nextScale(state, round(state, Array(64).fill(32)));
    expect(state.window.length).toBe(1);
    const silent = nextScale(scaleState(1000), round(scaleState(1000), [NO_LOSS]));
    expect(silent.scale).toBe(1000);
  });

  test('counts a code beyond the clip as the clip', () => {
    const start = scaleState(3200);
    expect(nextScale(start, round(start, [127], 48)).scale).toBe(4800);
  });

  test('the first one comes from the median of measured slopes', () => {
    expect(initialScale([Number.NaN, -32 * 2 ** -32 * 500, 1e9, 1e-30])).toBe(500);
    expect(initialScale([1e-30])).toBe(1);
    expect(initialScale([1e30])).toBe(MAX_SCALE);
    expect(() => initialScale([Number.NaN])).toThrow('ENGINE_FAILED');
  });
});

describe('the coefficient', () => {
  const header = { gain: 1e-3 / 64, scale: 2 ** 27, clip: 127 };

  test('is unbiased over the rounding word', () => {
    for (const c of [-101, -1, 1, 7, 64]) {
      const exact = -header.gain * decodeSlope(c, header.scale) * 2 ** 18;
      let sum = 0;
      const words = 1 << 14;
      for (let i = 0; i < words; i++) sum += coefficient(header, c, -18, i * 2 ** 18); // evenly spread u32
      expect(Math.abs(sum / words - exact)).toBeLessThanOrEqual(1 / words);
    }
  });

  test('is an integer next to the exact value, at most 2^30, and 0 for NO_LOSS', () => {
    const gain = fc.double({ noNaN: true, min: -1e6, max: 1e6 });
    const exponent = fc.integer({ min: -27, max: 100 });
    fc.assert(
      fc.property(gain, scale, clip, code, exponent, u32, (g, s, limit, c, e, word) => {
        const got = coefficient({ gain: g, scale: s, clip: limit }, c, e, word);
        expect(Number.isInteger(got)).toBe(true);
        if (c === NO_LOSS) {
          expect(got).toBe(0);
          return;
        }
        const clipped = Math.max(-limit, Math.min(limit, c));
        const exact = (-g * s * clipped) / 2 ** 32 / 2 ** e;
        if (Math.abs(exact) >= 2 ** 30 + 1) expect(got).toBe(Math.sign(exact) * 2 ** 30);
        else expect(Math.abs(got - exact)).toBeLessThanOrEqual(1 + 1e-6);
        expect(Math.abs(got)).toBeLessThanOrEqual(2 ** 30);
      }),
    );
  });

  test('rounds up exactly when the word is below the fraction', () => {
    const quarter = { gain: -0.25, scale: 2 ** 32, clip: 127 };
    expect(coefficient(quarter, 1, 0, 2 ** 30 - 1)).toBe(1);
    expect(coefficient(quarter, 1, 0, 2 ** 30)).toBe(0);
    expect(coefficient(quarter, -1, 0, 3 * 2 ** 30 - 1)).toBe(0);
    expect(coefficient(quarter, -1, 0, 3 * 2 ** 30)).toBe(-1);
    expect(coefficient(quarter, 4, 0, 0)).toBe(1);
  });
});

describe('the scale of a run that has an objective', () => {
  const roundOf = (scale: number, codes: readonly number[]): Round => ({
    header: { round: 0, usable: codes.length, gain: 1, scale, clip: 127 },
    segments: [{ slot: 0, from: 0, codes: Int8Array.from(codes) }],
  });
  const zeros = new Array<number>(63).fill(0);

  test('follows the codes that are not 0, and stays where all are', () => {
    let state = scaleState(1000, true);
    for (let round = 0; round < 20; round++) state = nextScale(state, roundOf(state.scale, zeros));
    expect(state.scale).toBe(1000);
    for (let round = 0; round < 20; round++) state = nextScale(state, roundOf(state.scale, [...zeros, 64]));
    expect(state.scale).toBeGreaterThan(1900);
    expect(nextScale(scaleState(1000, true), roundOf(1000, [...zeros, -32, 32, 32])).scale).toBe(1000);
  });

  test('others count every code, as before', () => {
    expect(nextScale(scaleState(1000), roundOf(1000, [...zeros, 64])).scale).toBe(500);
    expect(scaleState(1000)).toEqual({ scale: 1000, window: [] });
  });

  test('begins at the slopes that are not 0, or at one sample that turns', () => {
    const unit = 32 * SCALE_UNIT;
    expect(initialScale([0, 0, 3 * unit, 0, Number.NaN, -5 * unit], unit)).toBe(3);
    expect(initialScale([0, 0, 0], 7 * unit)).toBe(7);
    expect(initialScale([0, 0, 3 * unit])).toBe(1);
    expect(() => initialScale([Number.NaN], unit)).toThrow(/^ENGINE_FAILED/);
  });
});

import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import type { DirectionKind } from '../../src/nouns.ts';
import { isMoved } from '../../src/numeric/element-mask.ts';
import type { Kernels, Term } from '../../src/numeric/kernels.ts';
import { isLowRank, maskWords, roundingWord } from '../../src/numeric/noise.ts';
import { rademacher } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmBytes, wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { coefficient, integers, key, kind, masked, rank, tensor, tensorId, u32 } from './arbitrary.ts';

const ROOM = 4096;
/** Elements between arrays: a write past an end, or before a start, shows. */
const GUARD = 64;
const MARK = 0x5a5a5a5a;

const reference = referenceKernels();
let wasm: Kernels;
let slabs: Int32Array[];
beforeAll(async () => {
  wasm = await wasmKernels({ bytes: wasmBytes([ROOM, ROOM, ROOM, ROOM]) });
  slabs = [1, 2, 3, 4].map(() => wasm.i32(ROOM));
});

/** Arrays inside guarded slabs at an odd offset, and a check that only they were written. */
function guarded(n: number, offset: number) {
  for (const slab of slabs) slab.fill(MARK);
  const at = GUARD + offset;
  return {
    ints: (i: number) => slabs[i]!.subarray(at, at + n),
    floats: (i: number) => new Float32Array(slabs[i]!.buffer, slabs[i]!.byteOffset + at * 4, n),
    intact: () => slabs.every((slab) => slab.every((x, i) => (i >= at && i < at + n) || x === MARK)),
  };
}

const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const key0 = { round: 7, run: 0xdeadbeef, sample: 3, slot: 0xfffffffe };
const offset = fc.nat(7);
const exponent = fc.integer({ min: -27, max: 100 });
const delta = fc.oneof(fc.constantFrom(1e-3, -1e-3, 0.5), fc.double({ noNaN: true, min: -10, max: 10 }));
const terms: fc.Arbitrary<Term[]> = fc.array(fc.record({ key, c: coefficient }), { maxLength: 40 });

describe('wasm equals the reference bit for bit, and writes nothing else', () => {
  test('materialise', () => {
    fc.assert(
      fc.property(fc.nat(2000), u32, exponent, offset, (n, seed, e, shift) => {
        const q = integers(n, seed);
        const expected = new Float32Array(n);
        reference.materialise(q, e, expected);
        const area = guarded(n, shift);
        area.ints(0).set(q);
        wasm.materialise(area.ints(0), e, area.floats(1));
        expect(bits(area.floats(1))).toEqual(bits(expected));
        expect(area.intact()).toBe(true);
      }),
    );
  });

  test('materialisePair, all kinds, ranks and shapes', () => {
    fc.assert(
      fc.property(tensor, kind, rank, key, delta, u32, exponent, offset, (whole, k, r, d, step, seed, e, shift) => {
        const t = masked(whole, k, seed);
        const n = size(t.shape);
        fc.pre(n <= 3500);
        const q = integers(n, seed);
        const [plus, minus] = [new Float32Array(n), new Float32Array(n)];
        reference.materialisePair(q, e, t, k, r, d, step, 0, plus, minus);
        const area = guarded(n, shift);
        area.ints(0).set(q);
        wasm.materialisePair(area.ints(0), e, t, k, r, d, step, 0, area.floats(1), area.floats(2));
        expect(bits(area.floats(1))).toEqual(bits(plus));
        expect(bits(area.floats(2))).toEqual(bits(minus));
        expect(area.ints(0)).toEqual(q);
        expect(area.intact()).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('materialisePair of a part, which equals that part of the whole', () => {
    fc.assert(
      fc.property(tensor, kind, rank, key, u32, fc.nat(), fc.nat(), offset, (full, k, r, d, seed, from, to, shift) => {
        const t = masked(full, k, seed);
        const n = size(t.shape);
        fc.pre(n <= 3500);
        const unit = isLowRank(k, t) ? t.shape[1]! : 1;
        const first = (from % (n / unit + 1)) * unit;
        const length = (to % ((n - first) / unit + 1)) * unit;
        const whole = guarded(n, 0);
        const q = integers(n, seed);
        whole.ints(0).set(q);
        const all = [new Float32Array(n), new Float32Array(n)] as const;
        reference.materialisePair(q, -20, t, k, r, d, 1e-3, 0, ...all);
        const expected = all.map((x) => bits(x.subarray(first, first + length)));

        const [plus, minus] = [new Float32Array(length), new Float32Array(length)];
        reference.materialisePair(q, -20, t, k, r, d, 1e-3, first, plus, minus);
        expect([bits(plus), bits(minus)]).toEqual(expected);

        const area = guarded(length, shift);
        slabs[0]!.set(q);
        wasm.materialisePair(slabs[0]!.subarray(0, n), -20, t, k, r, d, 1e-3, first, area.floats(1), area.floats(2));
        expect([bits(area.floats(1)), bits(area.floats(2))]).toEqual(expected);
        expect(slabs[0]!.subarray(0, n)).toEqual(q);
        slabs[0]!.fill(MARK);
        area.ints(0).fill(0);
        expect(area.intact()).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('apply, all kinds, ranks, shapes and coefficients', () => {
    fc.assert(
      fc.property(tensor, kind, rank, terms, u32, offset, (whole, k, r, records, seed, shift) => {
        const t = masked(whole, k, seed);
        const n = size(t.shape);
        fc.pre(n <= 3500);
        const q = integers(n, seed);
        const area = guarded(n, shift);
        area.ints(0).set(q);
        reference.apply(q, t, k, r, records);
        wasm.apply(area.ints(0), t, k, r, records);
        expect(area.ints(0)).toEqual(q);
        expect(area.intact()).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test('factors, both sides of many directions, from any block on', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<1 | 2>(1, 2),
        fc.integer({ min: 1, max: 2 }),
        tensorId,
        fc.array(key, { minLength: 1, maxLength: 5 }),
        fc.tuple(delta, delta),
        fc.nat(149),
        fc.nat(4),
        offset,
        (s, rank, id, keys, [plus, minus], n, block, shift) => {
          const first = 128 * block;
          const signs = keys.map((d) =>
            Array.from({ length: rank }, (_, k) => rademacher(d, s, k, id, first + n).subarray(first)),
          );
          const expected = signs.flatMap((own) =>
            [plus, minus].flatMap((value) => own.flatMap((sign) => Array.from(sign, (z) => Math.fround(value) * z))),
          );
          const area = guarded(expected.length, shift);
          wasm.factors(s, rank, id, keys, plus, minus, first, area.floats(0));
          expect(bits(area.floats(0))).toEqual(bits(Float32Array.from(expected)));
          expect(area.intact()).toBe(true);
          const same = new Float32Array(expected.length);
          reference.factors(s, rank, id, keys, plus, minus, first, same);
          expect(bits(same)).toEqual(bits(Float32Array.from(expected)));
        },
      ),
    );
  });

  test('factors, of more directions and components than the table holds', () => {
    const keys = Array.from({ length: 7 }, (_, sample) => ({ ...key0, sample }));
    for (const rank of [1, 60, 255]) {
      const many = rank === 1 ? Array.from({ length: 300 }, (_, sample) => ({ ...key0, sample })) : keys;
      const [a, b] = [reference, wasm].map((kernels) => {
        const out = kernels.f32(2 * many.length * rank * 5);
        kernels.factors(1, rank, 3, many, 2, -3, 128, out);
        return out;
      });
      expect(bits(b!)).toEqual(bits(a!));
    }
  });

  test('factorAt reads a factor at chosen places', () => {
    const component = fc.nat(254);
    const index = fc.array(fc.nat(2999), { maxLength: 50 });
    const stream = fc.constantFrom<1 | 2>(1, 2);
    fc.assert(
      fc.property(stream, component, tensorId, key, delta, index, offset, (s, k, id, d, x, at, shift) => {
        const signs = rademacher(d, s, k, id, 3000);
        const gathered = Float32Array.from(at, (i) => signs[i]! * x);
        const few = guarded(at.length, shift);
        few.ints(0).set(at);
        wasm.factorAt(s, k, id, d, x, few.ints(0), few.floats(1));
        expect(bits(few.floats(1))).toEqual(bits(gathered));
        expect(few.intact()).toBe(true);
        const same = new Float32Array(at.length);
        reference.factorAt(s, k, id, d, x, Int32Array.from(at), same);
        expect(bits(same)).toEqual(bits(gathered));
      }),
    );
  });

  test('what does not fit is refused', () => {
    for (const kernels of [reference, wasm]) {
      const out = kernels.f32(24);
      expect(() => kernels.factors(1, 1, 0, [key0], 1, 1, 64, out)).toThrow('"first" expected a multiple of 128');
      expect(() => kernels.factors(1, 5, 0, [key0], 1, 1, 0, out)).toThrow('"out" expected a multiple of 2 · 1 · 5');
    }
  });

  test('roundingWords, of more records than the table holds too', () => {
    fc.assert(
      fc.property(tensorId, fc.array(key, { maxLength: 9 }), fc.nat(600), (id, keys, many) => {
        const records = [...keys, ...Array.from({ length: many }, (_, sample) => ({ ...key0, sample }))];
        const expected = Uint32Array.from(records, (key) => roundingWord(key, id));
        for (const kernels of [reference, wasm])
          expect(
            kernels.roundingWords(
              id,
              records.map((key) => ({ key })),
            ),
          ).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('checksum and peak', () => {
    const start = fc.oneof(u32, fc.integer({ min: 0, max: 2 ** 40 }));
    fc.assert(
      fc.property(fc.nat(3000), u32, u32, start, offset, (n, seed, sumKey, from, shift) => {
        const q = integers(n, seed);
        if (n > 0 && seed % 3 === 0) q[n - 1] = -(2 ** 31);
        const area = guarded(n, shift);
        area.ints(0).set(q);
        const expected = reference.checksum(q, sumKey, from);
        expect(wasm.checksum(area.ints(0), sumKey, from)).toEqual(expected);
        expect([wasm.peak(area.ints(0)), reference.peak(q)]).toEqual([expected.peak, expected.peak]);
        expect(area.intact()).toBe(true);
      }),
    );
  });
});

/** Matrices and numbers of records that a pass of the low-rank kernel does not hold. */
const PASSES: readonly (readonly [shape: [number, number], records: number, what: string])[] = [
  [[3, 4096 + 517], 3, 'columns'],
  [[2060, 19], 3, 'rows, few records'],
  [[2060, 19], 40, 'rows, many records'],
  [[5, 1500], 32, 'sums, the last number of records that is few'],
  [[5, 1500], 33, 'sums, the first that is many'],
  [[140, 20], 260, 'table'],
];
test.each(PASSES)('apply (%j) of %i records, past what one pass holds: %s', async (shape, count) => {
  const n = size(shape);
  const kernels = await wasmKernels({ bytes: wasmBytes([n]) });
  const expected = integers(n, 9);
  const q = kernels.i32(n);
  q.set(expected);
  const c = integers(count, 77).map((x) => x >> 2);
  const records = Array.from(c, (c, sample) => ({ key: { ...key0, sample }, c }));
  reference.apply(expected, { id: 11, shape }, 'lowrank', 1, records);
  kernels.apply(q, { id: 11, shape }, 'lowrank', 1, records);
  expect(q).toEqual(expected);
});

test.each(['rademacher', 'binomial'] as const)('masks of a tensor longer than the scratch holds: %s', async (kind) => {
  const n = 2 ** 18 + 700;
  const tensor = { id: 3, shape: [n], moved: new Uint32Array(integers(maskWords(n), 5).buffer) };
  const kernels = await wasmKernels({ bytes: wasmBytes([n, n, n]) });
  const start = integers(n, 9);
  const q = kernels.i32(n);
  q.set(start);
  const pair = (by: Kernels) => {
    const sides = [by.f32(n - 77), by.f32(n - 77)] as const;
    by.materialisePair(q, -20, tensor, kind, 1, key0, 1e-3, 77, ...sides);
    return sides.map(bits);
  };
  expect(pair(kernels)).toEqual(pair(reference));
  const records = [{ key: key0, c: 12_345 }];
  const expected = start.slice();
  reference.apply(expected, tensor, kind, 1, records);
  kernels.apply(q, tensor, kind, 1, records);
  expect(q).toEqual(expected);
  const still = start.filter((x, i) => !isMoved(tensor.moved, i) && q[i] === x).length;
  expect(still).toBe(start.filter((_, i) => !isMoved(tensor.moved, i)).length);
  expect(Math.abs(still / n - 0.5)).toBeLessThan(0.01);
});

test('a mask of another length, or of low-rank noise, is refused', () => {
  const moved = new Uint32Array(4);
  for (const kernels of [reference, wasm]) {
    const [q, plus] = [kernels.name === 'wasm' ? slabs[0]!.subarray(0, 200) : new Int32Array(200), kernels.f32(0)];
    const long = { id: 0, shape: [200], moved };
    expect(() => kernels.apply(q, long, 'rademacher', 1, [{ key: key0, c: 1 }])).toThrow('"tensor.moved" expected 8');
    const matrix = { id: 0, shape: [10, 20], moved };
    expect(() => kernels.materialisePair(q, 0, matrix, 'lowrank', 1, key0, 1, 0, plus, plus)).toThrow('"tensor.moved"');
  }
});

test('a low-rank pair of rows that begin inside a block of signs, and end in another pass', async () => {
  const tensor = { id: 3, shape: [2400, 5] };
  const n = size(tensor.shape);
  const [first, length] = [77 * 5, 2200 * 5];
  const kernels = await wasmKernels({ bytes: wasmBytes([n, n, n]) });
  const q = kernels.i32(n);
  q.set(integers(n, 4));
  const make = (by: Kernels, plus: Float32Array, minus: Float32Array) => {
    by.materialisePair(q, -20, tensor, 'lowrank', 2, key0, 1e-3, first, plus, minus);
    return [bits(plus), bits(minus)];
  };
  expect(make(kernels, kernels.f32(length), kernels.f32(length))).toEqual(
    make(reference, new Float32Array(length), new Float32Array(length)),
  );
});

describe.each(['reference', 'wasm'] as const)('algebra of apply (%s)', (name) => {
  const kernels = (): Kernels => (name === 'wasm' ? wasm : reference);
  const fresh = (q: Int32Array): Int32Array => {
    if (name === 'reference') return q.slice();
    const copy = slabs[0]!.subarray(0, q.length);
    copy.set(q);
    return copy;
  };

  test('the order of terms is nothing, nor how they are split over calls', () => {
    fc.assert(
      fc.property(tensor, kind, rank, terms, u32, fc.nat(40), (whole, k, r, records, seed, cut) => {
        const t = masked(whole, k, seed);
        const n = size(t.shape);
        fc.pre(n <= 1500);
        const start = integers(n, seed);
        const once = fresh(start);
        kernels().apply(once, t, k, r, records);
        const expected = once.slice();
        const other = fresh(start);
        kernels().apply(other, t, k, r, records.slice(cut).reverse());
        kernels().apply(other, t, k, r, records.slice(0, cut).reverse());
        expect(other).toEqual(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('c then -c restores, through any wrap', () => {
    fc.assert(
      fc.property(tensor, kind, rank, terms, u32, (whole, k, r, records, seed) => {
        const t = masked(whole, k, seed);
        const n = size(t.shape);
        fc.pre(n <= 1500);
        const start = integers(n, seed);
        const q = fresh(start);
        kernels().apply(q, t, k, r, records);
        kernels().apply(
          q,
          t,
          k,
          r,
          records.map((term) => ({ ...term, c: -term.c })),
        );
        expect(q).toEqual(start);
      }),
      { numRuns: 40 },
    );
  });
});

test('a checksum is a sum: chunks add up, and one wrong element always changes both lanes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), u32, u32, fc.nat(), fc.nat(), (n, seed, sumKey, cut, at) => {
      const q = integers(n, seed);
      const whole = reference.checksum(q, sumKey, 5);
      const i = cut % (n + 1);
      const left = reference.checksum(q.subarray(0, i), sumKey, 5);
      const right = reference.checksum(q.subarray(i), sumKey, 5 + i);
      expect((left.low + right.low) >>> 0).toBe(whole.low);
      expect((left.high + right.high) >>> 0).toBe(whole.high);
      q[at % n]! += 1 + (seed % 1000);
      const changed = reference.checksum(q, sumKey, 5);
      expect(changed.low).not.toBe(whole.low);
      expect(changed.high).not.toBe(whole.high);
    }),
  );
});

describe('what wasm kernels refuse', () => {
  test('more memory than there is, with TOO_LARGE', async () => {
    const code = (f: Promise<unknown>) =>
      f.then(
        () => 'none',
        (e: Fault) => e.code,
      );
    expect(await code(wasmKernels({ bytes: 2 ** 32 }))).toBe('TOO_LARGE');
    const small = await wasmKernels({ bytes: 1024 });
    expect(() => small.f32(2 ** 20)).toThrow(Fault);
    expect(small.f32(256).length).toBe(256); // a refusal takes nothing
  });

  test('arrays of another memory, wrong lengths, ids and ranks', () => {
    const key = { round: 0, run: 0, sample: 0, slot: 0 };
    const q = slabs[0]!.subarray(0, 6);
    expect(() => wasm.apply(new Int32Array(6), { id: 0, shape: [2, 3] }, 'lowrank', 1, [])).toThrow(TypeError);
    expect(() => wasm.apply(q, { id: 0, shape: [2, 4] }, 'lowrank', 1, [])).toThrow('"q"');
    expect(() => wasm.apply(q, { id: 2 ** 20, shape: [2, 3] }, 'lowrank', 1, [])).toThrow('"tensor.id"');
    expect(() => reference.apply(q, { id: 0, shape: [2, 3] }, 'lowrank', 256, [])).toThrow('"rank"');
    expect(() => wasm.factorAt(1, 0, 0, key, 1, q, wasm.f32(0))).toThrow('"out"');
  });

  test.each(['reference', 'wasm'] as const)(
    'a part outside the tensor, or not of whole rows where noise is low-rank (%s)',
    (name) => {
      const kernels = name === 'wasm' ? wasm : reference;
      const key = { round: 0, run: 0, sample: 0, slot: 0 };
      const q = slabs[0]!.subarray(0, 6);
      const part = (kind: DirectionKind, first: number, n: number) => () => {
        const [plus, minus] = [1, 2].map((i) => new Float32Array(slabs[i]!.buffer, slabs[i]!.byteOffset, n));
        kernels.materialisePair(q, 0, { id: 0, shape: [2, 3] }, kind, 1, key, 1, first, plus!, minus!);
      };
      for (const [first, n] of [
        [-1, 2],
        [0.5, 2],
        [5, 2],
      ] as const)
        expect(part('rademacher', first, n)).toThrow('"first" expected 0 … 4');
      expect(part('lowrank', 1, 3)).toThrow('"first" expected whole rows of 3');
      expect(part('lowrank', 0, 4)).toThrow('"first" expected whole rows of 3');
      part('rademacher', 1, 4)();
      part('lowrank', 3, 3)();
    },
  );
});

/** Holds the code to docs/NUMBERS.md, through vectors that test/golden/numbers/make.py made from the page alone. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { recordKey } from '../../src/apply/apply.ts';
import { scalarsOf } from '../../src/apply/scalars.ts';
import type {
  DirectionKey,
  DirectionKind,
  DirectionSet,
  ElementMask,
  Manifest,
  Round,
  ScalarAggregation,
  TensorMask,
} from '../../src/nouns.ts';
import { encodeSlope } from '../../src/numeric/byte.ts';
import { checksumKey } from '../../src/numeric/checksum.ts';
import { coefficient } from '../../src/numeric/coefficient.ts';
import { elementMask, isMoved } from '../../src/numeric/element-mask.ts';
import { exponentOf, quantise } from '../../src/numeric/fixed.ts';
import type { Kernels, TensorNoise, Term } from '../../src/numeric/kernels.ts';
import { maskOf } from '../../src/numeric/mask.ts';
import { merkleRoot } from '../../src/numeric/merkle.ts';
import { type Drawing, directionKey } from '../../src/numeric/names.ts';
import { block, roundingWord } from '../../src/numeric/noise.ts';
import { permutation } from '../../src/numeric/permutation.ts';
import { philox } from '../../src/numeric/philox.ts';
import { direction, rademacher } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { nextScale, scaleState } from '../../src/numeric/scale.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { type HeaderRules, headerOf } from '../../src/optimizer/header.ts';

interface Direction {
  tensor: TensorNoise;
  kind: DirectionKind;
  rank: number;
}
interface Vectors {
  philox: { key: [number, number]; counter: [number, number, number, number]; words: number[] }[];
  noise: (Direction & { key: DirectionKey; z: number[] })[];
  fixed: { weights: string[]; exponent: number; q: number[]; back: string[] }[];
  pair: (Direction & {
    key: DirectionKey;
    exponent: number;
    delta: string;
    q: number[];
    plus: string[];
    minus: string[];
  })[];
  byte: { slope: string; scale: number; clip: number; code: number }[];
  scale: { initial: number; clip: number; codes: number[][]; scales: number[] }[];
  header: (Pick<Manifest, 'learning_rate' | 'lr_scheduler_type' | 'max_steps' | 'warmup_steps' | 'reduction'> & {
    scale: number;
    gains: [number, number, string][];
  })[];
  coefficient: {
    gain: string;
    scale: number;
    clip: number;
    code: number;
    exponent: number;
    word: number;
    c: number;
  }[];
  rounding: { key: DirectionKey; id: number; word: number }[];
  apply: (Direction & { salt: number; terms: Term[]; head: number[]; sha256: string })[];
  order: { n: number; epoch: number; run: number; order: number[] }[];
  checksum: { n: number; salt: number; key: number; offset: number; low: number; high: number; peak: number }[];
  checksumKey: { round: number; run: number; key: number }[];
  root: { lengths: number[]; root: string }[];
  mask: { mask: TensorMask; ids: number[]; round: number; run: number; kept: number[] }[];
  lazy: Vectors['noise'];
  keyOfRecord: {
    lazy: number;
    directions: DirectionSet | Record<string, never>;
    round: number;
    run: number;
    record: number;
    key: DirectionKey;
  }[];
  elementMask: {
    mask: ElementMask;
    tensor: TensorNoise;
    run: number;
    q: number[];
    key: DirectionKey;
    c: number;
    moved: string;
    applied: number[];
  }[];
  scalars: (ScalarAggregation & {
    shared: number;
    clip: number;
    segments: { slot: number; from: number; codes: number[] }[];
    scalars: { direction: number; amount: string }[];
  })[];
}
const golden = new URL('../golden/numbers/vectors.json', import.meta.url);
const vectors: Vectors = JSON.parse(readFileSync(golden, 'utf8'));

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const f64 = (text: string): number => Buffer.from(text, 'hex').readDoubleBE();
const f32 = (texts: string[]): Float32Array => Float32Array.from(texts, (t) => Buffer.from(t, 'hex').readFloatBE());
const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);
const pattern = (n: number, salt: number): Int32Array =>
  Int32Array.from({ length: n }, (_, i) => Math.imul(i + salt, 2654435761));

test('random words, noise and rounding words', () => {
  for (const { key, counter, words } of vectors.philox)
    expect([...philox(...key, ...counter, new Uint32Array(4))]).toEqual(words);
  for (const { tensor, kind, rank, key, z } of [...vectors.noise, ...vectors.lazy])
    expect([...direction(tensor, kind, rank, key)]).toEqual(z);
  for (const { key, id, word } of vectors.rounding) expect(roundingWord(key, id)).toBe(word);
});

test('fixed point, there and back', () => {
  const kernels = referenceKernels();
  for (const { weights, exponent, q, back } of vectors.fixed) {
    const w = f32(weights);
    expect(exponentOf(w, 'w')).toBe(exponent);
    const integers = new Int32Array(w.length);
    quantise(w, exponent, integers);
    expect([...integers]).toEqual(q);
    const floats = new Float32Array(w.length);
    kernels.materialise(integers, exponent, floats);
    expect(bits(floats)).toEqual(bits(f32(back)));
  }
});

test('the byte and its scale', () => {
  for (const { slope, scale, clip, code } of vectors.byte) expect(encodeSlope(f64(slope), scale, clip)).toBe(code);
  for (const { initial, clip, codes, scales } of vectors.scale) {
    let state = scaleState(initial);
    const got = codes.map((list, round) => {
      const header = { round, usable: 0, gain: 0, scale: state.scale, clip };
      const committed: Round = { header, segments: [{ slot: 1, from: 0, codes: Int8Array.from(list) }] };
      return (state = nextScale(state, committed)).scale;
    });
    expect(got).toEqual(scales);
  }
});

test('coefficients', () => {
  for (const { gain, scale, clip, code, exponent, word, c } of vectors.coefficient)
    expect(coefficient({ gain: f64(gain), scale, clip }, code, exponent, word)).toBe(c);
});

test('data order, checksum keys and roots', () => {
  for (const { n, epoch, run, order } of vectors.order) expect([...permutation(n, epoch, run)]).toEqual(order);
  for (const { round, run, key } of vectors.checksumKey) expect(checksumKey(round, run)).toBe(key);
  for (const { lengths, root } of vectors.root) expect(hex(merkleRoot(lengths.map(pattern), sha256))).toBe(root);
});

test('masks', () => {
  for (const { mask, ids, round, run, kept } of vectors.mask) {
    for (const order of [ids, ids.toReversed()])
      expect(ids.filter(maskOf(mask, order, round, run))).toEqual(ids.filter((id) => kept.includes(id)));
  }
});

test('which direction a record measures', () => {
  for (const { lazy, directions, round, run, record, key } of vectors.keyOfRecord) {
    const drawing: Drawing = {
      direction: lazy ? { lazy } : {},
      ...('pool' in directions || 'shared' in directions ? { directions: directions as DirectionSet } : {}),
    };
    expect(directionKey(drawing, recordKey(run, round, record))).toEqual(key);
  }
});

test('votes on shared directions', () => {
  for (const { rule, byzantine, shared, clip, segments, scalars } of vectors.scalars) {
    const header = { round: 0, usable: 1, gain: 1, scale: 1, clip };
    const round = { header, segments: segments.map((s) => ({ ...s, codes: Int8Array.from(s.codes) })) };
    const expected = scalars.map(({ direction, amount }) => ({ direction, amount: f64(amount) }));
    expect(scalarsOf({ rule, byzantine }, shared, round)).toEqual(expected);
  }
});

test('the worked example of docs/NUMBERS.md 9 is what the code computes', () => {
  const page = readFileSync(new URL('../../docs/NUMBERS.md', import.meta.url), 'utf8');
  const key = { round: 4, run: 0x12345678, sample: 9, slot: 3 };
  const signs = direction({ id: 5, shape: [160] }, 'rademacher', 1, key);
  const marks = (z: Int16Array) => Array.from(z, (x) => (x < 0 ? '-' : '+')).join('');
  const rows = (z: ArrayLike<number>) =>
    [0, 4, 8]
      .map((i) =>
        Array.from(z)
          .slice(i, i + 4)
          .join(' '),
      )
      .join(' / ');
  const nine = Array.from({ length: 9 }, (_, id) => id);
  const u32 = (x: number) => x.toString(16).padStart(8, '0');

  const rules: HeaderRules = {
    learning_rate: 1e-3,
    lr_scheduler_type: 'cosine',
    warmup_steps: 10,
    max_steps: 100,
    reduction: 'sqrt',
    direction: { kind: 'lowrank', rank: 2, scale: 1 },
    clip: 127,
  };
  const pooled = directionKey({ direction: {}, directions: { pool: 4096 } }, recordKey(key.run, key.round, 9));
  const half = elementMask({ by: 'random', kept: 1, of: 2 }, { id: 5, shape: [16] }, new Int32Array(16), key.run);
  const header = headerOf(rules, scaleState(2 ** 26), 41, 64);
  const word = roundingWord(key, 5);
  const c = coefficient(header, -77, -27, word);
  const matrix = { id: 5, shape: [3, 4] };
  const q = new Int32Array(12);
  const kernels = referenceKernels();
  kernels.apply(q, matrix, 'lowrank', 2, [{ key, c }]);
  const sumKey = checksumKey(1, key.run);
  const { low, high, peak } = kernels.checksum(q, sumKey, 0);
  for (const [name, value] of [
    ['stream 0, block 0', Array.from(block(key, 0, 0, 5, 0, new Uint32Array(4)), u32).join(' ')],
    ['signs 0 … 63', marks(signs.subarray(0, 64))],
    ['signs 128 … 159', marks(signs.subarray(128))],
    ['binomial 0 … 15', direction({ id: 5, shape: [16] }, 'binomial', 1, key).join(' ')],
    ['low rank, (3, 4), rank 2', rows(direction(matrix, 'lowrank', 2, key))],
    ['rounding word', u32(word)],
    ['(3, 4) zeros after apply', rows(q)],
    ['checksum after round 1', `key ${u32(sumKey)}, low ${u32(low)}, high ${u32(high)}, peak ${peak}`],
    ['root of this tensor alone', hex(merkleRoot([q], sha256))],
    ['order of 10 samples, epoch 0', permutation(10, 0, key.run).join(' ')],
    ['pool of 4096, record 9', `${pooled.sample}`],
    ['lazy 3, columns', marks(rademacher({ ...key, columns: 3 }, 2, 0, 5, 16))],
    ['random half of 0 … 15', Array.from({ length: 16 }, (_, i) => (isMoved(half, i) ? 1 : 0)).join('')],
    ['mask 1/4 of ids 0 … 8', nine.filter(maskOf({ kept: 1, of: 4 }, nine, key.round, key.run)).join(' ')],
  ] as const)
    expect(page).toContain(`    ${name.padEnd(28)} ${value}\n`);
  const gainBits = Buffer.alloc(8);
  gainBits.writeDoubleBE(header.gain);
  expect(page).toContain(`    ${'gain'.padEnd(28)} ${hex(gainBits)} =`);
  expect(page).toContain(`, ${c}\n`);
});

describe.each(['reference', 'wasm'] as const)('%s kernels', (name) => {
  let kernels: Kernels;
  beforeAll(async () => {
    kernels = name === 'wasm' ? await wasmKernels({ bytes: 2 ** 16 }) : referenceKernels();
  });
  const ours = (q: Int32Array): Int32Array => {
    const copy = kernels.i32(q.length);
    copy.set(q);
    return copy;
  };

  test('materialisePair', () => {
    for (const { tensor, kind, rank, key, exponent, delta, q, plus, minus } of vectors.pair) {
      const [above, below] = [kernels.f32(q.length), kernels.f32(q.length)];
      const weights = ours(Int32Array.from(q));
      kernels.materialisePair(weights, exponent, tensor, kind, rank, key, f64(delta), 0, above, below);
      expect(bits(above)).toEqual(bits(f32(plus)));
      expect(bits(below)).toEqual(bits(f32(minus)));
    }
  });

  test('apply', () => {
    for (const { tensor, kind, rank, salt, terms, head, sha256: expected } of vectors.apply) {
      const q = ours(
        pattern(
          tensor.shape.reduce((a, b) => a * b),
          salt,
        ),
      );
      kernels.apply(q, tensor, kind, rank, terms);
      expect([...q.subarray(0, 4)]).toEqual(head);
      expect(hex(sha256(new Uint8Array(q.buffer, q.byteOffset, q.byteLength)))).toBe(expected);
    }
  });

  test('masks of elements, and what is applied under them', () => {
    for (const { mask, tensor, run, q, key, c, moved, applied } of vectors.elementMask) {
      const weights = ours(Int32Array.from(q));
      const bits = elementMask(mask, tensor, weights, run);
      expect(q.map((_, i) => (isMoved(bits, i) ? 1 : 0)).join('')).toBe(moved);
      kernels.apply(weights, { ...tensor, moved: bits }, 'binomial', 1, [{ key, c }]);
      expect([...weights]).toEqual(applied);
    }
  });

  test('checksum', () => {
    for (const { n, salt, key, offset, ...expected } of vectors.checksum)
      expect(kernels.checksum(ours(pattern(n, salt)), key, offset)).toEqual(expected);
  });
});

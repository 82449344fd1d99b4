/** The kernels on a GPU, or on a software adapter: bits equal to the reference for the same keys and shapes. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DeviceKernels } from '../../src/numeric/device-kernels.ts';
import type { Term } from '../../src/numeric/kernels.ts';
import { rademacher } from '../../src/numeric/reference/direction.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { webgpuKernels } from '../../src/numeric/webgpu/webgpu.ts';
import { adapter, unless } from '../suites/adapter.ts';
import { coefficient, integers, key, kind, rank, tensor, tensorId, u32 } from './arbitrary.ts';

const reference = referenceKernels();
const size = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const bits = (x: Float32Array): Int32Array => new Int32Array(x.buffer, x.byteOffset, x.length);
const terms: fc.Arbitrary<Term[]> = fc.array(fc.record({ key, c: coefficient }), { maxLength: 80 });
const delta = fc.oneof(fc.constantFrom(1e-3, -1e-3, 0.5), fc.double({ noNaN: true, min: -10, max: 10 }));
const exponent = fc.integer({ min: -27, max: 90 });

describe.skipIf(!adapter)(`WebGPU equals the reference bit for bit${unless}`, () => {
  let device: GPUDevice;
  let gpu: DeviceKernels<GPUBuffer>;
  beforeAll(async () => {
    device = await adapter!.requestDevice();
    gpu = webgpuKernels(device);
  });
  afterAll(() => device.destroy());

  let held: GPUBuffer[] = [];
  const buffer = (length: number, data?: Int32Array): GPUBuffer => {
    const made = gpu.buffer(length);
    if (data) gpu.write(made, data);
    held.push(made);
    return made;
  };
  /** A property over buffers that are given back after each run. */
  const holds = <T extends [unknown, ...unknown[]]>(
    arbitraries: { readonly [K in keyof T]: fc.Arbitrary<T[K]> },
    check: (...values: T) => Promise<void>,
    numRuns: number,
  ): Promise<void> =>
    fc.assert(
      fc.asyncProperty(...arbitraries, check).afterEach(() => {
        for (const one of held) one.destroy();
        held = [];
      }),
      { numRuns },
    );

  test('apply, all kinds, ranks, shapes and coefficients', () =>
    holds(
      [tensor, kind, rank, terms, u32],
      async (t, k, r, records, seed) => {
        const n = size(t.shape);
        const q = integers(n, seed);
        const weights = buffer(n, q);
        reference.apply(q, t, k, r, records);
        await gpu.apply(weights, t, k, r, records);
        expect(await gpu.read(weights)).toEqual(q);
      },
      120,
    ));

  test('materialisePair, all kinds, ranks and shapes', () =>
    holds(
      [tensor, kind, rank, key, delta, u32, exponent],
      async (t, k, r, d, step, seed, e) => {
        const n = size(t.shape);
        const q = integers(n, seed);
        const [weights, above, below] = [buffer(n, q), buffer(n), buffer(n)];
        const [plus, minus] = [new Float32Array(n), new Float32Array(n)];
        reference.materialisePair(q, e, t, k, r, d, step, 0, plus, minus);
        await gpu.materialisePair(weights, e, t, k, r, d, step, above, below);
        expect(await gpu.read(above)).toEqual(bits(plus));
        expect(await gpu.read(below)).toEqual(bits(minus));
        expect(await gpu.read(weights)).toEqual(q);
      },
      120,
    ));

  test('materialise, ties and infinities too', () =>
    holds(
      [fc.integer({ min: 1, max: 2000 }), u32, fc.integer({ min: -27, max: 100 })],
      async (n, seed, e) => {
        const q = integers(n, seed);
        for (let i = 0; i < n; i += 3) q[i] = (q[i]! >> (seed % 25)) & ~0x7f; // of all magnitudes, halfway often
        q.set([0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 2 ** 24 + 1, 2 ** 24 + 3, -(2 ** 25) - 2].slice(0, n));
        const expected = new Float32Array(n);
        reference.materialise(q, e, expected);
        const out = buffer(n);
        await gpu.materialise(buffer(n, q), e, out);
        expect(await gpu.read(out)).toEqual(bits(expected));
      },
      40,
    ));

  test('factor and factorAt', () =>
    holds(
      [
        fc.constantFrom<1 | 2>(1, 2),
        fc.nat(254),
        tensorId,
        key,
        delta,
        fc.array(fc.nat(2999), { minLength: 1, maxLength: 300 }),
      ],
      async (s, component, id, d, x, at) => {
        const expected = Float32Array.from(rademacher(d, s, component, id, 3000), (sign) => sign * x);
        const [whole, few] = [buffer(3000), buffer(at.length)];
        await gpu.factor(s, component, id, d, x, whole);
        expect(await gpu.read(whole)).toEqual(bits(expected));
        await gpu.factorAt(s, component, id, d, x, buffer(at.length, Int32Array.from(at)), few);
        expect(await gpu.read(few)).toEqual(bits(Float32Array.from(at, (i) => expected[i]!)));
      },
      40,
    ));

  test('checksum and peak', () =>
    holds(
      [fc.integer({ min: 1, max: 3000 }), u32, u32, fc.integer({ min: 0, max: 2 ** 40 })],
      async (n, seed, sumKey, from) => {
        const q = integers(n, seed);
        if (seed % 3 === 0) q[n - 1] = -(2 ** 31);
        expect(await gpu.checksum(buffer(n, q), sumKey, from)).toEqual(reference.checksum(q, sumKey, from));
      },
      40,
    ));

  test('more workgroups than one dimension of a dispatch may have', async () => {
    const n = 128 * 65_535 + 1001;
    const q = integers(n, 77);
    const weights = buffer(n, q);
    expect(await gpu.checksum(weights, 5, 9)).toEqual(reference.checksum(q, 5, 9));
  });

  test('a round larger than a tile of terms, on a matrix of many tiles, in any order and split', async () => {
    const t = { id: 11, shape: [150, 270] };
    const start = integers(size(t.shape), 9);
    const records = Array.from({ length: 150 }, (_, sample) => ({
      key: { round: 7, run: 0xdead_beef, sample, slot: 0xffff_fffe },
      c: (sample - 70) * 123_457,
    }));
    for (const k of ['lowrank', 'rademacher', 'binomial'] as const) {
      const q = start.slice();
      reference.apply(q, t, k, 1, records);
      const weights = buffer(q.length, start);
      await gpu.apply(weights, t, k, 1, records.slice(40).reverse());
      await gpu.apply(weights, t, k, 1, records.slice(0, 40));
      expect(await gpu.read(weights), k).toEqual(q);
    }
  });

  test('what is not its tensor, or more than the device takes, is refused; a device that complains is a Fault', async () => {
    const q = buffer(6);
    await expect(gpu.apply(q, { id: 0, shape: [2, 4] }, 'lowrank', 1, [])).rejects.toThrow('"q"');
    await expect(gpu.apply(q, { id: 0, shape: [2, 3] }, 'lowrank', 256, [])).rejects.toThrow('"rank"');
    const masked = { id: 0, shape: [6], moved: new Uint32Array(4) };
    await expect(gpu.apply(q, masked, 'rademacher', 1, [])).rejects.toThrow('"tensor.moved"');
    expect(() => gpu.buffer(2 ** 40)).toThrow(/^TOO_LARGE/);
    await expect(gpu.materialise(q, 0, q)).rejects.toMatchObject({ code: 'ENGINE_FAILED' });
  });
});

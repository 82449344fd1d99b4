/**
 * The kernels over buffers of a device: the asynchronous sibling of `Kernels`, with the same arithmetic and the same
 * names. Weights stay where they are applied; what comes back are checksums, or a buffer that is read on purpose.
 *
 * `apply`, `materialise`, `factor` and `checksum` work on bits and integers, which every device computes alike.
 * `materialisePair` ends in an addition of two f32, which devices may round as they like: the pair is for measuring
 * only, and equals the reference where the device rounds to nearest.
 *
 * @module
 */
import type { DirectionKey, DirectionKind } from '../nouns.ts';
import type { TensorNoise, Term } from './kernels.ts';

/**
 * A call resolves when the device has accepted it; calls take effect in order. Buffers hold 32-bit elements; those of
 * one call must be different ones.
 *
 * @typeParam B a buffer of the device.
 */
export interface DeviceKernels<B> {
  readonly name: 'webgpu';
  /** Zeros. @throws {Fault} TOO_LARGE */
  buffer(length: number): B;
  write(buffer: B, data: Int32Array | Float32Array): void;
  /** The bits; `new Float32Array(bits.buffer)` where they are floats. */
  read(buffer: B): Promise<Int32Array>;

  /** out[i] = fround(q[i]) · 2^exponent. */
  materialise(q: B, exponent: number, out: B): Promise<void>;
  /** plus[i], minus[i] = fround(w[i] ± fround(delta · z[i])), as `Kernels.materialisePair`. */
  materialisePair(
    q: B,
    exponent: number,
    tensor: TensorNoise,
    kind: DirectionKind,
    rank: number,
    key: DirectionKey,
    delta: number,
    plus: B,
    minus: B,
  ): Promise<void>;
  /** out[i] = ±fround(value): a Rademacher factor of a low-rank direction, the whole of `out`. */
  factor(stream: 1 | 2, component: number, tensorId: number, key: DirectionKey, value: number, out: B): Promise<void>;
  /** out[i] = factor[index[i]]. */
  factorAt(
    stream: 1 | 2,
    component: number,
    tensorId: number,
    key: DirectionKey,
    value: number,
    index: B,
    out: B,
  ): Promise<void>;
  /** q[i] += Σ c·z[i] over the terms, modulo 2^32. */
  apply(q: B, tensor: TensorNoise, kind: DirectionKind, rank: number, terms: readonly Term[]): Promise<void>;
  /** As `Kernels.checksum`. */
  checksum(
    q: B,
    key: number,
    offset: number,
  ): Promise<{ readonly low: number; readonly high: number; readonly peak: number }>;
}

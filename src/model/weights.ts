/**
 * The weights of a replica: int32 fixed point, one exponent a tensor (docs/NUMBERS.md 4), in the memory of the kernels
 * that read and update them. Probes only read; `apply/` alone writes.
 *
 * @module
 */
import { exponentOf, quantise } from '../numeric/fixed.ts';
import type { Kernels } from '../numeric/kernels.ts';
import type { Model, TensorSpec } from './stage.ts';

export interface Tensor extends TensorSpec {
  /** A weight is q · 2^exponent. */
  readonly exponent: number;
  readonly q: Int32Array;
}

export interface Weights {
  readonly kernels: Kernels;
  /** By id. */
  readonly tensors: readonly Tensor[];
  byName(name: string): Tensor;
}

/**
 * Fixes the weights of a base checkpoint.
 * @param read gives a tensor as f32, row-major.
 * @throws {Fault} MODEL_INVALID on NaN and infinities.
 */
export async function fixWeights(
  model: Model,
  kernels: Kernels,
  read: (name: string) => Promise<Float32Array>,
): Promise<Weights> {
  const tensors: Tensor[] = [];
  for (const spec of model.tensors) {
    const base = await read(spec.name);
    const exponent = exponentOf(base, spec.name);
    const q = kernels.i32(base.length);
    quantise(base, exponent, q);
    tensors.push({ ...spec, exponent, q });
  }
  const names = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  return {
    kernels,
    tensors,
    byName(name) {
      const tensor = names.get(name);
      if (!tensor) throw new RangeError(`"name" expected a tensor of the model, got "${name}"`);
      return tensor;
    },
  };
}

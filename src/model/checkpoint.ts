/**
 * The tensors of a checkpoint, whether they lie in one safetensors file or in the shards that
 * `model.safetensors.index.json` lists.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { size } from '../graph/shape.ts';
import { isFloat, toFloat32 } from './floats.ts';
import { openSafetensors, type StoredTensor } from './safetensors.ts';
import type { ByteSource } from './source.ts';

export const WEIGHTS_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * A tensor's elements, row-major: all, or `count` of them from `first` on. F16 and BF16 are widened exactly.
   * @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED
   */
  read(name: string, first?: number, count?: number): Promise<Float32Array>;
  /** A tensor as it is stored. @throws {Fault} MODEL_INVALID */
  readBytes(name: string): Promise<Uint8Array>;
}

/**
 * A shard lies beside its index: a plain file name. Anything else could point out of the folder.
 * @throws {Fault} MODEL_INVALID
 */
export function shardNames(indexJson: string, name: string = INDEX_FILE): readonly string[] {
  const invalid = (what: string, cause?: unknown) =>
    new Fault('MODEL_INVALID', `${name}: ${what}; fetch the checkpoint again`, { cause });
  let index: unknown;
  try {
    index = JSON.parse(indexJson);
  } catch (cause) {
    throw invalid('it is not JSON', cause);
  }
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw invalid('"weight_map" is missing');
  const shards = new Set<string>();
  for (const shard of Object.values(map)) {
    if (typeof shard !== 'string' || !/^\w[\w.-]*\.safetensors$/.test(shard))
      throw invalid(`${JSON.stringify(shard)} is not the name of a shard`);
    shards.add(shard);
  }
  if (shards.size === 0) throw invalid('"weight_map" is empty');
  return [...shards].sort();
}

/** @param sources the file, or every shard. @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED */
export async function openCheckpoint(sources: readonly ByteSource[]): Promise<Checkpoint> {
  const tensors = new Map<string, StoredTensor>();
  const home = new Map<string, ByteSource>();
  for (const source of sources)
    for (const tensor of await openSafetensors(source)) {
      const { name } = tensor;
      if (home.has(name))
        throw new Fault('MODEL_INVALID', `tensor "${name}" is both in ${home.get(name)!.name} and in ${source.name}`);
      tensors.set(name, tensor);
      home.set(name, source);
    }

  const find = (name: string): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Fault('MODEL_INVALID', `the checkpoint holds no tensor "${name}"; fetch it again`);
    return tensor;
  };
  const readBytes = (name: string): Promise<Uint8Array> => {
    const tensor = find(name);
    return home.get(name)!.read(tensor.offset, tensor.bytes);
  };
  return {
    tensors,
    readBytes,
    async read(name, first = 0, wanted) {
      const { dtype, shape, bytes, offset } = find(name);
      if (!isFloat(dtype))
        throw new Fault('MODEL_UNSUPPORTED', `tensor "${name}" is ${dtype}; weights must be F32, F16 or BF16`);
      const all = size(shape);
      const each = bytes / all;
      const count = wanted ?? all - first;
      return toFloat32(dtype, await home.get(name)!.read(offset + first * each, count * each));
    },
  };
}

/**
 * What the tensors of an adapter are before the first round (docs/NUMBERS.md 10): as its file has them, where the base
 * has one; else LoRA's A uniform and B zero, a prompt the embeddings of random tokens. Both follow from the seed and the
 * base exactly, so no file need travel for them.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { firstTokens, uniformWeights } from '../numeric/first.ts';
import type { Checkpoint } from './checkpoint.ts';
import { ADAPTER_WEIGHTS, adapterReader } from './peft.ts';
import type { Adapter, Model } from './stage.ts';

/** As `Checkpoint.read`: part of a tensor, f32, row-major. */
export type Read = (name: string, first: number, count: number) => Promise<Float32Array>;

/**
 * Reads tensors of the base as they are, and those of its adapter as they start.
 * @param file the adapter that the base came with. @throws {Fault} MODEL_INVALID for one that does not fit; where it is needed, when its tensors are read
 */
export function firstWeights(model: Model, seed: number, base: Checkpoint, file?: Checkpoint): Read {
  const { adapter } = model;
  if (!adapter) return base.read;
  const added = new Set(adapter.tensors);
  const own = file ? fromFile({ ...model, adapter }, file) : fromSeed({ ...model, adapter }, seed >>> 0, base);
  return (name, first, count) => (added.has(name) ? own(name, first, count) : base.read(name, first, count));
}

function fromFile(model: Model & { readonly adapter: Adapter }, file: Checkpoint): Read {
  const read = adapterReader(model, file);
  return async (name, first, count) => (await read(name)).subarray(first, first + count);
}

function fromSeed(model: Model & { readonly adapter: Adapter }, seed: number, base: Checkpoint): Read {
  const { view } = model.adapter;
  if ('prefix' in view)
    return async () => {
      throw new Fault('MODEL_INVALID', `the base of this run has no ${ADAPTER_WEIGHTS}, which its prefix starts from`);
    };
  if ('lora' in view) {
    const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));
    return async (name, first, count) => {
      const { id, shape } = specs.get(name)!;
      return name.endsWith('.lora_B.weight')
        ? new Float32Array(count)
        : uniformWeights(seed, id, shape[1]!, first, count);
    };
  }
  const tokens = firstTokens(seed, model.vocabulary, view.prompt.tokens);
  const { tensor } = model.embed.bindings.find(({ access }) => access.as === 'rows' && access.of === 'tokens')!;
  return async (_, first, count) => {
    const out = new Float32Array(tokens.length * model.hidden);
    for (const [i, token] of tokens.entries())
      out.set(await base.read(tensor, token * model.hidden, model.hidden), i * model.hidden);
    return out.subarray(first, first + count);
  };
}

/** Models with an adapter, from folders. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AdapterView } from '../../src/model/adapter.ts';
import { openCheckpoint } from '../../src/model/checkpoint.ts';
import { type ModelConfig, readConfig } from '../../src/model/config.ts';
import { firstWeights } from '../../src/model/first.ts';
import { modelOf } from '../../src/model/model.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, checkAdapterConfig } from '../../src/model/peft.ts';
import { memorySource } from '../../src/model/source.ts';
import type { Model } from '../../src/model/stage.ts';
import type { Weights } from '../../src/model/weights.ts';
import { fixWeights } from '../../src/model/weights.ts';
import type { Kernels } from '../../src/numeric/kernels.ts';
import { readJson } from './folder.ts';
import { shelfIn } from './shelf.ts';

export const BASES = 'test/fixtures/models';
export const ADAPTERS = 'test/fixtures/adapters';

const checkpointOf = (path: string) => openCheckpoint([memorySource(path, readFileSync(path))]);

export interface Opened {
  readonly config: ModelConfig;
  readonly model: Model;
  readonly read: (name: string) => Promise<Float32Array>;
  weights(kernels: Kernels, scratch?: number): Promise<Weights>;
}

/** @param folder in PEFT's layout; without it, the adapter is as it starts. */
export async function withAdapter(base: string, view: AdapterView, folder?: string, seed = 1): Promise<Opened> {
  const checkpoint = await checkpointOf(join(BASES, base, 'model.safetensors'));
  const config = readConfig(readFileSync(join(BASES, base, 'config.json'), 'utf8'));
  const model = modelOf(config, checkpoint.tensors, view);
  if (folder) checkAdapterConfig(readFileSync(join(folder, ADAPTER_CONFIG), 'utf8'), view);
  const first = firstWeights(
    model,
    seed,
    checkpoint,
    folder ? await checkpointOf(join(folder, ADAPTER_WEIGHTS)) : undefined,
  );
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape.reduce((a, b) => a * b, 1)]));
  return {
    config,
    model,
    read: (name) => first(name, 0, shapes.get(name)!),
    weights: (kernels, scratch) => fixWeights(model, shelfIn(kernels, model, scratch), first),
  };
}

/** What a run would be told to fit an adapter of test/fixtures/adapters. */
export function viewOfFolder(folder: string): AdapterView {
  const keys = readJson(join(folder, ADAPTER_CONFIG)) as {
    readonly peft_type: string;
    readonly num_virtual_tokens: number;
    readonly r: number;
    readonly lora_alpha: number;
    readonly target_modules: readonly string[];
  };
  const { num_virtual_tokens: tokens } = keys;
  switch (keys.peft_type) {
    case 'LORA':
      return { lora: { rank: keys.r, alpha: keys.lora_alpha, targets: keys.target_modules } };
    case 'PREFIX_TUNING':
      return { prefix: { tokens } };
    default:
      return { prompt: { tokens } };
  }
}

/** By PEFT: see test/fixtures/adapters/make.py. */
export const CASES = [
  'lora-llama',
  'lora-opt-rank-1',
  'lora-bare-names',
  'prefix-llama-grouped',
  'prefix-llama-head-dim',
  'prefix-opt',
  'prefix-mistral-window',
  'prompt-llama',
  'prompt-opt-one',
].filter((name) => existsSync(join(ADAPTERS, name)));

/** The case's base, and the adapter on it. */
export function openCase(name: string): Promise<Opened> {
  const folder = join(ADAPTERS, name);
  const { base } = readJson(join(folder, 'reference.json')) as { readonly base: string };
  return withAdapter(base, viewOfFolder(folder), folder);
}

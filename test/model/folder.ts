/** Checkpoint folders for tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/model/checkpoint.ts';
import { readConfig } from '../../src/model/config.ts';
import { modelOf } from '../../src/model/model.ts';
import { memorySource } from '../../src/model/source.ts';
import type { Model } from '../../src/model/stage.ts';

export interface Sample {
  readonly text?: string;
  readonly input_ids: readonly number[];
  readonly token_nll: readonly number[];
  readonly first_logits?: readonly number[];
  readonly last_logits: readonly number[];
}

export const readJson = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));

export function readReference(folder: string): readonly Sample[] {
  return (readJson(join(folder, 'reference.json')) as { samples: readonly Sample[] }).samples;
}

/** All of a folder, in memory. */
export async function readFolder(folder: string): Promise<{ model: Model; weight: (name: string) => Float32Array }> {
  const files = readdirSync(folder).filter((name) => name.endsWith('.safetensors'));
  const checkpoint = await openCheckpoint(files.map((name) => memorySource(name, readFileSync(join(folder, name)))));
  const model = modelOf(readConfig(readFileSync(join(folder, 'config.json'), 'utf8')), checkpoint.tensors);
  const weights = new Map<string, Float32Array>();
  for (const { name } of model.tensors) weights.set(name, await checkpoint.read(name));
  return { model, weight: (name) => weights.get(name)! };
}

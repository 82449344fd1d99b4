/** Folders in PEFT's layout: read, written again, refused. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { batchExamples } from '../../src/data/batch.ts';
import { nodeEngine } from '../../src/engine/node.ts';
import { openCheckpoint } from '../../src/model/checkpoint.ts';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  adapterReader,
  checkAdapterConfig,
  merged,
  peftFiles,
} from '../../src/model/peft.ts';
import { memorySource } from '../../src/model/source.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { createForward } from '../../src/objective/forward.ts';
import { ADAPTERS, CASES, openCase, viewOfFolder, withAdapter } from './adapters.ts';
import { readFolder, readJson, readReference } from './folder.ts';
import { forward } from './forward.ts';

async function written(files: ReturnType<typeof peftFiles>): Promise<ReadonlyMap<string, Buffer>> {
  const all = new Map<string, Buffer>();
  for (const { path, chunks } of files) {
    const parts: Uint8Array[] = [];
    for await (const part of chunks()) parts.push(part);
    all.set(path, Buffer.concat(parts));
  }
  return all;
}

async function exported(name: string, times = 1): Promise<ReadonlyMap<string, Buffer>> {
  const { model, config, read } = await openCase(name);
  const files = peftFiles({ ...model, adapter: model.adapter! }, config, 'base', async (tensor) =>
    (await read(tensor)).map((x) => x * times),
  );
  return written(files);
}

const sorted = (value: unknown): unknown => (Array.isArray(value) ? [...value].sort() : value);

describe.each(CASES)('%s', (name) => {
  test('what PEFT wrote is written again: each tensor by name and bit, each key that PEFT has', async () => {
    const files = await exported(name);
    const [ours, theirs] = await Promise.all(
      [files.get(ADAPTER_WEIGHTS)!, readFileSync(join(ADAPTERS, name, ADAPTER_WEIGHTS))].map((bytes) =>
        openCheckpoint([memorySource(name, bytes)]),
      ),
    );
    expect([...ours!.tensors.keys()].sort()).toEqual([...theirs!.tensors.keys()].sort());
    for (const [tensor, { shape }] of theirs!.tensors) {
      expect(ours!.tensors.get(tensor)!.shape).toEqual(shape);
      expect(await ours!.read(tensor)).toEqual(await theirs!.read(tensor));
    }
    const json = files.get(ADAPTER_CONFIG)!.toString();
    expect(() => checkAdapterConfig(json, viewOfFolder(join(ADAPTERS, name)))).not.toThrow();
    const keys = readJson(join(ADAPTERS, name, ADAPTER_CONFIG)) as Record<string, unknown>;
    for (const [key, value] of Object.entries(JSON.parse(json) as Record<string, unknown>))
      if (key !== 'base_model_name_or_path') expect(sorted(value), key).toEqual(sorted(keys[key]));
  });
});

test('an adapter of another kind, size or scale is refused, and one whose scale we would not know', () => {
  const lora = { lora: { rank: 3, alpha: 5, targets: ['q_proj'] } };
  const own = { peft_type: 'LORA', r: 3, lora_alpha: 5 };
  const refuse = (keys: object, view: Parameters<typeof checkAdapterConfig>[1] = lora) =>
    expect(() => checkAdapterConfig(JSON.stringify({ ...own, ...keys }), view));
  refuse({}).not.toThrow();
  refuse({ use_rslora: false, alpha_pattern: {}, modules_to_save: null }).not.toThrow();
  refuse({ r: 4 }).toThrow(/^CONFIG_INVALID: adapter_config.json: "r" is 4 and the run has 3; give --lora_r 4/);
  refuse({ lora_alpha: 6 }).toThrow(/give --lora_alpha 6/);
  refuse({ peft_type: 'PROMPT_TUNING' }).toThrow(/"peft_type"/);
  for (const key of ['use_rslora', 'use_dora']) refuse({ [key]: true }).toThrow(`"${key}"`);
  refuse({ alpha_pattern: { q_proj: 1 } }).toThrow('"alpha_pattern"');
  refuse({ modules_to_save: ['lm_head'] }).toThrow('"modules_to_save"');
  refuse({ bias: 'all' }).toThrow('"bias"');
  refuse({ peft_type: 'PREFIX_TUNING', num_virtual_tokens: 4 }, { prefix: { tokens: 5 } }).toThrow(
    /give --num_virtual_tokens 4/,
  );
  expect(() => checkAdapterConfig('{', lora)).toThrow(/^CONFIG_INVALID: .*not JSON/);
});

test('tensors that are missing, misshapen or strange are refused by name', async () => {
  const { model } = await openCase('lora-llama');
  const own = { ...model, adapter: model.adapter! };
  const file = (of: string) => readFileSync(join(ADAPTERS, of, ADAPTER_WEIGHTS));
  const open = async (bytes: Buffer) => adapterReader(own, await openCheckpoint([memorySource('file', bytes)]));
  await expect(open(file('lora-opt-rank-1'))).rejects.toThrow(
    /^MODEL_INVALID: adapter_model.safetensors: holds no tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A/,
  );
  const whole = file('lora-llama');
  const text = whole.toString('latin1');
  const misshapen = Buffer.from(text.replace('"shape":[3,24]', '"shape":[24,3]'), 'latin1');
  await expect(open(misshapen)).rejects.toThrow(/is \(24,3\) and must be \(3,24\)/);
  const few = await openCase('lora-bare-names');
  const less = { ...few.model, adapter: { ...few.model.adapter!, tensors: few.model.adapter!.tensors.slice(2) } };
  const all = await openCheckpoint([memorySource('file', file('lora-bare-names'))]);
  expect(() => adapterReader(less, all)).toThrow(/has no place in the model/);
});

test('merged: doubles, one rounding', () => {
  const w = Float32Array.of(1, 2, 3, 4, 5, 6);
  const [a, b] = [Float32Array.of(1, 0, -1, 0.5, 0.25, 2), Float32Array.of(1, 2, -4, 1)];
  const lora = { rank: 2, alpha: 3 };
  // B A of (2,2) (2,3), times 3/2
  expect([...merged(w, a, b, lora)]).toEqual([1 + 1.5 * 2, 2 + 1.5 * 0.5, 3 + 1.5 * 3, 4 - 1.5 * 3.5, 5.375, 15]);
  const tiny = merged(Float32Array.of(1), Float32Array.of(2 ** -13), Float32Array.of(2 ** -13), { rank: 1, alpha: 1 });
  expect(tiny[0]).toBe(1); // 2^-26 is below half an ulp
});

test.each(CASES.filter((name) => name.startsWith('lora')))(
  '%s merged is a model with the logits of PEFT',
  async (name) => {
    const folder = join(ADAPTERS, name);
    const { base } = readJson(join(folder, 'reference.json')) as { readonly base: string };
    const { model, read } = await openCase(name);
    const { lora } = model.adapter!.view as { readonly lora: { readonly rank: number; readonly alpha: number } };
    const plain = await readFolder(`test/fixtures/models/${base}`);
    const whole = new Map<string, Float32Array>();
    for (const { name: tensor } of plain.model.tensors) {
      const [a, b] = ['A', 'B'].map((side) => tensor.replace(/weight$/, `lora_${side}.weight`));
      const w = plain.weight(tensor);
      const beside = model.adapter!.tensors.includes(a!);
      whole.set(tensor, beside ? merged(w, await read(a!), await read(b!), lora) : w);
    }
    for (const { input_ids: ids, last_logits } of readReference(folder)) {
      const logits = await forward(nodeEngine({ threads: 1 }), plain.model, {
        ...{ dims: { sequences: 1, tokens: ids.length, scored: 1 }, form: { kind: 'plain' }, head: { kind: 'logits' } },
        ...{ ids, at: [ids.length - 1], weight: (tensor) => whole.get(tensor)! },
      });
      for (const [i, expected] of last_logits.entries()) expect(Math.abs(logits[i]! - expected)).toBeLessThan(1e-3);
    }
  },
);

// For test/fixtures/models/check_peft.py, which says how to run it.
const { MURMUR_PEFT: keep } = process.env;
test.skipIf(!keep)('folders for PEFT to load: weights of the cases, multiplied by 1.25, and our logits', async () => {
  for (const name of CASES) {
    const folder = join(keep!, name);
    mkdirSync(folder, { recursive: true });
    for (const [path, bytes] of await exported(name, 1.25)) writeFileSync(join(folder, path), bytes);
    const { base } = readJson(join(ADAPTERS, name, 'reference.json')) as { readonly base: string };
    const { model, weights } = await withAdapter(base, viewOfFolder(join(ADAPTERS, name)), folder);
    const passes = createForward(model, await weights(referenceKernels()), nodeEngine({ threads: 1 }));
    const samples = [];
    for (const { input_ids: ids } of readReference(join(ADAPTERS, name))) {
      const example = { tokens: Int32Array.from(ids), at: Int32Array.of(ids.length - 1), targets: new Int32Array(1) };
      const [lane] = await passes.run(batchExamples([example]), { kind: 'logits' }, { kind: 'none' });
      samples.push({ input_ids: ids, last_logits: [...lane![0]!] });
    }
    writeFileSync(join(folder, 'logits.json'), JSON.stringify({ base, samples }));
  }
});

import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { exportConfig, exportFiles, trained } from '../../src/model/export.ts';
import { writeFolder } from '../../src/model/node/write-folder.ts';
import { readFolder, readReference } from './folder.ts';
import { forward } from './forward.ts';

let out: string;
beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'murmur-export-'));
});
afterAll(() => rm(out, { recursive: true }));

const COPIED = ['tokenizer.json', 'tokenizer_config.json', 'generation_config.json'];

/** A model's weights, multiplied by 1.25 (exact in f32, and not in the base), exported to `to`. */
async function exportChanged(from: string, to: string): Promise<void> {
  const { model, weight } = await readFolder(from);
  const changed = async (name: string) => weight(name).map((w) => w * 1.25);
  const copied = COPIED.filter((name) => existsSync(join(from, name)));
  await writeFolder(
    to,
    exportFiles(
      readFileSync(join(from, 'config.json'), 'utf8'),
      new Map(copied.map((name) => [name, readFileSync(join(from, name))])),
      model.tensors.map((tensor) => trained(tensor, changed)),
    ),
  );
}

const GOLDEN = 'test/fixtures/models/exported';

describe.each([
  'llama-f16',
  'llama-bf16-sharded',
  'llama-untied-grouped-linear',
  'opt-tied',
  'opt-bare-names',
  'qwen3-tied',
  'gpt2',
  'gpt2-bare-names',
  'bert-pretraining-gamma',
  'roberta',
])('%s', (name) => {
  test('an export opens again with the exported weights, bit for bit', async () => {
    const from = `test/fixtures/models/${name}`;
    const to = join(out, name);
    await exportChanged(from, to);
    const [before, after] = [await readFolder(from), await readFolder(to)];
    expect(after.model.tensors).toEqual(before.model.tensors);
    for (const tensor of before.model.tensors)
      expect(after.weight(tensor.name)).toEqual(before.weight(tensor.name).map((w) => w * 1.25));
  });
});

test('the bytes of an export are those that transformers was seen to load', async () => {
  const to = join(out, 'golden');
  await exportChanged('test/fixtures/models/llama-f16', to);
  for (const name of ['config.json', 'model.safetensors'])
    expect(readFileSync(join(to, name)).equals(readFileSync(join(GOLDEN, name))), name).toBe(true);
  const { model, weight } = await readFolder(to);
  for (const { input_ids: ids, last_logits } of readReference(GOLDEN)) {
    const logits = await forward(nodeEngine({ threads: 1 }), model, {
      dims: { sequences: 1, tokens: ids.length, scored: 1 },
      form: { kind: 'plain' },
      head: { kind: 'logits' },
      ids,
      at: [ids.length - 1],
      weight,
    });
    for (const [i, expected] of last_logits.entries()) expect(Math.abs(logits[i]! - expected)).toBeLessThan(1e-3);
  }
});

test('config.json: either spelling of the dtype, tied exactly where there is no head, all else letter for letter', () => {
  const config = (base: string, ...names: string[]) => exportConfig(base, new Set(names));
  expect(config('{"torch_dtype": "float16", "tie_word_embeddings": true, "factor": 8.0}')).toBe(
    '{"torch_dtype": "float32", "tie_word_embeddings": true, "factor": 8.0}',
  );
  expect(JSON.parse(config('{"dtype":"bfloat16","a":1e-06}', 'lm_head.weight'))).toEqual({
    dtype: 'float32',
    a: 1e-6,
    tie_word_embeddings: false,
  });
  expect(JSON.parse(config('{"dtype":null,"torch_dtype":"float16","tie_word_embeddings":false}'))).toEqual({
    dtype: 'float32',
    torch_dtype: 'float32',
    tie_word_embeddings: true,
  });
  expect(JSON.parse(config('{"a":1}'))).toEqual({ a: 1, torch_dtype: 'float32', tie_word_embeddings: true });
});

test('a folder is written whole or not at all, and never over another', async () => {
  const failing = async function* () {
    yield new Uint8Array(3);
    throw new RangeError('no more');
  };
  const to = join(out, 'half');
  await expect(writeFolder(to, [{ path: 'a', chunks: failing }])).rejects.toThrow('no more');
  expect((await readdir(out)).filter((name) => name.startsWith('half'))).toEqual([]);
  await writeFile(to, 'mine');
  await expect(writeFolder(to, [])).rejects.toThrow(/^OUTPUT_EXISTS/);
  expect(await readFile(to, 'utf8')).toBe('mine');
});

// For test/fixtures/models/check_export.py, which says how to run it.
const { MURMUR_EXPORT: keep, MURMUR_EXPORT_FROM: from = 'assets/quill' } = process.env;
test.skipIf(!keep || !existsSync(from))('an export beside our logits, for transformers to check', async () => {
  await exportChanged(from, keep!);
  const { model, weight } = await readFolder(keep!);
  const samples = [];
  for (const { input_ids: ids } of readReference(from)) {
    const logits = await forward(nodeEngine({ threads: 1 }), model, {
      dims: { sequences: 1, tokens: ids.length, scored: 1 },
      form: { kind: 'plain' },
      head: { kind: 'logits' },
      ids,
      at: [ids.length - 1],
      weight,
    });
    samples.push({ input_ids: ids, last_logits: [...logits] });
  }
  await writeFile(join(keep!, 'logits.json'), JSON.stringify({ samples }));
});

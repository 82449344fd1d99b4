/** A run on the package's own model and reviews: its manifest, and where the files lie. */
import { join } from 'node:path';
import type { BlobRef, Direction, Manifest } from '../../../src/nouns.ts';
import { blobRef } from '../../../src/peer/node/blobs.ts';

const ASSETS = 'assets';

export interface Quill {
  readonly manifest: Manifest;
  readonly paths: Record<string, string>;
}

export async function quill(direction: Direction = { kind: 'lowrank', rank: 1, scale: 1 }): Promise<Quill> {
  const paths: Record<string, string> = {};
  const add = async (folder: string, name: string): Promise<BlobRef> => {
    const path = join(ASSETS, folder, name);
    const blob = await blobRef(path, name);
    paths[blob.sha256] = path;
    return blob;
  };
  const files: BlobRef[] = [];
  for (const name of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'])
    files.push(await add('quill', name));
  const manifest: Manifest = {
    format: 1,
    numbers: 1,
    base: { name: 'quill', files },
    view: 'full',
    method: 'onebyte',
    direction,
    eps: 1e-3,
    learning_rate: 1e-3,
    lr_scheduler_type: 'constant',
    warmup_steps: 0,
    max_steps: 4,
    reduction: 'mean',
    records_per_round: 8,
    samples_per_record: 1,
    initial_scale: 1,
    clip: 127,
    task: {
      kind: 'choice',
      prompt: '{text} It was',
      label_column: 'label',
      labels: [
        { value: '0', word: ' terrible' },
        { value: '1', word: ' great' },
      ],
    },
    data: { train: await add('demo', 'dev.jsonl'), eval: await add('demo', 'test.jsonl'), eval_fraction: 0.1 },
    seed: 1,
    forward_precision: 'f32',
    coordinator: '0'.repeat(64),
  };
  return { manifest, paths };
}

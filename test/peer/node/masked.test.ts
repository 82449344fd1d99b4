/** A run on a masked model: from files and a prompt with {mask} to a loss that falls, the same on a second replica. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import type { BlobRef, Manifest } from '../../../src/nouns.ts';
import { initialScale } from '../../../src/numeric/scale.ts';
import { blobRef } from '../../../src/peer/node/blobs.ts';
import { openReplica } from '../../../src/peer/node/open-replica.ts';
import { committed } from '../learner.ts';
import { quill } from './quill.ts';

const ROUNDS = 4;

async function maskedRun(name: string): Promise<{ manifest: Manifest; paths: Record<string, string> }> {
  const { manifest, paths } = await quill();
  const files: BlobRef[] = [];
  for (const file of ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']) {
    const path = join('test/fixtures/models', name, file);
    const blob = await blobRef(path, file);
    paths[blob.sha256] = path;
    files.push(blob);
  }
  const labels = ['very', 'quite'].map((word, i) => ({ value: String(i), word }));
  const task: Manifest['task'] = { kind: 'choice', prompt: '{text} It was {mask}.', label_column: 'label', labels };
  const base = { name, files };
  return { paths, manifest: { ...manifest, base, task, records_per_round: 64, learning_rate: 3e-3 } };
}

test.each(['bert-words', 'roberta-words'])('%s', async (name) => {
  const { manifest, paths } = await maskedRun(name);
  const open = (own: Manifest) =>
    openReplica({ manifest: own, paths, threads: 1, maxEvalSamples: 64 }, nodeEngine({ threads: 1 }));
  const draft = await open(manifest);
  const run: Manifest = { ...manifest, initial_scale: initialScale(await draft.slopes(16)) };
  await expect(draft.generate('The plot', { max_new_tokens: 1, temperature: 0, draws: [] })).rejects.toThrow(
    /^MODEL_UNSUPPORTED: a masked model/,
  );
  await draft.close();

  const [one, other] = [await open(run), await open(run)];
  const before = await one.evaluate();
  const rounds = [];
  for (let n = 0; n < ROUNDS; n++) {
    const codes = await one.measure({ round: n, scale: run.initial_scale, clip: 127 }, 0, run.records_per_round);
    const round = committed(run, n, codes);
    await one.apply([round]);
    rounds.push(round);
  }
  const after = await one.evaluate();
  expect(after['eval/loss']!).toBeLessThan(before['eval/loss']! - 1e-3);
  await other.apply(rounds);
  expect(await other.root()).toEqual(await one.root());
  await one.close();
  await other.close();
});

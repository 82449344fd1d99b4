/** Probabilities of one text, held to what the run's own evaluation says of many. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blobRef } from '../../src/peer/node/blobs.ts';
import type { NodeReplica } from '../../src/peer/node/open-replica.ts';
import { threadedReplica } from '../../src/peer/node/replica-thread.ts';
import { MANIFEST } from '../journal/fixture.ts';

const SCRIPT = new URL('../../dist/peer/node/replica-worker.js', import.meta.url);
const ROWS = 24;

describe.skipIf(!existsSync(SCRIPT))('one text, judged by the label words (npm run build makes the thread)', () => {
  let folder: string;
  let replica: NodeReplica;
  const rows = readFileSync('assets/demo/test.jsonl', 'utf8')
    .split('\n')
    .slice(0, ROWS)
    .map((line) => JSON.parse(line) as { text: string; label: number });

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'murmur-classify-'));
    const held = join(folder, 'held.jsonl');
    writeFileSync(held, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
    const files = await Promise.all(names.map((name) => blobRef(join('assets/quill', name), name)));
    const data = await blobRef(held, 'held.jsonl');
    const paths = Object.fromEntries([
      ...files.map(({ sha256, path }) => [sha256, join('assets/quill', path)] as const),
      [data.sha256, held] as const,
    ]);
    const manifest = {
      ...MANIFEST,
      base: { name: 'quill', files },
      task: { ...MANIFEST.task, prompt: '{text} It was' } as typeof MANIFEST.task,
      data: { train: data, eval: data, eval_fraction: 0 },
    };
    replica = await threadedReplica({ manifest, paths, threads: 1 }, SCRIPT);
  });
  afterAll(async () => {
    await replica?.close();
    rmSync(folder, { recursive: true });
  });

  test('adds up to 1, and over many texts to the loss and the accuracy of an evaluation', async () => {
    const all = await Promise.all(rows.map(({ text }) => replica.classify({ text })));
    for (const odds of all) expect(odds[0]! + odds[1]!).toBeCloseTo(1, 9);
    const metrics = await replica.evaluate();
    const loss = all.reduce((sum, odds, i) => sum - Math.log(odds[rows[i]!.label]!), 0) / ROWS;
    const right = all.filter((odds, i) => odds[rows[i]!.label]! > 0.5).length;
    expect(loss).toBeCloseTo(metrics['eval/loss']!, 4);
    expect(right / ROWS).toBeCloseTo(metrics['eval/accuracy']!, 9);
  });

  test('a text without the column of the prompt is refused', async () => {
    await expect(replica.classify({ other: 'a' })).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});

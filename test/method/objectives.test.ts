/**
 * Runs on the package's own model that make large what has no derivative: the share of right predictions, F1 of written
 * answers, a reward (docs/papers/mezo.md, docs/papers/es.md).
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { type Manifest, NO_LOSS } from '../../src/nouns.ts';
import { initialScale, nextScale, scaleState } from '../../src/numeric/scale.ts';
import { headerOf } from '../../src/optimizer/header.ts';
import { blobRef } from '../../src/peer/node/blobs.ts';
import { openReplica } from '../../src/peer/node/open-replica.ts';
import { quill } from '../peer/node/quill.ts';

// Whole runs, on whatever else the machine does.
vi.setConfig({ testTimeout: 180_000 });

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'murmur-objectives-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Made {
  readonly manifest: Manifest;
  readonly paths: Record<string, string>;
}

/** The quill run with other keys, on rows of its own where they are given. */
async function runOf(keys: Partial<Manifest>, rows?: readonly unknown[]): Promise<Made> {
  const { manifest, paths } = await quill();
  const common = { eps: 1e-2, learning_rate: 1e-3, records_per_round: 64, max_steps: 100, ...keys };
  if (!rows) return { manifest: { ...manifest, ...common }, paths };
  const path = join(folder, `${Object.values(paths).length}-${rows.length}.jsonl`);
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'));
  const blob = await blobRef(path, 'rows.jsonl');
  const data = { train: blob, eval: blob, eval_fraction: 0.1 };
  return { manifest: { ...manifest, ...common, data }, paths: { ...paths, [blob.sha256]: path } };
}

/** Metrics before and after some rounds. */
async function trained({ manifest, paths }: Made, rounds: number) {
  const engine = nodeEngine({ threads: 1 });
  const least = 1 / (2 * manifest.eps * manifest.samples_per_record);
  const replica = await openReplica({ manifest, paths, threads: 1, maxEvalSamples: 200 }, engine);
  const before = await replica.evaluate();
  let scale = scaleState(initialScale(await replica.slopes(16), manifest.objective && least), true);
  let moved = 0;
  for (let round = 0; round < rounds; round++) {
    const at = { round, scale: scale.scale, clip: 127 };
    const codes = await replica.measure(at, 0, manifest.records_per_round);
    const usable = codes.filter((code) => code !== NO_LOSS).length;
    moved += codes.filter((code) => code !== 0 && code !== NO_LOSS).length;
    const committed = { header: headerOf(manifest, scale, round, usable), segments: [{ slot: 0, from: 0, codes }] };
    await replica.apply([committed]);
    scale = nextScale(scale, committed);
  }
  const after = await replica.evaluate();
  await replica.close();
  return { before, after, moved };
}

test('objective accuracy: held-out accuracy rises, though most pairs of measurements agree', async () => {
  const made = await runOf({ objective: 'accuracy', samples_per_record: 1 });
  const { before, after, moved } = await trained(made, 8);
  expect(moved).toBeGreaterThan(8);
  expect(moved).toBeLessThan(8 * 64 * 0.6);
  expect(after['eval/accuracy']!).toBeGreaterThan(before['eval/accuracy']! + 0.08);
});

describe('texts', () => {
  const questions = async () => {
    const lines = (await readFile('assets/demo/dev.jsonl', 'utf8')).trim().split('\n').slice(0, 48);
    return lines.map((line) => JSON.parse(line) as { text: string; label: number });
  };
  const task: Manifest['task'] = {
    ...{ kind: 'answer', prompt: '{text} It was', answers_column: 'answers', max_new_tokens: 3, stop: ['.'] },
  };

  test('a reward rises: the share of words with an e', async () => {
    const path = join(folder, 'share.ts');
    await writeFile(
      path,
      `export default ({ completion }: { completion: string }): number => {
         const words = completion.split(' ').filter(Boolean);
         return words.length === 0 ? 0 : words.filter((word) => word.includes('e')).length / words.length;
       };`,
    );
    const reward = await blobRef(path, 'share.ts');
    const keys = { objective: { reward }, task: { ...task, answers_column: '' }, records_per_round: 32 } as const;
    const { manifest, paths } = await runOf(keys, await questions());
    const { before, after } = await trained({ manifest, paths: { ...paths, [reward.sha256]: path } }, 8);
    expect(after['eval/reward']!).toBeGreaterThan(before['eval/reward']! + 0.1);
    expect(after['eval/loss']).toBe(-after['eval/reward']!);
    await expect(trained({ manifest, paths }, 1)).rejects.toThrow(/^FILE_MISSING: .*--reward/);
  });

  test.each([
    ['by its loss', { eps: 1e-3 }],
    ['by f1', { objective: 'f1' }],
  ] as const)('task answer, %s: F1 of what is written rises', async (_, keys) => {
    const rows = (await questions()).map(({ text, label }) => ({
      text,
      answers: [label === 0 ? ' terrible' : ' great'],
    }));
    const { before, after } = await trained(await runOf({ ...keys, task, records_per_round: 32 }, rows), 8);
    expect(after['eval/f1']!, JSON.stringify([before, after])).toBeGreaterThan(before['eval/f1']! + 0.05);
    expect(after['eval/exact_match']).toBe(after['eval/f1']); // answers of one word
  });

  test('task candidates: the right text becomes the likeliest', async () => {
    const rows = (await questions()).map(({ text, label }) => ({
      text,
      options: [' terrible', ' great'],
      right: label,
    }));
    const candidates: Manifest['task'] = {
      ...{ kind: 'candidates', prompt: '{text} It was', candidates_column: 'options', answer_column: 'right' },
    };
    const { before, after } = await trained(await runOf({ task: candidates, eps: 1e-3 }, rows), 8);
    expect(after['eval/loss']!).toBeLessThan(before['eval/loss']!);
    expect(after['eval/accuracy']!, JSON.stringify([before, after])).toBeGreaterThan(before['eval/accuracy']!);
  });
});

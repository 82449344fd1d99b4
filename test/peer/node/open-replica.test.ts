import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeEngine } from '../../../src/engine/node.ts';
import { relativeNoise } from '../../../src/estimator/noise.ts';
import type { Direction, Manifest } from '../../../src/nouns.ts';
import { initialScale } from '../../../src/numeric/scale.ts';
import { blobRef } from '../../../src/peer/node/blobs.ts';
import { openReplica, type ReplicaSpec } from '../../../src/peer/node/open-replica.ts';
import { readFolder } from '../../model/folder.ts';
import { committed } from '../learner.ts';
import { scratchFolder } from './folder.ts';
import { quill } from './quill.ts';

const engine = () => nodeEngine({ threads: 1 });

async function opened(more: Partial<ReplicaSpec> = {}, direction?: Direction) {
  const { manifest, paths } = await quill(direction);
  const spec = { manifest, paths, threads: 1, maxEvalSamples: 16, ...more };
  return { manifest, paths, replica: await openReplica(spec, engine()) };
}

describe('calibration', () => {
  test.each<Direction>([
    { kind: 'lowrank', rank: 1, scale: 1 },
    { kind: 'binomial', rank: 1, scale: 0.5 },
  ])('the first round of $kind codes around the middle of the byte', async (direction) => {
    const { manifest, replica } = await opened({}, direction);
    const slopes = await replica.slopes(16);
    expect(slopes.filter((slope) => Number.isFinite(slope) && slope !== 0)).toHaveLength(16);
    const scale = initialScale(slopes);
    const codes = await replica.measure({ round: 0, scale, clip: 127 }, 0, direction.kind === 'lowrank' ? 64 : 16);
    const sizes = [...codes].map(Math.abs).sort((a, b) => a - b);
    const median = sizes[sizes.length >> 1]!;
    expect(median).toBeGreaterThanOrEqual(12);
    expect(median).toBeLessThanOrEqual(80);
    expect(new Set([...codes].map(Math.sign)), 'both signs').toContain(-1);
    expect(await replica.slopes(16), 'measuring again gives the same').toEqual(slopes);
    expect(manifest.records_per_round).toBe(8);
    await replica.close();
  });
});

describe('a run that measures with bytes', () => {
  const noiseOf = async (eps: number) => {
    const { manifest } = await quill();
    const { replica } = await opened({ manifest: { ...manifest, eps, forward_precision: 'int8' } });
    const own = await replica.slopes(16);
    const exact = await replica.slopes(16, { eps, forward_precision: 'f32' });
    expect(own, 'without being told, in the precision and at the eps of the manifest').toEqual(
      await replica.slopes(16, { eps, forward_precision: 'int8' }),
    );
    const codes = await replica.measure({ round: 0, scale: initialScale(own), clip: 127 }, 0, 16);
    const held = await replica.evaluate();
    await replica.close();
    return { noise: relativeNoise(own, exact), codes, held };
  };

  test('slopes are near those of f32 at eps 1e-2, bytes differ, and evaluations are those of f32', async () => {
    const { noise, codes, held } = await noiseOf(1e-2);
    expect(noise).toBeLessThan(0.15);
    expect(noise).toBeGreaterThan(1e-3);
    const { manifest, replica } = await opened();
    const floats = await opened({ manifest: { ...manifest, eps: 1e-2 } });
    const header = { round: 0, scale: initialScale(await floats.replica.slopes(16)), clip: 127 };
    expect(await floats.replica.measure(header, 0, 16)).not.toEqual(codes);
    expect(held).toEqual(await replica.evaluate());
    await replica.close();
    await floats.replica.close();
  });

  test('at eps 1e-4 there is more noise than slope', async () => {
    expect((await noiseOf(1e-4)).noise).toBeGreaterThan(1);
  });
});

describe('what a run moves', () => {
  /** Elements of each tensor that a round changed. */
  async function changed(more: Partial<Manifest>, direction: Direction, rounds: number) {
    const { manifest: plain } = await quill(direction);
    const manifest = { ...plain, ...more, learning_rate: 1e-3, initial_scale: 2 ** 30 };
    const { replica } = await opened({ manifest });
    const { model } = await readFolder('assets/quill');
    const all = () => Promise.all(model.tensors.map(({ name }) => replica.tensor(name)));
    const before = await all();
    for (let round = 0; round < rounds; round++) await replica.apply([committed(manifest, round, Int8Array.of(127))]);
    const after = await all();
    await replica.close();
    return model.tensors.map(({ name }, t) => ({
      name,
      before: before[t]!,
      moved: Array.from(before[t]!, (x, i) => x !== after[t]![i]),
    }));
  }
  const dense: Direction = { kind: 'rademacher', rank: 1, scale: 1 };

  test('with a mask of elements: the fifth of every tensor of the base that is smallest', async () => {
    for (const { name, before, moved } of await changed(
      { element_mask: { by: 'magnitude', kept: 1, of: 5 } },
      dense,
      1,
    )) {
      expect(moved.filter(Boolean).length, name).toBe(Math.ceil(moved.length / 5));
      const sizes = (which: boolean) => before.filter((_, i) => moved[i] === which).map(Math.abs);
      const most = sizes(true).reduce((a, b) => Math.max(a, b), 0);
      expect(most, name).toBeLessThanOrEqual(sizes(false).reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY));
    }
  });

  test('with blocks in turn: what its window holds', async () => {
    const names = async (rounds: number) =>
      (await changed({ blocks_per_round: 1 }, dense, rounds))
        .filter(({ moved }) => moved.some(Boolean))
        .map(({ name }) => name);
    const first = await names(1);
    expect(first.every((name) => /embed_tokens|layers\.0\./.test(name))).toBe(true);
    expect(first).toContain('model.embed_tokens.weight');
    const two = (await names(2)).filter((name) => !first.includes(name));
    expect(two.length).toBeGreaterThan(5);
    expect(two.every((name) => /layers\.1\./.test(name))).toBe(true);
  });

  test('a mask and a pool, gathered past what may be owed, on disk as in memory', async () => {
    const { manifest: plain } = await quill(dense);
    const manifest: Manifest = {
      ...plain,
      directions: { pool: 3 },
      element_mask: { by: 'random', kept: 1, of: 3 },
    };
    const roots: Uint8Array[] = [];
    for (const where of [{}, { offloadFolder: scratchFolder() }]) {
      const { replica } = await opened({ manifest, ...where });
      // More than 16,384 records at a time are added up along their three directions.
      for (let round = 0; round < 9; round++) {
        const codes = Int8Array.from({ length: 2048 }, (_, i) => ((i * 37 + round) % 255) - 127);
        await replica.apply([committed(manifest, round, codes)]);
      }
      roots.push(await replica.root());
      await replica.close();
    }
    expect(roots[1]).toEqual(roots[0]);
  });

  test('more blocks in turn than there are is refused', async () => {
    const { manifest } = await quill();
    await expect(opened({ manifest: { ...manifest, blocks_per_round: 99 } })).rejects.toThrow(
      /^CONFIG_INVALID: blocks_per_round: 99 is more than/,
    );
  });
});

describe('data', () => {
  test('is needed to measure and to judge, not to rebuild', async () => {
    const { manifest, paths } = await quill();
    const { train, eval: held } = manifest.data;
    for (const missing of [train, held!]) {
      const { [missing.sha256]: _, ...rest } = paths;
      const replica = await openReplica({ manifest, paths: rest, threads: 1 }, engine());
      await replica.apply([committed(manifest, 0, Int8Array.of(1, 2, 3))]);
      expect((await replica.tensor('model.norm.weight')).length).toBeGreaterThan(0);
      expect(await replica.generate('The cast was', { max_new_tokens: 3, temperature: 0, draws: [] })).not.toBe('');
      await expect(replica.evaluate()).rejects.toThrow(/^FILE_MISSING: .*--data/);
      await replica.close();
    }
  });

  test('a judgement of one’s own is on the data that is given', async () => {
    const path = join(scratchFolder(), 'own.jsonl');
    await writeFile(
      path,
      '{"text": "The plot was excellent.", "label": 1}\n{"text": "The plot was awful.", "label": 0}\n',
    );
    const evalData = await blobRef(path, 'own.jsonl');
    const { paths } = await quill();
    const { replica } = await opened({ evalData, paths: { ...paths, [evalData.sha256]: path } });
    const { 'eval/accuracy': accuracy } = await replica.evaluate();
    expect([0, 0.5, 1]).toContain(accuracy);
    await replica.close();
  });
});

describe('the base', () => {
  test('is read exactly: weights of 24 bits survive fixed point, the largest ones to the last bit', async () => {
    const { model, weight } = await readFolder('assets/quill');
    const { replica } = await opened();
    for (const { name } of model.tensors) {
      const [w, base] = [await replica.tensor(name), weight(name)];
      const peak = base.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      expect(w.reduce((most, x, i) => Math.max(most, Math.abs(x - base[i]!)), 0)).toBeLessThanOrEqual(peak * 2 ** -27);
    }
    await replica.close();
  });

  test('a file that is missing is named, with the remedy', async () => {
    const { manifest, paths } = await quill();
    const weights = manifest.base.files.find(({ path }) => path.endsWith('.safetensors'))!;
    const { [weights.sha256]: _, ...rest } = paths;
    const opening = openReplica({ manifest, paths: rest, threads: 1 }, engine());
    await expect(opening).rejects.toThrow(/^FILE_MISSING: model\.safetensors of the base.*--model/);
  });

  test('another tokenizer than the model’s is refused', async () => {
    const { manifest, paths } = await quill();
    const config = join(scratchFolder(), 'tokenizer.json');
    await writeFile(config, '{}');
    const files = manifest.base.files.filter(({ path }) => path !== 'tokenizer.json');
    const blob = await blobRef(config, 'tokenizer.json');
    const base = { ...manifest.base, files: [...files, blob] };
    const spec = { manifest: { ...manifest, base }, paths: { ...paths, [blob.sha256]: config }, threads: 1 };
    await expect(openReplica(spec, engine())).rejects.toThrow(/^TOKENIZER_MISMATCH/);
    await expect(
      openReplica({ ...spec, manifest: { ...manifest, base: { ...base, files } } }, engine()),
    ).rejects.toThrow(/^MODEL_INVALID: the base of this run has no tokenizer\.json/);
  });

  test('calls of one machine’s tools wait for their turn', async () => {
    const { manifest, replica } = await opened();
    const header = { round: 0, scale: initialScale([1]), clip: 127 };
    const [alone] = [await replica.measure(header, 0, 8)];
    const options = { max_new_tokens: 5, temperature: 0, draws: [] };
    const text = await replica.generate('The cast was', options);
    const together = await Promise.all([
      replica.measure(header, 0, 8),
      replica.generate('The cast was', options),
      replica.slopes(2),
      replica.measure(header, 0, 8),
    ]);
    expect([together[0], together[1], together[3]]).toEqual([alone, text, alone]);
    expect(manifest.max_steps).toBe(4);
    await replica.close();
  });
});

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readFolder } from '../model/folder.ts';

/** What the tests use of the benches, which are plain JavaScript and have no types. */
interface Harness {
  markdown(rows: readonly object[]): string;
  spread(values: readonly number[]): object;
  ratios(times: Readonly<Record<string, readonly number[]>>, base: string): readonly object[];
}
interface Models {
  configNamed(name: string): object;
  shapesOf(config: object): ReadonlyMap<string, object>;
  weightGenerator(seed: number): () => number;
}
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(file).href)) as T;

describe('tables of benches', () => {
  test('have the keys of the first row as their heading, counts in full and other numbers to three digits', async () => {
    const { markdown, spread } = await load<Harness>('bench/harness.mjs');
    const rows = [
      { what: 'a', count: 1_234_567, ms: 12.3456, ratio: 0.000123456 },
      { what: 'b', count: 7, ms: 1234.56, ratio: spread([3, 1.25, 2]) },
      { what: 'c', count: 7, ms: Number.NaN, ratio: spread([2]) },
    ];
    expect(markdown(rows)).toBe(
      [
        '| what | count | ms | ratio |',
        '| --- | --- | --- | --- |',
        '| a | 1,234,567 | 12.3 | 0.000123 |',
        '| b | 7 | 1,235 | 2 (1.25 to 3) |',
        '| c | 7 | – | 2 |',
      ].join('\n'),
    );
  });

  test('ratios are taken repetition by repetition', async () => {
    const { ratios } = await load<Harness>('bench/harness.mjs');
    // The machine halved its pace in the middle: the ratio is not told by the medians.
    const times = { base: [10, 20, 20], other: [15, 30, 32] };
    expect(ratios(times, 'base')).toEqual([
      { name: 'base', ms: 20, ratio: 1, low: 1, high: 1 },
      { name: 'other', ms: 30, ratio: 1.5, low: 1.5, high: 1.6 },
    ]);
  });
});

const MATRIX = 'model.layers.3.mlp.down_proj.weight';

describe.skipIf(!existsSync('dist/cli/main.js'))('synthetic checkpoints (npm run build makes what they need)', () => {
  test.each([
    ['F32', 0],
    ['F16', 2 ** -10],
    ['BF16', 2 ** -7],
  ])('open as a model in %s, gains 1, weights small and the same in every dtype', async (dtype, error) => {
    const home = mkdtempSync(join(tmpdir(), 'murmur-synthetic-'));
    try {
      const folder = join(home, dtype);
      const argv = ['bench/synthetic.mjs', '--shape', 'stories260k', '--dtype', dtype, '--output_dir', folder];
      expect(spawnSync(process.execPath, argv, { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
      const { model, weight } = await readFolder(folder);
      expect(model.tensors.length).toBe(2 + 5 * 9);
      expect(new Set(weight('model.norm.weight'))).toEqual(new Set([1]));
      const { configNamed, shapesOf, weightGenerator } = await load<Models>('bench/models.mjs');
      const next = weightGenerator([...shapesOf(configNamed('stories260k')).keys()].indexOf(MATRIX));
      for (const value of weight(MATRIX)) {
        const exact = Math.fround(next());
        // Cut off, hence never larger; F16 has nothing below 2^-14.
        expect(Math.abs(value)).toBeLessThanOrEqual(Math.abs(exact));
        if (Math.abs(exact) >= 2 ** -14) expect(Math.abs(value - exact)).toBeLessThanOrEqual(error * Math.abs(exact));
      }
      expect(JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'))).toHaveProperty('model');
    } finally {
      rmSync(home, { recursive: true });
    }
  });
});

/** Whether a run may measure with bytes, on slopes of a known noise; and such a run, by the command. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { admitPrecision } from '../../src/cli/precision.ts';
import type { Measuring } from '../../src/peer/node/open-replica.ts';
import { BUILT, quillFlags, run } from './built.ts';

/** Slopes of size 1; in int8 a part in eps of them is off, every other time to each side. */
const noisy = (noise: number) => {
  const asked: Measuring[] = [];
  const slopes = async (count: number, measuring?: Measuring) => {
    const { eps, forward_precision } = measuring!;
    asked.push(measuring!);
    const off = forward_precision === 'int8' ? noise / eps : 0;
    return Array.from({ length: count }, (_, i) => 1 + (i % 2 === 0 ? off : -off));
  };
  return { asked, slopes };
};
const int8 = (eps: number) => ({ eps, forward_precision: 'int8' }) as const;

describe('admission', () => {
  test('takes noise of half the slopes, and no more', async () => {
    await expect(admitPrecision(int8(1e-3), noisy(0.499e-3).slopes)).resolves.toBeUndefined();
    await expect(admitPrecision(int8(1e-3), noisy(0.501e-3).slopes)).rejects.toThrow(
      'PRECISION_LOW: forward_precision int8 at eps 0.001: rounding adds 0.50 of the slopes',
    );
  });

  test('names the smallest eps of a few that would do, larger than the one that does not', async () => {
    const refused = (eps: number, noise: number) => expect(admitPrecision(int8(eps), noisy(noise).slopes)).rejects;
    await refused(1e-3, 0.9e-3).toThrow(/raise eps to 0\.002, or take f32$/);
    await refused(1e-4, 2e-3).toThrow(/raise eps to 0\.005, or take f32$/);
    await refused(5e-3, 4e-3).toThrow(/raise eps to 0\.01, or take f32$/);
  });

  test('advises f32 where none would do', async () => {
    await expect(admitPrecision(int8(1e-3), noisy(1).slopes)).rejects.toThrow(/; take forward_precision f32$/);
    await expect(admitPrecision(int8(0.1), noisy(1).slopes)).rejects.toThrow(/; take forward_precision f32$/);
  });

  test('does not ask anything of a run in f32', async () => {
    const { asked, slopes } = noisy(1);
    await admitPrecision({ eps: 1e-5, forward_precision: 'f32' }, slopes);
    expect(asked).toEqual([]);
  });
});

describe.skipIf(!BUILT)('train (npm run build makes the command)', () => {
  let home = '';
  const at = (name: string) => join(home, name);
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'murmur-precision-'));
    const rows = readFileSync('assets/demo/dev.jsonl', 'utf8').split('\n');
    writeFileSync(at('train.jsonl'), rows.slice(0, 40).join('\n'));
    writeFileSync(at('held.jsonl'), rows.slice(40, 50).join('\n'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('a run in int8 says so in its manifest, and replays to the same digest', () => {
    const flags = [...quillFlags(at('train.jsonl'), at('held.jsonl'), at('out')), '--eps', '0.005'];
    const trained = run(home, 'train', ...flags, '--forward_precision', 'int8');
    expect(trained.stderr).toBe('');
    expect(trained.done).toMatchObject({ rounds: 4, records: 16 });
    const { manifest } = run(home, 'inspect', at('out')).done;
    expect(manifest).toMatchObject({ forward_precision: 'int8', eps: 0.005 });
    const replayed = run(home, 'replay', at('out'), '--output_dir', at('again')).done;
    expect(replayed['digest']).toMatch(/^[0-9a-f]{64}$/);
    expect(replayed['digest']).toBe(trained.done['digest']);

    const other = run(home, 'train', ...flags, '--forward_precision', 'f32');
    expect(other.done).toMatchObject({ error: { code: 'OUTPUT_EXISTS' } });
    expect(other.stderr).toContain('another forward_precision');
  });
});

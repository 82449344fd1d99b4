import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lines, murmur } from './capture.ts';

let home = '';
let text = '';
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'murmur-plan-'));
  text = join(home, 'corpus.txt');
  writeFileSync(text, 'The soup was warm and the bread was fresh.\n'.repeat(60));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

async function planned(...more: readonly string[]): Promise<Record<string, unknown>> {
  const { code, out } = await murmur('plan', '--model', 'assets/quill', '--data', text, '--json', ...more);
  expect(code).toBe(0);
  return lines(out).at(-1)!;
}

describe('murmur plan', { timeout: 60_000 }, () => {
  test('names memory, time and bytes, and parts add up to the peak', async () => {
    const said = await planned('--block_size', '16', '--max_steps', '7');
    const number = (key: string): number => {
      expect(said[key], key).toEqual(expect.any(Number));
      return said[key] as number;
    };
    const [masters, scratch] = [number('bytes/masters'), number('bytes/scratch')];
    expect(number('weights')).toBe(869_504);
    expect(masters).toBe(4 * number('weights'));
    const atWork = scratch + number('bytes/activations') + number('bytes/runtime');
    expect(number('bytes/peer')).toBe(number('bytes/base') + masters + Math.max(number('bytes/loading'), atWork));
    expect(number('bytes/machine')).toBe(number('bytes/peer') + number('bytes/host'));
    expect(said['fits']).toBe(number('bytes/machine') <= number('bytes/free'));
    expect(number('seconds/round')).toBe(number('seconds/measure') + number('seconds/apply'));
    expect(number('seconds/run')).toBeCloseTo(7 * number('seconds/round'), 9);
    expect(number('seconds/round')).toBeGreaterThan(0);
    expect(number('bytes/gradients')).toBe(16);
    expect(number('bytes/wire')).toBeGreaterThan(2 * 16 + 3 * 64);
    expect(said).toMatchObject({ rounds: 7, advice: expect.any(Array) });
  });

  test('of several peers each measures its share, and all of them count', async () => {
    const said = await planned('--block_size', '16', '--peers', '3', '--threads', '1');
    const [peer, host] = [said['bytes/peer'] as number, said['bytes/host'] as number];
    expect(said).toMatchObject({ threads: 1, 'bytes/gradients': 48, 'bytes/machine': 3 * peer + host });
  });

  test.each<[string, string[], string, RegExp]>([
    ['no such model', ['--model', 'nowhere-at-all'], 'FILE_MISSING', /neither a folder here nor a Hub id/],
    ['a model that was not fetched', ['--model', 'owner/never-fetched'], 'FILE_MISSING', /was not fetched yet/],
    ['no such data', ['--data', 'none.txt'], 'FILE_MISSING', /none\.txt is not there/],
    ['no such key', ['--learningrate', '1'], 'CONFIG_INVALID', /did you mean "--learning_rate"/],
    ['two run files', ['a.yaml', 'b.yaml'], 'CONFIG_INVALID', /plan: takes one run file/],
  ])('%s is refused', async (_, more, code, message) => {
    const { out } = await murmur('plan', '--model', 'assets/quill', '--data', text, '--json', ...more);
    expect(lines(out).at(-1)!['error']).toMatchObject({ code, message: expect.stringMatching(message) });
  });
});

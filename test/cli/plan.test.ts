import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/cli/config.ts';
import { adviceFor, type Tight } from '../../src/cli/plan.ts';
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
    expect([said['bytes/moments'], said['bytes/masks'], said['bytes/step']]).toEqual([0, 0, 0]);
    expect(number('bytes/peer')).toBe(number('bytes/base') + masters + Math.max(number('bytes/loading'), atWork));
    expect(number('bytes/machine')).toBe(number('bytes/peer') + number('bytes/host'));
    expect(said['fits']).toBe(number('bytes/machine') <= number('bytes/free'));
    expect(number('seconds/round')).toBe(number('seconds/measure') + number('seconds/apply'));
    expect(number('seconds/run')).toBeCloseTo(7 * number('seconds/round'), 9);
    expect(number('seconds/round')).toBeGreaterThan(0);
    expect(number('bytes/gradients')).toBe(16);
    expect(number('bytes/wire')).toBeGreaterThan(2 * 16 + 3 * 64);
    expect(said).toMatchObject({ rounds: 7, advice: expect.any(Array), notes: [], learning_rate: 5e-4 });
  });

  test('of several peers each measures its share, and all of them count', async () => {
    const said = await planned('--block_size', '16', '--peers', '3', '--threads', '1');
    const [peer, host] = [said['bytes/peer'] as number, said['bytes/host'] as number];
    expect(said).toMatchObject({ threads: 1, 'bytes/gradients': 48, 'bytes/machine': 3 * peer + host });
  });

  test.each<[string, string[], Record<string, unknown>]>([
    ['optimizer adam keeps 16 bytes a weight', ['--method', 'zo-adam'], { 'bytes/moments': 16 * 869_504, notes: [] }],
    ['a mask is a bit a weight', ['--method', 'sparse-mezo'], { 'bytes/masks': 869_504 / 8, learning_rate: 8e-4 }],
    ['a step is tried', ['--method', 'zo-sgd-cons'], { notes: [expect.stringMatching(/every step is tried/)] }],
    ['a derivative is measured', ['--method', 'forward-grad'], { 'bytes/gradients': 1, notes: [] }],
    ['momentum is added again', ['--method', 'zo-sgd-mmt', '--block_size', '8'], { 'bytes/moments': 0 }],
    ['a window moves', ['--method', 'mezo-bcd', '--block_size', '8'], { learning_rate: 8e-4 }],
    [
      'AdamW keeps two moments and a gradient, alone',
      ['--method', 'backprop', '--gradient_accumulation_steps', '2'],
      { 'bytes/moments': 8 * 869_504, 'bytes/step': 8 * 869_504, 'bytes/wire': 0, 'bytes/gradients': 0 },
    ],
    [
      'SGD of an adapter keeps one of it',
      ['--method', 'backprop', '--optim', 'sgd', '--adapter', 'lora', '--lora_r', '1', '--target_modules', 'o_proj'],
      { 'bytes/moments': 4 * 4 * 256, 'bytes/step': 4 * 4 * 256 },
    ],
  ])('%s', async (_, more, expected) => {
    const said = await planned('--block_size', '16', ...more);
    expect(said).toMatchObject(expected);
    const parts = ['moments', 'step', 'scratch', 'activations', 'runtime'].map(
      (name) => said[`bytes/${name}`] as number,
    );
    const kept = ['base', 'masters', 'masks'].map((name) => said[`bytes/${name}`] as number);
    const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
    expect(said['bytes/peer']).toBe(sum(kept) + Math.max(said['bytes/loading'] as number, sum(parts)));
    for (const key of ['seconds/measure', 'seconds/apply']) expect(said[key], key).toBeGreaterThan(0);
    expect(said['bytes/machine']).toBe((said['bytes/peer'] as number) + ((said['bytes/host'] as number) ?? 0));
  });

  test('a hybrid keeps moments of its last blocks, and measures slopes of the rest', async () => {
    const said = await planned('--block_size', '16', '--method', 'hybrid', '--backprop_blocks', '2');
    expect(said['bytes/moments']).toBeGreaterThan(0);
    expect(said['bytes/moments']).toBeLessThan(8 * 869_504);
    expect(said['bytes/host']).toBeUndefined();
    expect(said['seconds/measure']).toBeGreaterThan(0);
  });

  test('texts that are measured are taken to be as long as they may be', async () => {
    const rows = join(home, 'rows.jsonl');
    const row = (n: number) => JSON.stringify({ question: `What is ${n} and ${n}?`, answers: [`${2 * n}`] });
    writeFileSync(rows, Array.from({ length: 30 }, (_, n) => row(n)).join('\n'));
    const task = ['--task', 'answer', '--prompt', '{question}', '--objective', 'f1', '--data', rows];
    const of = (tokens: number) => planned(...task, '--max_new_tokens', String(tokens));
    const [short, long] = [await of(4), await of(200)];
    expect(long).toMatchObject({ notes: [expect.stringMatching(/max_new_tokens/)] });
    expect(long['bytes/activations']).toBeGreaterThan(2 * (short['bytes/activations'] as number));
    expect(long['bytes/runtime']).toBeGreaterThan(short['bytes/runtime'] as number);
    expect(short['seconds/measure']).toBeGreaterThan(0);
  });

  test.each<[string, string[], string, RegExp]>([
    [
      'Adam with blocks on disk',
      ['--optimizer', 'adam', '--offload_folder', 'p'],
      'CONFIG_INVALID',
      /^offload_folder: /,
    ],
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

describe('advice', () => {
  const GB = 1e9;
  const peer = { masters: GB, moments: 4 * GB, masks: 0, step: GB, scratch: 0, activations: 3 * GB, runtime: 0 };
  const said = (flags: Record<string, unknown>, more: Partial<Tight> = {}): string => {
    const { config } = loadConfig(undefined, { model: 'm', data: 'd.txt', ...flags }, {});
    const footprint = { ...peer, loading: 0, base: 0, peak: 9 * GB };
    const tight = { config, peer: footprint, host: GB, free: 20 * GB, total: 30 * GB, offloaded: 5 * GB, ...more };
    return adviceFor(tight).join('\n');
  };

  test('is given where a run does not fit, and is about the method it has', () => {
    expect(said({ peers: 3 }, { total: 19 * GB })).toBe('');
    expect(said({ peers: 3 })).toMatch(/^peers: 2 fit into/);
    expect(said({})).toMatch(/offload_folder: blocks on disk/);
    expect(said({ direction: 'rademacher' })).toMatch(/direction: lowrank/);
    expect(said({})).not.toMatch(/direction: lowrank|optimizer|estimator|optim:|method/);
    expect(said({ optimizer: 'adam' })).toMatch(/optimizer: scalar_adam/);
    expect(said({ optimizer: 'adam' }), 'which it may not have').not.toMatch(/offload_folder/);
    expect(said({ direction: 'binomial', sparse: 'random' }), 'which it may not have').not.toMatch(/lowrank/);
    expect(said({ method: 'forward-grad' })).toMatch(/estimator: spsa/);
    const alone = said({ method: 'backprop' });
    for (const remedy of [
      /method: onebyte keeps none of the 5\.00 GB/,
      /optim: sgd/,
      /adapter: lora/,
      /accumulation_steps/,
    ])
      expect(alone).toMatch(remedy);
    expect(alone).not.toMatch(/peers|direction/);
    expect(said({ method: 'backprop', optim: 'sgd', per_device_train_batch_size: 1 })).not.toMatch(
      /optim:|accumulation/,
    );
  });
});

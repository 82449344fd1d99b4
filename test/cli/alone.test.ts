/** Trainings on one machine through the command line: which keys go together, what is left behind, and how a stop is survived. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isAlone, settingsOf } from '../../src/cli/alone.ts';
import { loadConfig, type RunConfig } from '../../src/cli/config.ts';
import { sharesOf } from '../../src/cli/pretrain.ts';
import { readFolder } from '../model/folder.ts';
import { scratchFolder } from '../peer/node/folder.ts';
import { BUILT, quillFlags, run } from './built.ts';
import { murmur } from './capture.ts';

const config = (flags: Readonly<Record<string, unknown>>): RunConfig =>
  loadConfig(undefined, { model: 'm', data: 'd.txt', ...flags }, {}).config;

describe('keys', () => {
  test.each([
    [{ peers: 2 }, '--peers: method backprop is for one machine: a gradient has a float for each weight'],
    [{ min_peers: 3 }, '--min_peers: method backprop is for one machine'],
    [{ rank: 2 }, '--rank: has no meaning for method backprop'],
    [{ reduction: 'sum' }, '--reduction: has no meaning for method backprop'],
    [{ optimizer: 'sgd' }, '--optimizer: has no meaning for method backprop'],
    [{ backprop_blocks: 2 }, '--backprop_blocks: has no meaning for method backprop'],
    [{ momentum: 0.5 }, '--momentum: is for optim sgd, not adamw'],
    [{ optim: 'sgd', adam_beta1: 0.5 }, '--adam_beta1: is for optim adamw, not sgd'],
    [{ method: 'hybrid', last_blocks: 2 }, '--last_blocks: has no meaning beside backprop_blocks'],
    [
      { method: 'onebyte', weight_decay: 0.1 },
      '--weight_decay: is for methods with gradients, such as backprop, not onebyte',
    ],
  ])('%j is refused', (flags, message) => {
    expect(() => config({ method: 'backprop', ...flags })).toThrow(`CONFIG_INVALID: ${message}`);
  });

  test('reach the settings, with defaults of their own', () => {
    const plain = config({ method: 'backprop' });
    expect([isAlone(plain), isAlone(config({}))]).toEqual([true, false]);
    expect(settingsOf(plain, 1)).toEqual({
      optim: { kind: 'adamw', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      ...{ weight_decay: 0, max_grad_norm: 1, per_device_train_batch_size: 16, gradient_accumulation_steps: 1 },
    });
    const hybrid = config({ method: 'hybrid', optim: 'sgd', momentum: 0.8, backprop_blocks: 3, rank: 2, eps: 0.01 });
    expect(settingsOf(hybrid, 0.25)).toMatchObject({
      optim: { kind: 'sgd', momentum: 0.8 },
      zeroth: { backprop_blocks: 3, learning_rate: 0.25 },
    });
    expect(settingsOf(config({ method: 'hybrid', zo_learning_rate: 0.5 }), 1).zeroth?.learning_rate).toBe(0.5);
  });
});

describe('--data of pretrain', () => {
  test('names files, and how often an epoch reads them', () => {
    expect(sharesOf('a.txt, b=c.jsonl=0.5')).toEqual([
      { path: 'a.txt', times: 1 },
      { path: 'b=c.jsonl', times: 0.5 },
    ]);
  });
  test.each(['', 'a.txt,', 'a.txt=0', 'a.txt=x', 'a.txt=1e9', '=2'])('%j is refused', (data) => {
    expect(() => sharesOf(data)).toThrow('CONFIG_INVALID: --data: ');
  });
});

test('pretrain without data writes a model from nothing, the same each time, which others begin from', async () => {
  const folder = scratchFolder();
  const shape = ['--tokenizer', 'assets/quill', '--hidden_size', '32', '--num_hidden_layers', '1'];
  const make = (name: string, ...more: string[]) =>
    murmur('pretrain', ...shape, '--output_dir', join(folder, name), ...more);
  for (const name of ['a', 'b']) expect((await make(name)).code).toBe(0);
  const [a, b] = await Promise.all(['a', 'b'].map((name) => readFile(join(folder, name, 'base/model.safetensors'))));
  expect(a!.equals(b!)).toBe(true);
  expect(await make('c', '--max_steps', '5')).toMatchObject({ code: 2, err: expect.stringContaining('--max_steps') });
  expect(existsSync(join(folder, 'c'))).toBe(false);
});

test('pretrain needs a tokenizer or a base, and not both', async () => {
  expect((await murmur('pretrain', '--data', 'a.txt')).err).toContain('takes --tokenizer');
  expect((await murmur('pretrain', '--data', 'a.txt', '--tokenizer', 't', '--base', 'b')).err).toContain(
    'takes --tokenizer',
  );
});

const reviews = async (folder: string): Promise<[string, string]> => {
  const lines = (await readFile('assets/demo/dev.jsonl', 'utf8')).split('\n');
  const [data, held] = [join(folder, 'train.jsonl'), join(folder, 'held.jsonl')];
  await writeFile(data, lines.slice(0, 40).join('\n'));
  await writeFile(held, lines.slice(40, 60).join('\n'));
  return [data, held];
};

describe.skipIf(!BUILT)('the built command (npm run build makes it)', () => {
  test('train --method backprop leaves a model that loads, and repeated it says the same', async () => {
    const folder = scratchFolder();
    const out = join(folder, 'out');
    const argv = ['train', ...quillFlags(...(await reviews(folder)), out), '--method', 'backprop'];
    const { code, done, lines } = run(folder, ...argv);
    expect(code).toBe(0);
    expect(done['eval/loss']).toBeLessThan(done['eval/loss_before'] as number);
    const rounds = lines.filter(({ event }) => event === 'round');
    expect(rounds.map(({ round }) => round)).toEqual([1, 2, 3, 4]);
    for (const key of ['loss', 'learning_rate', 'grad_norm']) expect(rounds[0]![key], key).toBeGreaterThan(0);
    expect((await readdir(join(out, 'model'))).sort()).toEqual([
      ...['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'],
    ]);
    const { weight } = await readFolder(join(out, 'model'));
    const base = await readFolder('assets/quill');
    expect(weight('model.norm.weight')).not.toEqual(base.weight('model.norm.weight'));

    const again = run(folder, ...argv);
    expect(again.code).toBe(0);
    expect([again.done['digest'], again.done['eval/loss']]).toEqual([done['digest'], done['eval/loss']]);
    const other = run(folder, ...argv, '--learning_rate', '0.5');
    expect(other.done).toMatchObject({ error: { code: 'OUTPUT_EXISTS' } });
  }, 120_000);

  test('Ctrl+C finishes the step and saves; the command again ends at the digest of one that was left alone', async () => {
    const folder = scratchFolder();
    const [data, held] = await reviews(folder);
    const argv = (out: string) => [
      ...['train', ...quillFlags(data, held, join(folder, out)), '--method', 'backprop', '--max_steps', '12'],
    ];
    const whole = run(folder, ...argv('whole'));
    const child = spawn(process.execPath, ['bin/murmur.js', ...argv('cut'), '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text.toString();
      if (/"event":"round","round":2,/.test(said) && child.exitCode === null && !child.killed) child.kill('SIGINT');
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect(code, said).toBe(130);
    expect(said).toContain('"code":"INTERRUPTED"');
    expect(run(folder, ...argv('cut')).done['digest']).toBe(whole.done['digest']);
  }, 120_000);

  test('pretrain from nothing, and on from what came out', async () => {
    const folder = scratchFolder();
    const [data, held] = await reviews(folder);
    const flags = (out: string, steps: number) => [
      ...['pretrain', '--data', `${data},${held}=0.5`, '--eval_data', held, '--output_dir', join(folder, out)],
      ...['--block_size', '16', '--max_steps', `${steps}`, '--threads', '1'],
    ];
    const shape = ['--hidden_size', '16', '--num_hidden_layers', '2', '--num_attention_heads', '2'];
    const fresh = run(
      folder,
      ...flags('a', 12),
      ...shape,
      '--tokenizer',
      'assets/quill',
      '--max_position_embeddings',
      '32',
    );
    expect(fresh.code).toBe(0);
    expect(fresh.done['eval/loss_before']).toBeCloseTo(Math.log(1024), 1);
    expect(fresh.done['eval/loss']).toBeLessThan(fresh.done['eval/loss_before'] as number);
    const model = join(folder, 'a', 'model');
    expect(existsSync(join(model, 'tokenizer.json'))).toBe(true);
    const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8')) as Record<string, unknown>;
    expect(config).toMatchObject({
      model_type: 'llama',
      vocab_size: 1024,
      hidden_size: 16,
      bos_token_id: 1,
      eos_token_id: 2,
    });

    const on = run(folder, ...flags('b', 2), '--base', model);
    expect(on.code).toBe(0);
    expect(on.done['eval/loss_before']).toBeCloseTo(fresh.done['eval/loss'] as number, 6);
  }, 120_000);
});

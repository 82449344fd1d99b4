/** Runs that train an adapter, through the command. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFolder } from '../model/folder.ts';
import { BUILT, quillFlags, run } from './built.ts';

/** Many processes, one after the other. */
const LONG = { timeout: 300_000 };

describe.skipIf(!BUILT)('adapters (npm run build makes the command)', () => {
  let home = '';
  const at = (name: string) => join(home, name);
  const cli = (...argv: string[]) => run(home, ...argv);
  const flags = (out: string) => quillFlags('assets/demo/dev.jsonl', 'assets/demo/test.jsonl', at(out));
  const few = ['--max_eval_samples', '8', '--peers', '1', '--eps', '1e-2', '--learning_rate', '0.1'];
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'murmur-adapters-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('LoRA with blocks on disk: merged, its targets moved and nothing else', LONG, async () => {
    const offloaded = ['--offload_folder', at('pages')];
    const trained = cli(
      'train',
      ...flags('out'),
      ...few,
      ...offloaded,
      '--adapter',
      'lora',
      '--target_modules',
      'q_proj,2.mlp.up_proj',
    );
    expect(trained).toMatchObject({ code: 0, stderr: '', done: { rounds: 4 } });
    expect(cli('replay', at('out')).done['digest']).toBe(trained.done['digest']);
    expect(cli('export', at('out'), '--output_dir', at('model'), '--merge').code).toBe(0);
    const [base, result] = [await readFolder('assets/quill'), await readFolder(at('model'))];
    const moved = result.model.tensors
      .map(({ name }) => name)
      .filter((name) => result.weight(name).some((x, i) => x !== base.weight(name)[i]));
    expect(moved).toEqual(
      base.model.tensors.map(({ name }) => name).filter((name) => /q_proj|2\.mlp\.up_proj/.test(name)),
    );
    expect(cli('generate', at('out'), '--prompt', 'The soup', '--max_new_tokens', '3').done['text']).toBeTruthy();
  });

  test('a prefix is made once, is kept with the run, and cannot be merged', LONG, () => {
    expect(cli('train', ...flags('prefix'), ...few, '--adapter', 'prefix').code).toBe(0);
    const [made] = readdirSync(join(home, 'cache', 'murmur', 'adapters'));
    const written = statSync(join(home, 'cache', 'murmur', 'adapters', made!)).mtimeMs;
    expect(cli('train', ...flags('prefix'), ...few, '--adapter', 'prefix').code, 'what is done stays done').toBe(0);
    expect(statSync(join(home, 'cache', 'murmur', 'adapters', made!)).mtimeMs).toBe(written);
    rmSync(join(home, 'cache'), { recursive: true });
    expect(cli('verify', at('prefix')).done).toMatchObject({ weights: 'equal' });
    const { code, stderr } = cli('export', at('prefix'), '--output_dir', at('none'), '--merge');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^murmur: CONFIG_INVALID: --merge: is for runs with/)]);
  });

  test('plan counts an adapter, before anything is computed', LONG, () => {
    const planned = (adapter: string, ...more: string[]) =>
      cli('plan', ...flags('none'), '--adapter', adapter, '--num_virtual_tokens', '3', ...more).done;
    const base = Number(planned('none')['weights']);
    // Two matrices of rank 8 beside q_proj (128, 128) and v_proj (64, 128) of four blocks; keys and values of 64.
    expect(Number(planned('lora')['weights']) - base).toBe(4 * 8 * (128 + 128 + 64 + 128));
    const ups = planned('lora', '--target_modules', '2.mlp.up_proj,3.mlp.up_proj');
    expect(Number(ups['weights']) - base).toBe(2 * 8 * (128 + 352));
    expect(Number(planned('prefix')['weights']) - base).toBe(4 * 2 * 3 * 64);
    expect(Number(planned('prompt')['weights']) - base).toBe(3 * 128);
    expect(readdirSync(home)).not.toContain('none');
  });

  test.each([
    ['a target that is no matrix', ['--adapter', 'lora', '--target_modules', 'q_prj'], /target_modules: .* "q_prj"/],
    ['a folder of no kind', ['--adapter_folder', 'assets'], /--adapter_folder: .*add --adapter lora/],
    [
      'a folder of no adapter',
      ['--adapter', 'lora', '--adapter_folder', 'assets'],
      /FILE_MISSING: assets holds no adapter_/,
    ],
    [
      'an adapter of another model',
      ['--adapter', 'prompt', '--num_virtual_tokens', '4', '--adapter_folder', 'test/fixtures/adapters/prompt-llama'],
      /"prompt_embeddings" is \(4,24\) and must be \(4,128\)/,
    ],
    [
      'another rank',
      ['--adapter', 'lora', '--adapter_folder', 'test/fixtures/adapters/lora-llama'],
      /"r" is 3 and the run has 8; give --lora_r 3/,
    ],
    [
      'more tokens than the model has',
      ['--adapter', 'prefix', '--num_virtual_tokens', '512'],
      /512 leave no text of the 512/,
    ],
  ])('%s is refused before anything is written', (_, more, message) => {
    const { code, stderr } = cli('train', ...flags('none'), ...more);
    expect([code, stderr]).toEqual([expect.any(Number), expect.stringMatching(message)]);
    expect(code).not.toBe(0);
    expect(readdirSync(home)).not.toContain('none');
  });
});

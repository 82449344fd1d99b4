/** Runs that train a part of the model, or keep their blocks on disk. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFolder } from '../model/folder.ts';
import { BUILT, quillFlags, run } from './built.ts';

describe.skipIf(!BUILT)('a run of the last block, its blocks on disk (npm run build makes the command)', () => {
  let home = '';
  const at = (name: string) => join(home, name);
  const cli = (...argv: string[]) => run(home, ...argv);
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'murmur-view-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('moves that block and the norm after it; the rest is exported as the bytes of the base', async () => {
    const flags = quillFlags('assets/demo/dev.jsonl', 'assets/demo/test.jsonl', at('out'));
    const few = ['--max_eval_samples', '8', '--peers', '1', '--offload_folder', at('pages')];
    const trained = cli('train', ...flags, ...few, '--last_blocks', '1');
    expect(trained).toMatchObject({ code: 0, stderr: '', done: { rounds: 4 } });
    expect(readdirSync(at('pages'))).toEqual([]);
    const replayed = cli('replay', at('out'), '--output_dir', at('again'));
    expect(replayed.done['digest']).toBe(trained.done['digest']);
    expect(cli('export', at('out'), '--output_dir', at('model')).code).toBe(0);

    const [base, result] = [await readFolder('assets/quill'), await readFolder(at('model'))];
    const moved = result.model.tensors
      .map(({ name }) => name)
      .filter((name) => result.weight(name).some((x, i) => x !== base.weight(name)[i]));
    const last = `layers.${base.model.blocks.length - 1}.`;
    expect(moved.length).toBeGreaterThan(3);
    expect(moved.filter((name) => !name.includes(last) && !/norm/.test(name))).toEqual([]);
  });

  test('more blocks than there are is refused before anything is written', () => {
    const flags = quillFlags('assets/demo/dev.jsonl', 'assets/demo/test.jsonl', at('none'));
    const { code, stderr } = cli('train', ...flags, '--last_blocks', '99');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^murmur: CONFIG_INVALID: last_blocks: 99 is more than/)]);
    expect(readdirSync(home)).not.toContain('none');
  });
});

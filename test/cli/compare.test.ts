/** `sweep`, `bench methods` and `methods`, as a person calls them. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RECIPES } from '../../src/method/recipes.ts';
import { BUILT, quillFlags, run } from './built.ts';

describe.skipIf(!BUILT)('comparing runs (npm run build makes the command)', () => {
  let home = '';
  const at = (name: string) => join(home, name);
  const cli = (...argv: string[]) => run(home, ...argv);
  const flags = (folder: string) => [
    ...quillFlags('assets/demo/dev.jsonl', 'assets/demo/test.jsonl', at(folder)),
    ...['--max_eval_samples', '8'],
  ];
  beforeAll(() => {
    home = mkdtempSync(join(tmpdir(), 'murmur-compare-'));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  test('sweep tries every combination, ranks them, and goes on from what it holds', () => {
    const words = ['sweep', ...flags('sweep'), '--over', 'learning_rate=1e-4,2e-3', '--seeds', '1'];
    const first = cli(...words);
    expect(first).toMatchObject({ code: 0, stderr: '', done: { runs: 2, path: at('sweep') } });
    expect(first.lines.filter(({ event }) => event === 'run')).toHaveLength(2);
    const { runs } = JSON.parse(readFileSync(at('sweep/runs.json'), 'utf8'));
    expect(runs).toHaveLength(2);
    expect(readFileSync(at('sweep/sweep.md'), 'utf8')).toContain('| learning_rate 1e-4 | 0.0001 | 1 |');
    expect(existsSync(at('sweep/sweep.svg'))).toBe(true);

    const more = cli(...words.with(-1, '1,2'));
    expect(more.done).toMatchObject({ runs: 4 });
    expect(JSON.parse(readFileSync(at('sweep/runs.json'), 'utf8')).runs.slice(0, 2)).toEqual(runs);
  }, 120_000); // six runs

  test('bench methods gives each the rounds that its budget buys', () => {
    const methods = ['--methods', 'onebyte,mezo', '--budget', '48', '--seeds', '1'];
    const { code, done } = cli('bench', 'methods', ...flags('bench'), ...methods);
    expect([code, done['path']]).toEqual([0, at('bench')]);
    const { runs } = JSON.parse(readFileSync(at('bench/runs.json'), 'utf8'));
    // 4 samples a round and two passes each: 6 rounds, of 4 bytes for a direction a sample and 1 for one a batch.
    const ends = runs.map(({ arm, curve }: { arm: { method: string }; curve: { points: object[] } }) => ({
      ...arm,
      ...curve.points.at(-1),
    }));
    expect(ends).toHaveLength(2);
    expect(ends).toContainEqual(expect.objectContaining({ method: 'onebyte', round: 6, forwards: 48, bytes: 24 }));
    expect(ends).toContainEqual(expect.objectContaining({ method: 'mezo', round: 6, forwards: 48, bytes: 6 }));
    expect(existsSync(at('bench/methods.svg'))).toBe(true);
  });

  test('methods lists all, shows one, and knows what was meant', () => {
    expect(cli('methods').done['methods']).toEqual(RECIPES);
    expect(cli('methods', 'mezo').done).toMatchObject({ name: 'mezo', keys: { direction: 'binomial' } });
    expect(cli('methods', 'mezzo')).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean "mezo"?') });
  });

  test.each([
    [['sweep'], /--over is missing/],
    [['sweep', '--over', 'eps=x'], /--eps: takes a number/],
    [['sweep', '--over', 'eqs=1'], /did you mean "--eps"\?/],
    [['bench', '--budget', '1'], /bench: takes "methods"/],
    [['bench', 'methods', '--budget', '1'], /a round of onebyte takes 8 forwards; raise it/],
  ])('%j is refused', (words, message) => {
    const [verb = '', ...rest] = words;
    const { code, stderr } = cli(verb, ...rest, ...flags('none'));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(existsSync(at('none'))).toBe(false);
  });

  test('a run that climbs is stopped and told what to try', () => {
    const wild = ['--learning_rate', '0.3', '--lr_scheduler_type', 'constant', '--eval_steps', '1'];
    const { code, stderr } = cli('train', ...flags('wild'), ...wild);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^murmur: (DIVERGED: the held-out loss|RANGE)/);
  });
});

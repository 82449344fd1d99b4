import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/cli/config.ts';
import { svgOf } from '../../src/cli/plot.ts';
import type { Rated } from '../../src/cli/rate.ts';
import {
  byArm,
  combinations,
  type Finished,
  finishAll,
  type Job,
  markdownOf,
  nameOf,
  rowOf,
  seriesOf,
  spread,
} from '../../src/cli/study.ts';
import type { Curve } from '../../src/cli/trial.ts';

const configOf = (flags: Record<string, unknown>): Rated => ({
  ...loadConfig(undefined, { model: 'm', data: 'd.txt', hub_token: 'secret', ...flags }, {}).config,
  learning_rate: 2e-4,
});

const curveOf = (losses: readonly number[]): Curve => ({
  points: losses.map((loss, round) => ({
    ...{ round, forwards: 32 * round, bytes: 16 * round, seconds: round / 2 },
    metrics: { 'eval/loss': loss },
  })),
  rounds: losses.length - 1,
});

describe('combinations', () => {
  test('every value of every key with every other', () => {
    expect(combinations('learning_rate=1e-3,1e-2;direction=lowrank,binomial')).toEqual([
      { learning_rate: '1e-3', direction: 'lowrank' },
      { learning_rate: '1e-3', direction: 'binomial' },
      { learning_rate: '1e-2', direction: 'lowrank' },
      { learning_rate: '1e-2', direction: 'binomial' },
    ]);
    expect(combinations(undefined)).toEqual([{}]);
  });
  test.each(['learning_rate', 'eps=', 'eps=1,,2', ''])('%j is refused', (over) => {
    expect(() => combinations(over)).toThrow(/^CONFIG_INVALID: --over: /);
  });
  test('seeds have a flag of their own', () => {
    expect(() => combinations('seed=1,2')).toThrow(/--seeds/);
  });
});

describe('the runs of a study', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'murmur-study-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const jobs: Job[] = [1, 2].flatMap((seed) =>
    ['1e-3', '1e-2'].map((eps) => ({ arm: { eps }, seed, config: configOf({ eps: Number(eps), seed }) })),
  );
  const run = async ({ eps, seed }: Rated): Promise<Curve> => curveOf([1, eps + seed]);
  const finish = (make: typeof run, isStopped = () => false) => {
    const made: number[] = [];
    const counted = (config: Rated) => {
      made.push(config.seed);
      return make(config);
    };
    return finishAll(jobs, folder, 2, counted, { isStopped, done: () => undefined }).then((runs) => ({ runs, made }));
  };

  test('come in the order of their jobs; what is kept is not made again, and holds no secret', async () => {
    const first = await finish(run);
    expect(first.runs.map(({ arm, seed }) => [arm['eps'], seed])).toEqual([
      ['1e-3', 1],
      ['1e-2', 1],
      ['1e-3', 2],
      ['1e-2', 2],
    ]);
    const again = await finish(run);
    expect(again.made).toEqual([]);
    expect(again.runs).toEqual(first.runs);
    expect(readFileSync(join(folder, 'runs.json'), 'utf8')).not.toContain('secret');
  });
  test('are kept when the study is stopped between two of them', async () => {
    let made = 0;
    const stopped = await finish(
      async (config) => {
        made++;
        return run(config);
      },
      () => made > 2,
    );
    expect(stopped.runs.length).toBeLessThan(4);
    const rest = await finish(run);
    expect(rest.runs).toHaveLength(4);
    expect(rest.made).toHaveLength(4 - stopped.runs.length);
  });
  test('a folder with another file of that name is refused', async () => {
    writeFileSync(join(folder, 'runs.json'), 'no json');
    await expect(finish(run)).rejects.toThrow(/^CONFIG_INVALID: .*runs\.json is not the file of a study/);
  });
});

describe('what is shown', () => {
  const { output_dir: _, hub_token: __, threads: ___, logging_steps: ____, ...config } = configOf({});
  const runs: Finished[] = [
    { arm: { method: 'a' }, seed: 1, config, curve: curveOf([5, 3, 1]) },
    { arm: { method: 'a' }, seed: 2, config, curve: { ...curveOf([5, 5]), stopped: 'it diverged' } },
    { arm: { method: 'b', eps: '1' }, seed: 1, config, curve: curveOf([5, 2, 2]) },
  ];
  test('is the mean over seeds with its deviation; a run that ended early says why', () => {
    expect(byArm(runs).map((group) => group.length)).toEqual([2, 1]);
    const [a, b] = byArm(runs).map((group) => rowOf(group, ['eval/loss']));
    expect(a).toMatchObject({
      arm: 'a',
      rate: '0.0002',
      runs: '2',
      'eval/loss': '3.0000 ± 2.8284',
      stopped: '1: it diverged',
    });
    expect(b).toMatchObject({ arm: 'b, eps 1', 'eval/loss': '2.0000', forwards: '64', bytes: '32' });
    expect(spread([1, 2, 3], 1)).toBe('2.0 ± 1.0');
    expect(nameOf({})).toBe('as given');
  });
  test('curves are as long as the shortest run of an arm', () => {
    const [a] = seriesOf(runs, 'forwards', 'eval/loss');
    expect(a!.points).toEqual([
      { x: 0, y: 5, error: 0 },
      { x: 32, y: 4, error: Math.SQRT2 },
    ]);
  });
  test('a table holds every key of any row', () => {
    expect(markdownOf([{ a: '1' }, { a: '2', b: 'x|y' }])).toBe('| a | b |\n| --- | --- |\n| 1 |  |\n| 2 | x\\|y |');
  });
  test('a plot has a line, a mark and a bar for what is there, inside its frame', () => {
    const svg = svgOf({
      title: 'a < b',
      x: 'forwards',
      y: 'eval/loss',
      series: seriesOf(runs, 'forwards', 'eval/loss'),
    });
    expect(svg).toContain('a &lt; b');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg.match(/<circle/g)).toHaveLength(5);
    for (const [, x, y] of svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"/g)) {
      expect(Number(x)).toBeGreaterThanOrEqual(64);
      expect(Number(x)).toBeLessThanOrEqual(570);
      expect(Number(y)).toBeGreaterThanOrEqual(40);
      expect(Number(y)).toBeLessThanOrEqual(332);
    }
    const logarithmic = svgOf({
      title: 't',
      x: 'x',
      y: 'y',
      series: seriesOf(runs, 'forwards', 'eval/loss'),
      logarithmic: true,
    });
    expect(logarithmic.match(/<circle/g), 'what is at 0 has no logarithm').toHaveLength(3);
    expect(() => svgOf({ title: 't', x: 'x', y: 'y', series: [] })).toThrow(RangeError);
  });
});

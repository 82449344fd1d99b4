/**
 * Many runs, compared: every combination of some keys, with several seeds, a few at a time. What is finished is kept in
 * a file, so that a study that was interrupted goes on.
 *
 * @module
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../faults.ts';
import { writeWhole } from '../peer/node/write-file.ts';
import { formatNumber } from './format.ts';
import type { PlotPoint, Series } from './plot.ts';
import type { Rated } from './rate.ts';
import type { Curve, Point } from './trial.ts';

/** Keys of a run file and their values, as they were written. */
export type Setting = Readonly<Record<string, string>>;

export interface Job {
  /** What tells an arm of the comparison apart. */
  readonly arm: Setting;
  readonly seed: number;
  readonly config: Rated;
}

export interface Finished {
  readonly arm: Setting;
  readonly seed: number;
  readonly config: Kept;
  readonly curve: Curve;
}

/** `a=1,2;b=x` → every combination of one value for each key, the last key changing fastest. @throws {Fault} */
export function combinations(over: string | undefined): readonly Setting[] {
  let rows: Setting[] = [{}];
  for (const part of over?.split(';') ?? []) {
    const equals = part.indexOf('=');
    const key = part.slice(0, equals).trim();
    const values = part.slice(equals + 1).split(',');
    if (equals < 0 || values.some((value) => value.trim() === ''))
      throw new Fault('CONFIG_INVALID', `--over: "${part}" is not a key and its values, such as "eps=1e-3,1e-2"`);
    if (key === 'seed') throw new Fault('CONFIG_INVALID', '--over: seeds have a flag of their own, --seeds');
    rows = rows.flatMap((row) => values.map((value) => ({ ...row, [key.replaceAll('-', '_')]: value.trim() })));
  }
  return rows;
}

export const nameOf = (arm: Setting): string =>
  Object.entries(arm)
    .map(([key, value]) => (key === 'method' ? value : `${key} ${value}`))
    .join(', ') || 'as given';

const FILE = 'runs.json';

/** The runs of a folder. @throws {Fault} CONFIG_INVALID when the file is something else */
async function known(folder: string): Promise<Finished[]> {
  const path = join(folder, FILE);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return [];
  try {
    return (JSON.parse(text) as { runs: Finished[] }).runs;
  } catch (cause) {
    throw new Fault('CONFIG_INVALID', `${path} is not the file of a study; name another output_dir`, { cause });
  }
}

/** What a run is made of. Where it is put is no part of it, and a secret has no place in a file of results. */
type Elsewhere =
  | ('output_dir' | 'hub_token' | 'threads' | 'logging_steps')
  | ('report_to' | 'resume_from_checkpoint' | 'resume');
const ELSEWHERE: Readonly<Record<Elsewhere, true>> = {
  ...{ output_dir: true, hub_token: true, threads: true, logging_steps: true },
  ...{ report_to: true, resume_from_checkpoint: true, resume: true },
};
export type Kept = Omit<Rated, Elsewhere>;

const keptOf = (config: Rated): Kept =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !Object.hasOwn(ELSEWHERE, key))) as Kept;

/**
 * @param run makes one run. @param parallel runs at a time.
 * @returns the jobs' runs, in their order; shorter if it was stopped. Those that the folder holds are not made again.
 */
export async function finishAll(
  jobs: readonly Job[],
  folder: string,
  parallel: number,
  run: (config: Rated) => Promise<Curve>,
  { isStopped, done }: { readonly isStopped: () => boolean; readonly done: (one: Finished, of: number) => void },
): Promise<Finished[]> {
  await mkdir(folder, { recursive: true });
  const runs = await known(folder);
  const waiting = [...jobs];
  const finished = new Map<Job, Finished>();
  let writing = Promise.resolve();

  const save = (): Promise<void> => {
    writing = writing.then(() => writeWhole(join(folder, FILE), `${JSON.stringify({ runs }, null, 1)}\n`));
    return writing;
  };
  const work = async (): Promise<void> => {
    for (let job = waiting.shift(); job && !isStopped(); job = waiting.shift()) {
      const { arm, seed } = job;
      const config = keptOf(job.config);
      const old = runs.find((one) => JSON.stringify(one.config) === JSON.stringify(config));
      const one = old ?? { arm, seed, config, curve: await run(job.config) };
      if (isStopped() && !old) return;
      if (!old) {
        runs.push(one);
        await save();
      }
      finished.set(job, { ...one, arm });
      done({ ...one, arm }, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  return jobs.flatMap((job) => finished.get(job) ?? []);
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** Standard deviation over n - 1; 0 of one value. */
function deviation(values: readonly number[]): number {
  const middle = mean(values);
  const sum = values.reduce((total, value) => total + (value - middle) ** 2, 0);
  return values.length < 2 ? 0 : Math.sqrt(sum / (values.length - 1));
}

/** `0.912 ± 0.004`; of one run without the second number. */
export function spread(values: readonly number[], digits: number): string {
  const middle = mean(values).toFixed(digits);
  return values.length < 2 ? middle : `${middle} ± ${deviation(values).toFixed(digits)}`;
}

/** Runs that differ in their seed only, in the order of their first. */
export function byArm(runs: readonly Finished[]): readonly (readonly Finished[])[] {
  const groups = new Map<string, Finished[]>();
  for (const run of runs) {
    const name = JSON.stringify(run.arm);
    const group = groups.get(name);
    if (group) group.push(run);
    else groups.set(name, [run]);
  }
  return [...groups.values()];
}

export type Axis = 'round' | 'forwards' | 'bytes' | 'seconds';

/** Mean curve of each arm with a standard deviation for a bar, at the points that all of its runs have. */
export function seriesOf(runs: readonly Finished[], axis: Axis, metric: string): Series[] {
  return byArm(runs).map((group) => {
    const curves = group.map(({ curve }) => curve.points);
    const shared = Math.min(...curves.map((points) => points.length));
    const points = Array.from({ length: shared }, (_, i): PlotPoint => {
      const values = curves.map((points) => points[i]!.metrics[metric] ?? Number.NaN);
      return { x: mean(curves.map((points) => points[i]![axis])), y: mean(values), error: deviation(values) };
    });
    return { name: nameOf(group[0]!.arm), points };
  });
}

/** Whether more of a metric is better. */
export const isScore = (metric: string): boolean => !metric.endsWith('/loss');

/** What an arm came to, over its seeds. */
export function rowOf(group: readonly Finished[], metrics: readonly string[]): Readonly<Record<string, string>> {
  const last = group.map(({ curve }) => curve.points.at(-1)!);
  const first = group[0]!;
  const stopped = group.flatMap(({ curve }) => curve.stopped ?? []);
  const over = (value: (point: Point) => number, digits: number) => spread(last.map(value), digits);
  return {
    arm: nameOf(first.arm),
    rate: formatNumber(first.config.learning_rate),
    runs: String(group.length),
    ...Object.fromEntries(metrics.map((metric) => [metric, over(({ metrics: m }) => m[metric] ?? Number.NaN, 4)])),
    rounds: formatNumber(mean(last.map(({ round }) => round))),
    forwards: formatNumber(mean(last.map(({ forwards }) => forwards))),
    bytes: formatNumber(mean(last.map(({ bytes }) => bytes))),
    seconds: over(({ seconds }) => seconds, 1),
    ...(stopped.length > 0 ? { stopped: `${stopped.length}: ${stopped[0]}` } : {}),
  };
}

/** Rows as a Markdown table. */
export function markdownOf(rows: readonly Readonly<Record<string, string>>[]): string {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const line = (cells: readonly string[]): string => `| ${cells.map((c) => c.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(keys), line(keys.map(() => '---')), ...rows.map((row) => line(keys.map((key) => row[key] ?? '')))].join(
    '\n',
  );
}

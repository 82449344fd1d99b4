/** The built command, one call at a time, with caches of its own. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { lines } from './capture.ts';

/** `npm test` builds first. */
export const BUILT: boolean = existsSync('dist/cli/main.js');

export interface Ended {
  readonly code: number | null;
  /** Of `--json`. */
  readonly lines: readonly Record<string, unknown>[];
  /** The last of them. */
  readonly done: Readonly<Record<string, unknown>>;
  readonly stderr: string;
}

/** Runs `murmur … --json`. @param cache folder for what it caches. */
export function run(cache: string, ...argv: readonly string[]): Ended {
  const { status, stdout, stderr }: SpawnSyncReturns<string> = spawnSync(
    process.execPath,
    ['bin/murmur.js', ...argv, '--json'],
    { encoding: 'utf8', timeout: 60_000, env: { ...process.env, XDG_CACHE_HOME: join(cache, 'cache') } },
  );
  const all = lines(stdout);
  return { code: status, lines: all, done: all.at(-1) ?? {}, stderr };
}

/** Flags of a run on the package's model, small and quick. */
export const quillFlags = (data: string, held: string, folder: string): string[] => [
  ...['--model', 'assets/quill', '--data', data, '--eval_data', held, '--output_dir', folder],
  ...['--prompt', '{text} It was', '--labels', '0= terrible,1= great', '--threads', '1'],
  ...['--per_device_train_batch_size', '4', '--max_steps', '4'],
];

/** A small real run: the demo's model on its shortest reviews, a host and peers as processes, and its journal. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { readJournal } from '../../src/journal/reader.ts';
import type { Entry, Round } from '../../src/nouns.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { type Ledger, ledgerOf, roundsOf } from '../../src/peer/ledger.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { JOURNAL_FILE } from '../../src/peer/node/run-folder.ts';
import { type How, type Line, murmur, type Running, temporaryFolder } from './processes.ts';

/** SIGSTOP and limits of a shell are needed; `npm test` builds first. */
export const RUNNABLE: boolean = process.platform !== 'win32' && existsSync('dist/cli/main.js');

export type Settings = Readonly<Record<string, string | number>>;

export interface Joining extends How {
  /** It takes the base from this machine; so unless false. */
  readonly files?: boolean;
  /** Further flags. */
  readonly flags?: readonly string[];
}

/** Everything of one test in one folder, its caches included. */
export interface Place {
  readonly folder: string;
  /** `murmur train`, into `output_dir` out unless it says otherwise. */
  host(settings: Settings, how?: How): Running;
  /** `murmur join` with a key and a cache of its own. */
  join(link: string, name: string, options?: Joining): Running;
  /** Any other verb. */
  run(...argv: readonly string[]): Running;
  readonly out: string;
}

/** @param dataOf makes the data of its runs. @param elsewhere `output_dir`, if not in its folder. */
export function place(dataOf: (folder: string) => Settings = reviewsIn, elsewhere?: string): Place {
  const folder = temporaryFolder();
  const out = elsewhere ?? join(folder, 'out');
  const data = dataOf(folder);
  const run = (argv: readonly string[], { env, ...how }: How = {}): Running =>
    murmur(argv, { env: { XDG_CACHE_HOME: join(folder, 'cache'), ...env }, ...how });
  return {
    folder,
    out,
    host: (settings, how) => run(['train', ...flagsOf({ ...data, output_dir: out, ...settings })], how),
    join(link, name, { files = true, flags = [], env, ...how } = {}) {
      const key = join(folder, `${name}.key`);
      const known = files ? ['--files', join(out, 'files.json')] : [];
      const own = { XDG_CACHE_HOME: join(folder, `${name}-cache`), ...env };
      return run(['join', link, '--name', name, '--key', key, '--threads', '1', ...known, ...flags], {
        ...how,
        env: own,
      });
    },
    run: (...argv) => run(argv),
  };
}

const flagsOf = (settings: Settings): string[] =>
  Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]);

/** The same reviews as running text, for runs that exchange vectors. */
export function textIn(folder: string): Settings {
  const rows = readFileSync('assets/demo/train.jsonl', 'utf8').trim().split('\n');
  const path = join(folder, 'reviews.txt');
  writeFileSync(path, rows.map((row) => String(JSON.parse(row).text)).join('\n'));
  return {
    ...{ model: 'assets/quill', data: path, task: 'lm', block_size: 32, per_device_train_batch_size: 2 },
    ...{ max_eval_samples: 16, eval_steps: 1_000_000, learning_rate: 1e-4, warmup_steps: 0, threads: 1 },
  };
}

/** Short reviews: a round takes tens of milliseconds. */
function reviewsIn(folder: string): Settings {
  const rows = readFileSync('assets/demo/train.jsonl', 'utf8').trim().split('\n');
  const short = rows.sort((a, b) => a.length - b.length).slice(0, 96);
  const write = (name: string, some: readonly string[]): string => {
    const path = join(folder, name);
    writeFileSync(path, `${some.join('\n')}\n`);
    return path;
  };
  return {
    model: 'assets/quill',
    data: write('train.jsonl', short.slice(8)),
    eval_data: write('eval.jsonl', short.slice(0, 8)),
    prompt: '{text} It was',
    labels: '0= terrible,1= great',
    eval_steps: 1_000_000,
    threads: 1,
  };
}

// ----------------------------------------------------------------------------------------------------------- lines

/** The link that a host printed. */
export const linkOf = async (host: Running): Promise<string> =>
  String((await host.waitFor(({ event }) => event === 'link'))['link']);

/** Settings with which a host that is started again is where its peers look for it. */
export function again(link: string): Settings {
  const { port, pathname } = new URL(link);
  return { port, code: pathname.split('/').at(-1)! };
}

/** A line of `event` at `round` or later. */
export const atRound =
  (event: string, round: number) =>
  (line: Line): boolean =>
    line.event === event && Number(line['round']) >= round;

/** Its last line, of a process that ended well. */
export async function resultOf(running: Running): Promise<Line> {
  const { code, done, stderr } = await running.exit();
  expect([code, stderr]).toEqual([0, '']);
  return done!;
}

/** Round → checksum of the weights after it, as a peer told it. */
export const checksumsOf = ({ lines }: Pick<Running, 'lines'>): Map<number, unknown> =>
  new Map(lines.flatMap((line) => (line.event === 'checksum' ? [[Number(line['round']), line['checksum']]] : [])));

// --------------------------------------------------------------------------------------------------------- journal

export interface Past {
  readonly bytes: Uint8Array;
  readonly ledger: Ledger;
  readonly rounds: readonly Round[];
  /** Record → its first byte. */
  readonly offsets: readonly number[];
  readonly torn: boolean;
}

/** What the journal of a folder holds. */
export const journalEntries = (out: string): Entry[] =>
  readJournal(new Uint8Array(readFileSync(join(out, JOURNAL_FILE))), nodeCrypto).records.map(({ entry }) => entry);

/** The journal of a folder as it is on disk. */
export function journalOf(out: string): Past {
  const bytes = new Uint8Array(readFileSync(join(out, JOURNAL_FILE)));
  const { records, torn } = readJournal(bytes, nodeCrypto);
  const entries = records.map(({ entry }) => entry);
  const offsets = records.map(({ offset }) => offset);
  return { bytes, ledger: ledgerOf(entries), rounds: roundsOf(entries), offsets, torn: torn !== null };
}

/** The codes of a round in the order of its records, whoever measured them. */
export const codesOf = ({ segments }: Round): number[] => segments.flatMap(({ codes }) => [...codes]);

/** The slots of a round. */
export const slotsOf = ({ segments }: Round): number[] => segments.map(({ slot }) => slot);

/** The digest at the end: the same on the host, on these peers, in the journal and rebuilt from the journal. */
export async function expectOneDigest({ out, run }: Place, host: Running, peers: readonly Running[]): Promise<string> {
  const [result, ...others] = await Promise.all([host, ...peers].map(resultOf));
  const digest = String(result!['digest']);
  const { ledger } = journalOf(out);
  expect(others.map((line) => [line['reason'], line['digest']])).toEqual(others.map(() => ['done', digest]));
  expect(toHex(ledger.digests.get(ledger.manifest.max_steps)!)).toBe(digest);
  expect(await resultOf(run('verify', out))).toMatchObject({ journal: 'valid', weights: 'equal', digest });
  return digest;
}

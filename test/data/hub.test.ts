import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseHubSplit } from '../../src/data/hub.ts';
import { resolveSplit } from '../../src/data/node/resolve.ts';
import { readRows } from '../../src/data/rows.ts';
import { COMMIT } from '../model/fake-hub.ts';
import { refusal } from './fake.ts';

const ID = 'maker/rows';
const parquet = Uint8Array.from(readFileSync('test/fixtures/parquet/snappy.parquet'));
const rows = JSON.parse(readFileSync('test/fixtures/parquet/rows.json', 'utf8')) as unknown[];
const FILES: Readonly<Record<string, Uint8Array>> = {
  'default/train/0000.parquet': parquet,
  'default/validation/0000.parquet': parquet,
  'big/train/0001.parquet': parquet,
  'big/train/0000.parquet': parquet,
  'README.md': new Uint8Array(3),
};
const API = `/api/datasets/${ID}/revision/refs%2Fconvert%2Fparquet`;

/** The Hub's answers about a data set. */
function hub(files = FILES, offline = { now: false }) {
  const served: string[] = [];
  const siblings = Object.entries(files).map(([rfilename, bytes]) => ({
    ...{ rfilename, size: bytes.length, blobId: COMMIT },
    lfs: { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length },
  }));
  const answer: typeof fetch = async (input) => {
    const { pathname } = new URL(String(input));
    served.push(pathname);
    if (offline.now) throw new TypeError('fetch failed');
    if (pathname === API) return Response.json({ id: ID, sha: COMMIT, siblings });
    const bytes = files[pathname.replace(`/datasets/${ID}/resolve/${COMMIT}/`, '')];
    return bytes
      ? new Response(Uint8Array.from(bytes))
      : new Response('no', { status: 404, headers: { 'x-error-code': 'RepoNotFound' } });
  };
  return { fetch: answer, served };
}

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'murmur-data-'));
});
afterEach(() => rm(cache, { recursive: true }));
const options = (from: { fetch: typeof fetch }) => ({ cache, fetch: from.fetch, sleep: async () => undefined });
const columns = async ({ path, name }: { path: string; name: string }) =>
  readRows({ name, bytes: await readFile(path) }).map((row) => row.columns);

describe('a split of a data set', () => {
  test('is fetched once, alone, by commit; then the cache serves it, with and without a network', async () => {
    const offline = { now: false };
    const from = hub(FILES, offline);
    const wanted = { id: ID, split: 'train' };
    const found = await resolveSplit({ ...wanted, config: 'default' }, options(from));
    expect(from.served).toEqual([API, `/datasets/${ID}/resolve/${COMMIT}/default/train/0000.parquet`]);
    expect(found.name).toBe('maker-rows-default-train.parquet');
    expect(await columns(found)).toEqual(rows);
    from.served.length = 0;
    expect(await resolveSplit({ ...wanted, config: 'default' }, options(from))).toEqual(found);
    expect(from.served).toEqual([API]);
    offline.now = true;
    expect(await resolveSplit({ ...wanted, config: 'default' }, options(from))).toEqual(found);
    await expect(resolveSplit({ ...wanted, config: 'big' }, options(from))).rejects.toThrow(/^DOWNLOAD_FAILED/);
  });

  test('in several files becomes one, in their order', async () => {
    const changed = Uint8Array.from(readFileSync('test/fixtures/parquet/gzip.parquet'));
    const from = hub({ ...FILES, 'big/train/0001.parquet': changed });
    const found = await resolveSplit({ id: ID, config: 'big', split: 'train' }, options(from));
    expect(found.name).toBe('maker-rows-big-train.jsonl');
    expect(await columns(found)).toEqual([...rows, ...rows]);
    expect(from.served.slice(1).map((path) => path.at(-9))).toEqual(['0', '1']);
  });

  test.each<[string, Parameters<typeof resolveSplit>[0], RegExp]>([
    [
      'split',
      { id: ID, split: 'test' },
      /^HUB_REFUSED: data set maker\/rows has no split "test" in config "default"; it has train, validation$/,
    ],
    ['config', { id: ID, config: 'x', split: 'train' }, /has no config "x"; it has default, big$/],
    [
      'data set',
      { id: 'maker/none', split: 'train' },
      /^HUB_REFUSED: data set maker\/none .*\(404\): .*datasets\/maker\/none/,
    ],
  ])('an unknown %s is refused by what there is', async (_, wanted, message) => {
    await expect(resolveSplit(wanted, options(hub()))).rejects.toThrow(message);
  });

  test('bytes with another hash than the Hub names are refused', async () => {
    const from = hub();
    const wrong: typeof fetch = async (input, init) =>
      String(input).endsWith('.parquet') ? new Response(parquet.map((byte) => byte ^ 1)) : from.fetch(input, init);
    await expect(
      resolveSplit({ id: ID, config: 'default', split: 'train' }, options({ fetch: wrong })),
    ).rejects.toThrow(/^DOWNLOAD_FAILED: maker\/rows: default\/train\/0000.parquet .*hash/);
  });
});

test.each([
  ['hub:a/b', { id: 'a/b', split: 'train' }],
  ['hub:a/b/c', { id: 'a/b', config: 'c', split: 'train' }],
  ['hub:a/b/wsc.fixed:test', { id: 'a/b', config: 'wsc.fixed', split: 'test' }],
  ['hub:a/b:validation_matched', { id: 'a/b', split: 'validation_matched' }],
  ['data/train.tsv', undefined],
])('%s', (text, expected) => expect(parseHubSplit(text, 'train')).toEqual(expected));

test.each(['hub:', 'hub:a', 'hub:a/b/c/d', 'hub:a/b:', 'hub:../b', 'hub:a/b/..', 'hub:a/b:x/y', 'hub:a/b/c:..'])(
  '%s is refused',
  (text) =>
    expect(refusal(() => parseHubSplit(text, 'train'))).toMatch(/^CONFIG_INVALID: .* names no data set; write hub:/),
);

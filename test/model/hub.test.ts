import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isHubId } from '../../src/model/hub.ts';
import { RETRY_MS } from '../../src/model/node/download.ts';
import { cacheFolder, type Progress, type ResolveOptions, resolveModel } from '../../src/model/node/resolve.ts';
import { openTokenizer } from '../../src/model/tokenizer.ts';
import { COMMIT, fakeHub } from './fake-hub.ts';

const ID = 'maker/tiny';
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Not a checkpoint: nothing here opens it. */
const weights = Uint8Array.from({ length: 10_000 }, (_, i) => i * 31);
const FILES = {
  'config.json': bytes('{"model_type":"llama"}'),
  'tokenizer.json': bytes('{"version":"1.0"}'),
  'tokenizer_config.json': bytes('{}'),
  'model.safetensors': weights,
  'README.md': bytes('not fetched'),
};

let cache: string;
let waits: number[];
beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'murmur-hub-'));
  waits = [];
});
afterEach(() => rm(cache, { recursive: true }));

const options = (hub: { fetch: typeof fetch }, more: Partial<ResolveOptions> = {}): ResolveOptions => ({
  cache,
  fetch: hub.fetch,
  sleep: async (ms) => void waits.push(ms),
  ...more,
});
const home = () => join(cache, 'hub', 'maker--tiny', COMMIT);

async function expectWhole(files: ReadonlyMap<string, string>, expected: Readonly<Record<string, Uint8Array>> = FILES) {
  for (const [name, path] of files) expect(Uint8Array.from(await readFile(path)), name).toEqual(expected[name]);
}

test('a fresh download: what is needed and nothing else, by commit, with progress to the last byte', async () => {
  const hub = fakeHub(ID, FILES);
  const seen: Progress[] = [];
  const model = await resolveModel(ID, options(hub, { progress: (p) => seen.push(p) }));
  expect(model.name).toBe(ID);
  expect(model.commit).toBe(COMMIT);
  expect([...model.files.keys()].sort()).toEqual(
    Object.keys(FILES)
      .filter((name) => name !== 'README.md')
      .sort(),
  );
  await expectWhole(model.files);
  expect(hub.served[0]!.url).toBe(`/api/models/${ID}/revision/main`);
  expect(hub.served.slice(1).every(({ url }) => url.startsWith(`/${ID}/resolve/${COMMIT}/`))).toBe(true);
  expect(seen.at(-1)).toEqual({ file: 'model.safetensors', bytes: seen[0]!.total, total: seen[0]!.total });
  expect(seen.every((p, i) => i === 0 || p.bytes >= seen[i - 1]!.bytes)).toBe(true);
  expect((await readdir(home())).filter((name) => name.endsWith('.part'))).toEqual([]);
  expect(waits).toEqual([]);
});

test('a second time asks only whether the revision moved; a commit asks nothing; offline serves the cache', async () => {
  const hub = fakeHub(ID, FILES);
  await resolveModel(ID, options(hub));
  await resolveModel(ID, options(hub, { revision: COMMIT }));
  hub.served.length = 0;
  await resolveModel(ID, options(hub));
  expect(hub.served.map(({ url }) => url)).toEqual([`/api/models/${ID}/revision/main`]);
  hub.served.length = 0;
  await resolveModel(ID, options(hub, { revision: COMMIT }));
  expect(hub.served).toEqual([]);
  hub.mishaps.offline = 100;
  const model = await resolveModel(ID, options(hub));
  expect(model.commit).toBe(COMMIT);
  await expectWhole(model.files);
  await expect(resolveModel(ID, options(hub, { revision: 'other' }))).rejects.toThrow(
    /DOWNLOAD_FAILED.*check the network/,
  );
});

test('a connection that is cut is resumed with a byte range, after a growing wait', async () => {
  const hub = fakeHub(ID, FILES);
  hub.mishaps.cutAfter = [9999, 9999, 9999, 4500, 0, 0, 2000]; // the first three files arrive
  const model = await resolveModel(ID, options(hub));
  await expectWhole(model.files);
  const ranges = hub.served.filter(({ url }) => url.endsWith('.safetensors')).map(({ range }) => range);
  expect(ranges).toEqual([null, 'bytes=4500-', 'bytes=4500-', 'bytes=4500-', 'bytes=6500-']);
  expect(waits).toEqual([500, 1000, 2000, 500]);
});

test('a download that a process did not live to finish is resumed by the next', async () => {
  const hub = fakeHub(ID, FILES);
  await mkdir(home(), { recursive: true });
  await writeFile(join(home(), 'model.safetensors.part'), weights.subarray(0, 7000));
  await expectWhole((await resolveModel(ID, options(hub))).files);
  expect(hub.served.at(-1)!.range).toBe('bytes=7000-');
});

test('a server that ignores byte ranges is taken from the start', async () => {
  const hub = fakeHub(ID, FILES);
  hub.mishaps.ignoreRange = true;
  await mkdir(home(), { recursive: true });
  await writeFile(join(home(), 'model.safetensors.part'), weights.subarray(0, 7000));
  await expectWhole((await resolveModel(ID, options(hub))).files);
});

test.each([
  ['damaged', weights.map((byte) => byte ^ 1).subarray(0, 7000)],
  ['damaged, and whole', weights.map((byte) => byte ^ 1)],
  ['too long', new Uint8Array(20_000)],
])('a leftover that is %s is fetched anew', async (_, leftover) => {
  const hub = fakeHub(ID, FILES);
  await mkdir(home(), { recursive: true });
  await writeFile(join(home(), 'model.safetensors.part'), leftover);
  await expectWhole((await resolveModel(ID, options(hub))).files);
});

test.each(['model.safetensors', 'config.json'])('a wrong hash of %s is refused and nothing stays', async (name) => {
  const hub = fakeHub(ID, FILES);
  hub.mishaps.corrupt = new Set([name]);
  await expect(resolveModel(ID, options(hub))).rejects.toThrow(new RegExp(`DOWNLOAD_FAILED: ${ID}: ${name} .*hash`));
  expect((await readdir(home())).filter((file) => file.startsWith(name))).toEqual([]);
  await expect(resolveModel(ID, options({ fetch: fakeHub(ID, {}).fetch }))).rejects.toThrow(/MODEL_INVALID/); // no ref was left
});

describe('refusals of the Hub name the remedy, and are not repeated', () => {
  test.each([
    [
      403,
      'GatedRepo',
      'HUB_REFUSED: model maker/tiny at main (403): it is gated: accept its licence at https://huggingface.co/maker/tiny and pass a token',
    ],
    [401, 'RepoNotFound', '(401): it does not exist, or is private or gated: check the name'],
    [401, undefined, 'pass a token'],
    [404, 'RevisionNotFound', 'check the revision'],
  ])('%i %s', async (status, code, message) => {
    const hub = fakeHub(ID, FILES);
    hub.mishaps.refuse = { status, ...(code ? { code } : {}) };
    await expect(resolveModel(ID, options(hub))).rejects.toThrow(message);
    expect(hub.served.length).toBe(1);
    expect(waits).toEqual([]);
  });

  test('a token goes with every request to the Hub and into no message', async () => {
    const hub = fakeHub(ID, FILES);
    await resolveModel(ID, options(hub, { token: 'hf_secret' }));
    expect(hub.served.every(({ authorization }) => authorization === 'Bearer hf_secret')).toBe(true);
    hub.mishaps.refuse = { status: 403, code: 'GatedRepo' };
    const error = await resolveModel(ID, options(hub, { token: 'hf_secret' })).catch(String);
    expect(error).toContain('use a token that may read it');
    expect(error).not.toContain('hf_secret');
  });
});

test('a Hub that is down is asked again, then given up', async () => {
  const hub = fakeHub(ID, FILES);
  hub.mishaps.refuse = { status: 503 };
  await expect(resolveModel(ID, options(hub))).rejects.toThrow(/DOWNLOAD_FAILED.*answered 503/);
  expect(waits).toEqual(RETRY_MS);
});

test('stopped on request: what has arrived is kept, and nothing is repeated', async () => {
  const hub = fakeHub(ID, FILES);
  const stop = new AbortController();
  const progress = ({ file, bytes: done }: Progress) => {
    if (file === 'model.safetensors' && done > 5000) stop.abort();
  };
  hub.mishaps.cutAfter = [9999, 9999, 9999, 6000];
  await expect(resolveModel(ID, options(hub, { signal: stop.signal, progress }))).rejects.toThrow(/^INTERRUPTED/);
  expect((await readFile(join(home(), 'model.safetensors.part'))).length).toBe(6000);
  expect(waits).toEqual([]);
});

test('shards that the index names are fetched, and only names in the repository count', async () => {
  const index = (shard: string) => bytes(JSON.stringify({ weight_map: { a: 'model-1-of-2.safetensors', b: shard } }));
  const { 'model.safetensors': _, ...rest } = FILES;
  const shards = { 'model-1-of-2.safetensors': weights, 'model-2-of-2.safetensors': weights.subarray(5) };
  const files = { ...rest, ...shards, 'model.safetensors.index.json': index('model-2-of-2.safetensors') };
  const { files: found } = await resolveModel(ID, options(fakeHub(ID, files)));
  expect([...found.keys()]).toEqual(expect.arrayContaining(Object.keys(shards)));
  await expectWhole(found, files);
  const lacking = { ...files, 'model.safetensors.index.json': index('model-3-of-2.safetensors') };
  await expect(resolveModel(ID, options(fakeHub(ID, lacking)))).rejects.toThrow(/MODEL_INVALID.*lacks model-3-of-2/);
  const escaping = { ...files, 'model.safetensors.index.json': index('../../x.safetensors') };
  await expect(resolveModel(ID, options(fakeHub(ID, escaping)))).rejects.toThrow(
    /MODEL_INVALID.*not the name of a shard/,
  );
});

test('vocab.json and merges.txt become a tokenizer.json', async () => {
  const { 'tokenizer.json': _, ...rest } = FILES;
  const vocab = bytes('{"</s>":0,"a":1,"b":2,"ab":3}');
  const config = bytes('{"bos_token":"</s>","add_bos_token":true}');
  const files = {
    ...rest,
    'tokenizer_config.json': config,
    'vocab.json': vocab,
    'merges.txt': bytes('#version: 0.2\na b\n'),
  };
  const { files: found } = await resolveModel(ID, options(fakeHub(ID, files)));
  const text = (name: string) => readFile(found.get(name)!, 'utf8');
  const tokenizer = openTokenizer(await text('tokenizer.json'), await text('tokenizer_config.json'), { vocabulary: 4 });
  expect(tokenizer.encode('aba', { special: true })).toEqual([0, 3, 1]);
});

describe('folders', () => {
  test('a model of this machine: absolute paths, no network', async () => {
    for (const [name, content] of Object.entries(FILES)) await writeFile(join(cache, name), content);
    const hub = fakeHub(ID, FILES);
    const model = await resolveModel(cache, options(hub));
    expect(model.commit).toBeNull();
    await expectWhole(model.files);
    expect(hub.served).toEqual([]);
  });
  test.each([
    ['config.json', /MODEL_INVALID.*has no config.json/],
    ['tokenizer.json', /MODEL_UNSUPPORTED.*has no tokenizer.json; make one/],
    ['model.safetensors', /MODEL_UNSUPPORTED.*has no model.safetensors; convert/],
  ])('without %s', async (lacking, message) => {
    for (const [name, content] of Object.entries(FILES))
      if (name !== lacking) await writeFile(join(cache, name), content);
    await expect(resolveModel(cache, options(fakeHub(ID, FILES)))).rejects.toThrow(message);
  });
  test('a file, and a name that is nothing', async () => {
    await writeFile(join(cache, 'x'), '');
    await expect(resolveModel(join(cache, 'x'), options(fakeHub(ID, {})))).rejects.toThrow(/FILE_MISSING.*is a file/);
    await expect(resolveModel('./none', options(fakeHub(ID, {})))).rejects.toThrow(/FILE_MISSING.*neither/);
  });
});

test('names of the Hub, and the place of the cache', () => {
  for (const id of ['a/b', 'HuggingFaceTB/SmolLM-135M', 'facebook/opt-1.3b', 'x_y/z-1.0_a'])
    expect(isHubId(id), id).toBe(true);
  for (const id of ['a', 'a/b/c', './a', '../a', 'a/..', '/a', 'a/', '~/a', 'a b/c', 'a/b?c'])
    expect(isHubId(id), id).toBe(false);
  expect(cacheFolder({}, '/home/u')).toBe('/home/u/.cache/murmur');
  expect(cacheFolder({ XDG_CACHE_HOME: '/c' }, '/home/u')).toBe('/c/murmur');
});

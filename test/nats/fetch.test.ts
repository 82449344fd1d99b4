import { afterEach, describe, expect, test } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { answerAsks, type Sources } from '../../src/peer/nats/ask.ts';
import { natsFetcher } from '../../src/peer/nats/fetcher.ts';
import { OBJECT_BYTES, openFiles } from '../../src/peer/nats/files.ts';
import type { Nats } from '../../src/peer/nats/nats.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { encodeSnapshotOffer } from '../../src/wire/snapshot-offer.ts';
import { HAS_SERVER, runsOnOneServer } from './servers.ts';

const numbers = (length: number, step: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * step) >> 3);
const sourceOf = (bytes: Uint8Array) => ({
  size: bytes.length,
  read: async (from: number, length: number) => bytes.subarray(from, from + length),
});
const hashOf = (bytes: Uint8Array): string => toHex(nodeCrypto.sha256(bytes));

describe.skipIf(!HAS_SERVER)('what a peer fetches over NATS', () => {
  const newRun = runsOnOneServer();

  const file = numbers(OBJECT_BYTES + 1000, 37);
  const weights = numbers(1_500_000, 11);
  const leaves = [{ hash: numbers(32, 3), bytes: 100 }];
  const standing = numbers(1_200_000, 7);
  const offer = encodeSnapshotOffer({ round: 40, leaves, sums: [], mirrors: [], standing });
  let journal = numbers(1_300_000, 5);
  let stops: (() => void)[] = [];
  afterEach(() => {
    for (const stop of stops) stop();
    stops = [];
  });

  async function run({ code = 'code', leads = () => true }: { code?: string; leads?: () => boolean } = {}) {
    const nats = await newRun();
    const sources: Sources = {
      journal: async () => journal,
      files: [],
      blob: async (hash) => (hash === hashOf(file) ? sourceOf(file) : undefined),
      snapshot: () => offer,
      chunk: async (name) => (name === hashOf(weights) ? weights : undefined),
      opens: (given) => given === 'code',
    };
    stops.push(answerAsks(nats, { me: 'me', crypto: nodeCrypto, sources, leads }));
    return { nats, fetcher: natsFetcher(nats, code, () => 'me') };
  }
  const same = (a: Uint8Array, b: Uint8Array): void => expect(Buffer.compare(a, b)).toBe(0);

  test('the journal, from any byte, in as many messages as it takes; it may grow meanwhile', async () => {
    const { fetcher } = await run();
    same(await fetcher.journal(0), journal);
    same(await fetcher.journal(700_001), journal.subarray(700_001));
    expect(await fetcher.journal(journal.length)).toHaveLength(0);
    const before = journal;
    journal = Uint8Array.from([...journal, 1, 2, 3]);
    same(await fetcher.journal(before.length), Uint8Array.of(1, 2, 3));
    journal = before;
  });

  test('a coordinator that is behind is none to believe and none to blame', async () => {
    const { fetcher } = await run();
    await expect(fetcher.journal(journal.length + 1)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  test('the offer of a snapshot, longer than a message, and its chunks', async () => {
    const { fetcher } = await run();
    const found = await fetcher.snapshot();
    expect(found!.round).toBe(40);
    expect(found!.leaves).toEqual(leaves);
    same(found!.standing!, standing);
    same(await found!.sources[0].chunk(hashOf(weights)), weights);
    await expect(found!.sources[0].chunk('00'.repeat(32))).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
  });

  test('files from the coordinator where the object store has none, and from the object store where it has', async () => {
    const { nats, fetcher } = await run();
    same(await fetcher.blob(hashOf(file), 900_000, 700_000), file.subarray(900_000, 1_600_000));
    await expect(fetcher.blob('00'.repeat(32), 0, 1)).rejects.toMatchObject({ code: 'DOWNLOAD_FAILED' });
    const files = await openFiles(nats, true);
    const put = { sha256: hashOf(file), bytes: file.length };
    let read = 0;
    await files.put(put, async (at, length) => {
      read += length;
      return file.subarray(at, at + length);
    });
    await files.put(put, () => Promise.reject(new RangeError('all of it is there')));
    expect(read).toBe(file.length);
    for (const stop of stops) stop(); // nobody answers any more
    const other = natsFetcher(nats, 'code', () => 'me');
    same(await other.blob(hashOf(file), 0, file.length), file);
    same(await other.blob(hashOf(file), OBJECT_BYTES - 10, 500), file.subarray(OBJECT_BYTES - 10, OBJECT_BYTES + 490));
  });

  test('nothing without the join code, nothing from who does not lead', async () => {
    const { fetcher } = await run({ code: 'guess' });
    await expect(fetcher.journal(0)).rejects.toMatchObject({ code: 'CODE_WRONG' });
    const { nats } = await run({ leads: () => false });
    const asked = natsFetcher(
      { ...nats, connection: Object.create(nats.connection, { request: { value: short(nats) } }) },
      'code',
      () => 'me',
    );
    await expect(asked.journal(0)).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
  });

  /** Requests that do not wait ten seconds for an answer that does not come. */
  const short =
    ({ connection }: Nats) =>
    (subject: string, data: string) =>
      connection.request(subject, data, { timeout: 300 });
});

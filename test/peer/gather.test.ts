/** Chunks of a snapshot from several sources, any of which may lie, die, hang or be slow; and from a store that is damaged. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { equalBytes, toHex } from '../../src/numeric/bytes.ts';
import { LEAF_ELEMENTS, leavesOf, merkleRoot, rootOf } from '../../src/numeric/merkle.ts';
import { CHUNK_LEAVES, type Chunk, chunksOf, isChunk, rootOfLeaves } from '../../src/peer/chunks.ts';
import type { ChunkSource } from '../../src/peer/fetcher.ts';
import { gather } from '../../src/peer/gather.ts';
import { fakeCrypto } from './fake.ts';

const { sha256 } = fakeCrypto;

/** A snapshot of small leaves: what they are of is nothing to those who fetch them. */
function snapshotOf(count: number): { readonly chunks: Chunk[]; readonly bytes: ReadonlyMap<string, Uint8Array> } {
  const tensors = Array.from({ length: count }, (_, i) => Int32Array.from({ length: 1 + (i % 3) }, () => i + 1));
  const leaves = tensors.flatMap((q) => leavesOf(q, sha256));
  const chunks = chunksOf(leaves, sha256);
  const all = new Uint8Array(Buffer.concat(tensors.map((q) => new Uint8Array(q.buffer))));
  return { chunks, bytes: new Map(chunks.map(({ name, at, bytes }) => [name, all.slice(at, at + bytes)])) };
}

const KINDS = ['good', 'lying', 'empty', 'refusing', 'dying', 'hanging'] as const;
type Kind = (typeof KINDS)[number];

interface Asked extends ChunkSource {
  readonly asked: string[];
}

function sourceOf(kind: Kind, name: string, bytes: ReadonlyMap<string, Uint8Array>): Asked {
  const asked: string[] = [];
  const answers: Record<Kind, (chunk: Uint8Array) => Promise<Uint8Array>> = {
    good: async (chunk) => chunk,
    lying: async (chunk) => chunk.map((byte) => byte ^ 1),
    empty: async () => new Uint8Array(0),
    refusing: () => Promise.reject(new Fault('DOWNLOAD_FAILED', `${name} refuses`)),
    dying: async (chunk) => {
      if (asked.length > 3) throw new Fault('HOST_UNREACHABLE', `${name} is gone`);
      return chunk;
    },
    hanging: () => new Promise(() => undefined),
  };
  return {
    name,
    asked,
    chunk(chunk) {
      asked.push(chunk);
      return answers[kind](bytes.get(chunk)!);
    },
  };
}

function storeOf(entries: Iterable<readonly [string, Uint8Array]> = []) {
  const held = new Map(entries);
  return {
    held,
    get: async (name: string) => held.get(name),
    has: (name: string) => held.has(name),
    put: async (name: string, bytes: Uint8Array) => void held.set(name, bytes),
  };
}

describe('chunks', () => {
  test('their names lead to the root of the leaves, however many there are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), (count) => {
        const { chunks, bytes } = snapshotOf(count);
        const leaves = chunks.flatMap((chunk) => chunk.leaves);
        const root = rootOfLeaves(leaves, sha256);
        const names = chunks.map(({ name }) => new Uint8Array(Buffer.from(name, 'hex')));
        expect(toHex(rootOf(names, sha256))).toBe(toHex(root));
        expect(chunks.length).toBe(Math.ceil(count / CHUNK_LEAVES));
        for (const chunk of chunks) {
          const own = bytes.get(chunk.name)!;
          expect(isChunk(chunk, own, sha256)).toBe(true);
          expect(isChunk(chunk, own.subarray(1), sha256)).toBe(false);
          expect(isChunk(chunk, new Uint8Array([...own, 0]), sha256)).toBe(false);
        }
      }),
    );
  });

  test('are cut by the leaves of a tensor, and their root is that of the weights', () => {
    const q = Int32Array.from({ length: 5 * LEAF_ELEMENTS + 3 }, (_, i) => i);
    const chunks = chunksOf(leavesOf(q, sha256), sha256);
    expect(chunks.map(({ at, bytes }) => [at, bytes])).toEqual([
      [0, 2 ** 20],
      [2 ** 20, 2 ** 18 + 12],
    ]);
    const leaves = chunks.flatMap((chunk) => chunk.leaves);
    expect(rootOfLeaves(leaves, sha256)).toEqual(merkleRoot([q], sha256));
  });
});

describe('gathering', () => {
  test('brings every chunk as long as one source is good, whatever the others do and the store holds', async () => {
    const others = fc.array(fc.constantFrom(...KINDS), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(others, fc.integer({ min: 1, max: 60 }), fc.nat(), async (kinds, count, seed) => {
        const { chunks, bytes } = snapshotOf(count);
        const all = [...kinds];
        all.splice(seed % (kinds.length + 1), 0, 'good');
        const sources = all.map((kind, i) => sourceOf(kind, `${i} ${kind}`, bytes));
        const damaged = chunks
          .filter((_, i) => (seed >> (i % 30)) & 1)
          .map(({ name }) => [name, Uint8Array.of(1)] as const);
        const store = storeOf(damaged);
        const came = new Map<string, number>();
        const progress = (source = 'here', length: number): void =>
          void came.set(source, (came.get(source) ?? 0) + length);
        await gather({ wanted: chunks, sources, store, crypto: fakeCrypto, progress });
        for (const { name } of chunks) expect(equalBytes(store.held.get(name)!, bytes.get(name)!)).toBe(true);
        // Each counts once, and nothing of a liar does.
        const total = [...came.values()].reduce((a, b) => a + b, 0);
        expect(total).toBe(chunks.reduce((sum, chunk) => sum + chunk.bytes, 0));
        for (const [i, kind] of all.entries())
          if (['lying', 'empty', 'refusing', 'hanging'].includes(kind)) expect(came.has(`${i} ${kind}`)).toBe(false);
      }),
    );
  });

  test('asks a source that lied or failed no more than it was asked at once', async () => {
    const { chunks, bytes } = snapshotOf(100);
    const [liar, good] = [sourceOf('lying', 'liar', bytes), sourceOf('good', 'good', bytes)];
    await gather({ wanted: chunks, sources: [liar, good], store: storeOf(), crypto: fakeCrypto });
    expect(liar.asked.length).toBeLessThanOrEqual(2);
  });

  test('spreads over sources that are alike', async () => {
    const { chunks, bytes } = snapshotOf(120);
    const sources = ['a', 'b', 'c'].map((name) => sourceOf('good', name, bytes));
    await gather({ wanted: chunks, sources, store: storeOf(), crypto: fakeCrypto });
    for (const { asked } of sources) expect(asked.length).toBeGreaterThanOrEqual(5);
  });

  test('goes on where a download was cut: what came is not fetched again, and what is damaged is', async () => {
    const { chunks, bytes } = snapshotOf(40);
    const store = storeOf();
    const dying = sourceOf('dying', 'host', bytes);
    await expect(gather({ wanted: chunks, sources: [dying], store, crypto: fakeCrypto })).rejects.toMatchObject({
      code: 'HOST_UNREACHABLE',
    });
    const here = [...store.held.keys()];
    expect(here.length).toBeGreaterThan(0);
    expect(here.length).toBeLessThan(chunks.length);
    store.held.set(
      here[0]!,
      store.held.get(here[0]!)!.map((byte) => byte ^ 128),
    );
    const good = sourceOf('good', 'host', bytes);
    await gather({ wanted: chunks, sources: [good], store, crypto: fakeCrypto });
    const missing = chunks.map(({ name }) => name).filter((name) => !here.includes(name) || name === here[0]);
    expect(new Set(good.asked)).toEqual(new Set(missing));
  });

  test('says what the last source said when none is left', async () => {
    const { chunks, bytes } = snapshotOf(10);
    const sources = [sourceOf('lying', 'liar', bytes), sourceOf('lying', 'another', bytes)];
    await expect(gather({ wanted: chunks, sources, store: storeOf(), crypto: fakeCrypto })).rejects.toMatchObject({
      code: 'BLOB_MISMATCH',
    });
  });
});

/**
 * Chunks of a snapshot, gathered from the host and from other peers at once. Each is checked when it comes and kept where
 * it outlives this process, so a download that was cut goes on. A source that errs or sends something else is asked no
 * more; one that is slow is not waited for, as whoever is done asks for what others still owe.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Hex } from '../nouns.ts';
import type { ChunkStore, Crypto } from '../ports.ts';
import { type Chunk, isChunk } from './chunks.ts';
import type { ChunkSource } from './fetcher.ts';

/** Requests that one source answers at a time: its line is then never idle. */
const AT_ONCE = 2;

export interface Gathering {
  /** Chunks that are to be here in the end. */
  readonly wanted: readonly Chunk[];
  readonly sources: readonly ChunkSource[];
  /** What is in it may be torn or damaged: it is looked at first. */
  readonly store: Pick<ChunkStore, 'get' | 'has' | 'put'>;
  readonly crypto: Pick<Crypto, 'sha256'>;
  /** Hears of every chunk: where it was, and how many of all are here. Here it was: `undefined`. */
  readonly progress?: (source: string | undefined, bytes: number) => void;
}

/** @throws {Fault} of the last source that was left, when there is none any more */
export async function gather({ wanted, sources, store, crypto, progress }: Gathering): Promise<void> {
  const missing = new Map<Hex, Chunk>();
  for (const chunk of wanted) {
    const here = store.has(chunk.name) ? await store.get(chunk.name) : undefined;
    if (here !== undefined && isChunk(chunk, here, crypto.sha256)) progress?.(undefined, chunk.bytes);
    else missing.set(chunk.name, chunk);
  }
  /** How many ask for it. */
  const asked = new Map<Hex, number>([...missing.keys()].map((name) => [name, 0]));
  const dropped = new Set<ChunkSource>();
  let last: unknown;

  /** One that the fewest ask for; nothing that this source is asked for already. */
  function next(own: ReadonlySet<Hex>): Chunk | undefined {
    let best: Chunk | undefined;
    for (const chunk of missing.values()) {
      if (own.has(chunk.name)) continue;
      if (best === undefined || asked.get(chunk.name)! < asked.get(best.name)!) best = chunk;
      if (asked.get(best.name) === 0) break;
    }
    return best;
  }

  async function fetchOne(source: ChunkSource, chunk: Chunk): Promise<void> {
    const bytes = await source.chunk(chunk.name);
    if (!missing.has(chunk.name)) return; // another was quicker
    if (!isChunk(chunk, bytes, crypto.sha256))
      throw new Fault('BLOB_MISMATCH', `${source.name} sent something else for a chunk of the snapshot`);
    await store.put(chunk.name, bytes);
    if (missing.delete(chunk.name)) progress?.(source.name, bytes.length);
  }

  return new Promise<void>((resolve, reject) => {
    const own = new Map(sources.map((source) => [source, new Set<Hex>()]));
    const pump = (): void => {
      if (missing.size === 0) resolve();
      else if (dropped.size === sources.length) reject(last);
      for (const source of sources)
        while (!dropped.has(source) && own.get(source)!.size < AT_ONCE) {
          const chunk = next(own.get(source)!);
          if (chunk === undefined) break;
          ask(source, chunk);
        }
    };
    const ask = (source: ChunkSource, chunk: Chunk): void => {
      const count = (by: number): void => void asked.set(chunk.name, asked.get(chunk.name)! + by);
      count(1);
      own.get(source)!.add(chunk.name);
      fetchOne(source, chunk)
        .catch((error) => {
          dropped.add(source);
          last = error;
        })
        .finally(() => {
          count(-1);
          own.get(source)!.delete(chunk.name);
          pump();
        });
    };
    pump();
  });
}

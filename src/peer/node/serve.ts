/**
 * A host on this machine: the folder of a run, a replica in a worker thread, the journal on disk, WebSocket and HTTP on
 * one port.
 *
 * @module
 */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../journal/journal.ts';
import { fileSource } from '../../model/node/files.ts';
import type { Entry, Hex, Manifest } from '../../nouns.ts';
import { promisesOf } from '../../optimizer/algebra.ts';
import { recentOf } from '../../optimizer/steps.ts';
import { offeredIn } from '../exchange-host.ts';
import { type Host, type HostOptions, startHost } from '../host.ts';
import { type Ledger, ledgerOf, roundsOf } from '../ledger.ts';
import { joinLink } from '../link.ts';
import type { Leadership } from '../nats/coordinator.ts';
import { readKept } from '../pending.ts';
import type { Replica } from '../replica.ts';
import { liveStatus, type RunStatus } from '../status.ts';
import { listenBoth } from '../transport-both.ts';
import type { Paths } from './blobs.ts';
import { restoreLatest, saveCheckpoint } from './checkpoints.ts';
import { chunkFolder } from './chunk-folder.ts';
import { nodeCompressor } from './compressor.ts';
import { nodeCrypto } from './crypto.ts';
import { openFeed } from './feed.ts';
import { httpRoutes } from './http.ts';
import { dialable, viewLink } from './link.ts';
import { readMemory, writeMemory } from './memory-file.ts';
import { openPage } from './page.ts';
import { threadedReplica } from './replica-thread.ts';
import { JOURNAL_FILE, MEMORY_FILE, MERGES_FOLDER, OFFERS_FOLDER, PENDING_FILE } from './run-folder.ts';
import { openFileStore } from './store.ts';
import { systemClock, systemEntropy } from './system.ts';
import { trainedWeights } from './trained.ts';
import { webSocketTransport } from './transport-websocket.ts';

export interface ServeOptions
  extends Pick<HostOptions, 'minPeers' | 'evalSteps' | 'saveSteps' | 'guarded' | 'secret' | 'joinCode' | 'onEvent'> {
  /** `output_dir`. */
  readonly folder: string;
  /** In a run that exchanges vectors: whether peers make the merges. Default: not. */
  readonly shardOptimizer?: boolean;
  /** The run to begin, or the one that the folder's journal must hold. Its byte scale is taken from the journal. */
  readonly manifest: Manifest;
  readonly paths: Paths;
  readonly host: string;
  readonly port: number;
  readonly threads: number;
  readonly offloadFolder?: string | undefined;
  readonly maxEvalSamples?: number | undefined;
  readonly tokenCache?: string | undefined;
  /** Where the journal is, if not only in the folder, and how peers come besides the port. */
  readonly shared?: Leadership;
}

export interface Served {
  readonly host: Host;
  /** The link for this machine, then those for others, where it listens for them. */
  readonly links: readonly [string, ...string[]];
  /** For those who may look and no more, as `links`. */
  readonly viewLinks: readonly [string, ...string[]];
  /** Rounds that the journal held when it was opened. */
  readonly resumed: number;
  /** What the journal says now. */
  journal(): { readonly records: readonly Entry[]; readonly ledger: Ledger };
  /** Bytes of the journal. */
  journalBytes(): number;
  /** Releases the folder and the replica. Call it when the host has finished. */
  close(): Promise<void>;
}

/** @throws {Fault} JOURNAL_*, OUTPUT_EXISTS, FILE_MISSING, CONFIG_INVALID and whatever opening the replica refuses */
export async function serve(options: ServeOptions): Promise<Served> {
  const { folder, joinCode, secret, threads, offloadFolder, paths, maxEvalSamples, tokenCache, shared } = options;
  const closers: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (let next = closers.pop(); next !== undefined; next = closers.pop()) await next();
  };
  try {
    const store = shared?.journal ?? (await openFileStore(join(folder, JOURNAL_FILE)));
    const journal = await openJournal(store, nodeCrypto, secret);
    closers.push(() => journal.close());
    const pending = shared?.pending ?? (await openFileStore(join(folder, PENDING_FILE)));
    closers.push(() => pending.close());
    if (journal.records.length === 0) await journal.append({ type: 'manifest', manifest: options.manifest });
    const entries = (): Entry[] => journal.records.map(({ entry }) => entry);
    const { manifest, round, digests } = ledgerOf(entries());

    const replica = await threadedReplica({ manifest, paths, threads, offloadFolder, maxEvalSamples, tokenCache });
    closers.push(() => replica.close());
    const keeps = promisesOf(manifest).snapshots.holds;
    const rounds = roundsOf(entries());
    const recent = (at: number) => recentOf(manifest, rounds, at);
    let snapshot = keeps ? await restoreLatest(replica, folder, digests, recent) : undefined;

    const run = journal.position.run!;
    const memory = join(folder, MEMORY_FILE);
    const { train, eval: held } = manifest.data;
    const named = [...manifest.base.files, train, ...(held ? [held] : [])];
    const blobs = new Map(named.flatMap(({ sha256 }) => (paths[sha256] ? [[sha256, paths[sha256]] as const] : [])));
    const weights = await trainedWeights(manifest, paths);
    let host: Host | undefined;
    let links: Served['links'] | undefined;
    const status = (joiner: boolean): RunStatus => ({
      kind: 'live',
      may: joiner ? ['join'] : [],
      journal_bytes: journal.position.length,
      weights,
      ...(joiner && links ? { links } : {}),
      ...(host
        ? liveStatus(host.view(), host.traffic(), systemClock.now())
        : { phase: 'waiting', round, peers: [], bytes: { payload: 0, wire: 0 } }),
    });
    const feed = openFeed({
      ...{ records: journal.records, clock: systemClock, status },
      wire: () => host?.traffic().wire ?? 0,
    });
    closers.push(async () => feed.close());
    const request = httpRoutes({
      ...{ joinCode, journal, blobs, snapshot: () => snapshot?.offer, crypto: nodeCrypto },
      ...{ page: await openPage(), status, feed },
    });
    const listener = webSocketTransport({ host: options.host, port: options.port, request });
    const offered = async () => snapshot && { ...snapshot.offer, source: await snapshot.open() };
    const fileOf = async (hash: Hex) => (blobs.has(hash) ? fileSource(blobs.get(hash)!) : undefined);
    const sources = { journal: () => journal.read(), blob: fileOf, snapshot: offered, files: named };
    host = await startHost({
      ...options,
      onEvent(event) {
        feed.hear(event);
        options.onEvent?.(event);
      },
      journal,
      pending,
      replica,
      transport: shared ? listenBoth(listener, shared.transport(sources)) : listener,
      crypto: nodeCrypto,
      clock: systemClock,
      entropy: systemEntropy,
      ...(manifest.exchange && {
        exchange: {
          offers: await chunkFolder(join(folder, OFFERS_FOLDER), offeredIn(readKept(await pending.read()))),
          merges: await chunkFolder(join(folder, MERGES_FOLDER)),
          compressor: nodeCompressor,
          sharded: options.shardOptimizer ?? false,
          memory: await readMemory(memory, run),
        },
      }),
      ...(keeps && {
        async save(at: number, root: Uint8Array, write: Replica['snapshot']) {
          snapshot = await saveCheckpoint(folder, at, root, write);
          if (replica.exchange) await writeMemory(memory, run, await replica.exchange.memory());
        },
      }),
    });
    const [here, ...elsewhere] = dialable(host.address, networkInterfaces());
    links = [joinLink(here!, joinCode), ...elsewhere.map((address) => joinLink(address, joinCode))];
    const [viewHere, ...viewElsewhere] = links.map((link) => viewLink(link, nodeCrypto));
    return {
      host,
      links,
      viewLinks: [viewHere!, ...viewElsewhere],
      resumed: round,
      journal: () => ({ records: entries(), ledger: ledgerOf(entries()) }),
      journalBytes: () => journal.position.length,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

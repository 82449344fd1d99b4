/**
 * A host on this machine: the folder of a run, a replica in a worker thread, the journal on disk, WebSocket and HTTP on
 * one port.
 *
 * @module
 */
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../journal/journal.ts';
import type { Member } from '../../journal/rules.ts';
import { fileSource } from '../../model/node/files.ts';
import type { Entry, Hex, Manifest } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import { promisesOf } from '../../optimizer/algebra.ts';
import { recentOf } from '../../optimizer/steps.ts';
import { MAX_CONTRIBUTION_FRAME_BYTES, MAX_PEER_FRAME_BYTES } from '../../wire/limits.ts';
import type { Policy } from '../admission.ts';
import { auditRules } from '../audit.ts';
import { calmly } from '../calm.ts';
import { refusalOf } from '../events.ts';
import { offeredIn } from '../exchange-host.ts';
import { type Host, type HostOptions, startHost } from '../host.ts';
import type { SavedSnapshot } from '../host-snapshots.ts';
import { type Ledger, ledgerOf, roundsOf } from '../ledger.ts';
import { joinLink } from '../link.ts';
import { openMirrors } from '../mirrors.ts';
import type { Leadership } from '../nats/coordinator.ts';
import { newsOf } from '../news.ts';
import { readKept } from '../pending.ts';
import type { Replica } from '../replica.ts';
import { standingOf } from '../standing.ts';
import { liveStatus, type RunStatus } from '../status.ts';
import { listenBoth } from '../transport-both.ts';
import { type Order, wishOf } from '../wishes.ts';
import type { Paths } from './blobs.ts';
import { type Checkpoint, restoreLatest, roundsIn, saveCheckpoint } from './checkpoints.ts';
import { chunkFolder } from './chunk-folder.ts';
import { nodeCompressor } from './compressor.ts';
import { controlLink, controlled, writeControl } from './control.ts';
import { nodeCrypto } from './crypto.ts';
import { openFeed } from './feed.ts';
import { httpRoutes } from './http.ts';
import { openAdmission } from './invites.ts';
import { dialable, viewLink } from './link.ts';
import { readMemory, writeMemory } from './memory-file.ts';
import { openMetrics } from './metrics.ts';
import { openPage } from './page.ts';
import { threadedReplica } from './replica-thread.ts';
import { type Asked, chooseCheckpoint, requireRestored } from './resume.ts';
import { JOURNAL_FILE, MEMORY_FILE, MERGES_FOLDER, OFFERS_FOLDER, PENDING_FILE } from './run-folder.ts';
import { snapshotRoutes, snapshotShelf } from './snapshot-shelf.ts';
import { openFileStore } from './store.ts';
import { randomCode, systemClock, systemEntropy } from './system.ts';
import type { Certified } from './tls.ts';
import { trainedWeights } from './trained.ts';
import { webSocketTransport } from './transport-websocket.ts';

export interface ServeOptions
  extends Pick<HostOptions, 'minPeers' | 'evalSteps' | 'saveSteps' | 'guarded' | 'secret' | 'joinCode' | 'onEvent'> {
  /** Part of the records that three peers measure. Default: none. */
  readonly auditFraction?: number;
  /** `output_dir`. */
  readonly folder: string;
  /** In a run that exchanges vectors: whether peers make the merges. Default: not. */
  readonly shardOptimizer?: boolean;
  /** The run to begin, or the one that the folder's journal must hold. Its byte scale is taken from the journal. */
  readonly manifest: Manifest;
  readonly paths: Paths;
  readonly host: string;
  readonly port: number;
  /** Listens with TLS. */
  readonly tls?: Certified | undefined;
  /** Who may join, besides knowing a code. Default: whoever knows one. */
  readonly policy?: Policy;
  /** `allow-list`: public keys, or a file of them. */
  readonly allow?: string | undefined;
  /** Public keys of peers that are started here: they may join in any case. */
  readonly own?: readonly Hex[];
  readonly threads: number;
  readonly offloadFolder?: string | undefined;
  readonly maxEvalSamples?: number | undefined;
  readonly tokenCache?: string | undefined;
  /** Go on from this checkpoint, or refuse. Without it, from whatever saves most time. */
  readonly resume?: Asked | undefined;
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
    const { manifest, round, digests, evaluated } = ledgerOf(entries());

    const replica = await threadedReplica({ manifest, paths, threads, offloadFolder, maxEvalSamples, tokenCache });
    closers.push(() => replica.close());
    const keeps = promisesOf(manifest).snapshots.holds;
    const rounds = roundsOf(entries());
    const recent = (at: number) => recentOf(manifest, rounds, at);
    const chosen = options.resume && chooseCheckpoint(folder, await roundsIn(folder), digests, options.resume);
    const restored = keeps ? await restoreLatest(replica, folder, digests, recent) : undefined;

    requireRestored(folder, chosen, restored?.round);

    const run = journal.position.run!;
    const shelf = snapshotShelf();
    if (restored) shelf.put(restored, standingOf(journal.records, restored.round, nodeCrypto));
    const members = (): Iterable<Member> => journal.position.state?.members.values() ?? [];
    const mirrors = openMirrors(run, nodeCrypto, members);
    /** Written, and not in the journal yet. */
    const written = new Map<number, readonly [Checkpoint, Uint8Array | undefined]>();
    const memory = join(folder, MEMORY_FILE);
    const { train, eval: held } = manifest.data;
    const named = [...manifest.base.files, train, ...(held ? [held] : [])];
    const blobs = new Map(named.flatMap(({ sha256 }) => (paths[sha256] ? [[sha256, paths[sha256]] as const] : [])));
    const weights = await trainedWeights(manifest, paths);
    const news = newsOf(entries(), manifest.max_steps, evaluated, systemClock.now);
    let host: Host | undefined;
    let addresses: readonly string[] | undefined;
    const status = (code: string | undefined): RunStatus => ({
      kind: 'live',
      may: code === undefined ? [] : ['join'],
      journal_bytes: journal.position.length,
      weights,
      ...news.facts(),
      // Whoever came by an invite may pass that on, and no other.
      ...(code !== undefined && addresses ? { links: addresses.map((address) => joinLink(address, code)) } : {}),
      ...(host
        ? liveStatus(host.view(), host.traffic(), systemClock.now(), news.reasons)
        : { phase: 'waiting', round, peers: [], bytes: { payload: 0, wire: 0 } }),
    });
    const feed = openFeed({
      ...{ records: journal.records, clock: systemClock, status },
      wire: () => host?.traffic().wire ?? 0,
    });
    closers.push(async () => feed.close());
    const metrics = openMetrics(manifest, toHex(run), () => status(undefined));
    const calm = calmly((event) => {
      news.hear(event);
      metrics.hear(event);
      feed.hear(event);
      options.onEvent?.(event);
    }, systemClock);
    closers.push(async () => calm.close());
    const { policy = 'invite', allow, own } = options;
    const admission = openAdmission({ folder, policy, joinCode, allow, ...(own && { own }) });
    const offers = snapshotRoutes(shelf, mirrors);
    const routes = httpRoutes({
      ...{ joinCode, admission, journal, blobs, snapshots: offers, crypto: nodeCrypto },
      ...{ page: await openPage(), status, feed, metrics },
      refused: (fault) => calm.hear(refusalOf(fault, undefined)),
    });
    const code = randomCode();
    const control = {
      ...{ code, crypto: nodeCrypto },
      takeBack: async (order: Order) => host!.takeBack(wishOf(ledgerOf(entries()), order)),
    };
    const listener = webSocketTransport({
      ...{ host: options.host, port: options.port, request: controlled(control, routes), tls: options.tls },
      maxFrame: manifest.exchange ? MAX_PEER_FRAME_BYTES : MAX_CONTRIBUTION_FRAME_BYTES,
    });
    const fileOf = async (hash: Hex) => (blobs.has(hash) ? fileSource(blobs.get(hash)!) : undefined);
    const sources = {
      ...{ journal: () => journal.read(), files: named, blob: fileOf, chunk: shelf.chunk },
      snapshot: () => offers.latest(''),
      opens: (given: string) => admission.opens(given) === 'join',
    };
    host = await startHost({
      ...options,
      onEvent(event) {
        const kept = event.event === 'digest' ? written.get(event.round) : undefined;
        if (kept) {
          shelf.put(...kept);
          written.delete(kept[0].round);
        }
        if (event.event === 'rewound') shelf.drop(event.round);
        if (event.event === 'revoked') shelf.drop(event.from);
        calm.hear(event);
      },
      admission,
      journal,
      pending,
      replica,
      transport: shared ? listenBoth(listener, shared.transport(sources)) : listener,
      crypto: nodeCrypto,
      clock: systemClock,
      entropy: systemEntropy,
      ...(options.auditFraction ? { audit: auditRules(options.auditFraction, systemEntropy) } : {}),
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
        snapshotBytes: 4 * weights,
        async save(saved: SavedSnapshot, write: Replica['snapshot']) {
          written.set(saved.round, [await saveCheckpoint(folder, saved, write), saved.standing]);
          if (replica.exchange) await writeMemory(memory, run, await replica.exchange.memory());
        },
      }),
    });
    addresses = dialable(host.address, networkInterfaces(), options.tls?.names);
    const [here, ...elsewhere] = addresses.map((address) => joinLink(address, joinCode));
    closers.push(await writeControl(folder, { link: controlLink(addresses[0]!, code), addresses }));
    const [viewHere, ...viewElsewhere] = [here!, ...elsewhere].map((link) => viewLink(link, nodeCrypto));
    return {
      host,
      links: [here!, ...elsewhere],
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

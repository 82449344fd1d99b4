/**
 * `murmur join`: this machine as a peer of a run.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { budgetOf } from '../estimator/privacy.ts';
import { Fault } from '../faults.ts';
import type { BlobRef, Manifest } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { Fetcher } from '../peer/fetcher.ts';
import { httpFetcher } from '../peer/http-fetcher.ts';
import { isNats, parseJoinLink } from '../peer/link.ts';
import { locate, type Paths } from '../peer/node/blobs.ts';
import { chunkFolder } from '../peer/node/chunk-folder.ts';
import { nodeCompressor } from '../peer/node/compressor.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { downloadBlob } from '../peer/node/fetcher.ts';
import { freeIdentity, secretOf } from '../peer/node/identity.ts';
import { readMemory, writeMemory } from '../peer/node/memory-file.ts';
import { type Mirror, openMirror, parseShare } from '../peer/node/mirror.ts';
import { openPool } from '../peer/node/pool-replica.ts';
import { threadedReplica } from '../peer/node/replica-thread.ts';
import { rewardPath } from '../peer/node/reward.ts';
import { parsePaths } from '../peer/node/run-folder.ts';
import { systemClock, systemEntropy } from '../peer/node/system.ts';
import { fetchTrusting, trusting } from '../peer/node/tls.ts';
import { webSocketTransport } from '../peer/node/transport-websocket.ts';
import { type ParticipantOptions, startParticipant } from '../peer/participant.ts';
import type { OpenChunks } from '../peer/restoring.ts';
import { type Argv, flagsOf } from './args.ts';
import { OFFLOAD } from './keys.ts';
import type { Output } from './output.ts';
import { cacheOf, tokenCacheOf } from './prepare.ts';
import { onInterrupt } from './signals.ts';
import type { Io } from './verb.ts';

export const usage: string = `join <link> [flags]

Takes part in a run: fetches what is missing here, follows its journal, and measures what it is assigned, one byte at a
time. Comes back by itself after a disturbance; Ctrl+C leaves, and the same key is the same peer when it returns.
  murmur join http://192.168.1.20:7777/join/kq3…
  murmur join http://192.168.1.20:7777/join/kq3… --model my-model --threads 2
  murmur join nats://192.168.1.20:4222,192.168.1.21:4222/0f3a…/kq3…`;

const own = z.strictObject({
  name: z.string().min(1).max(64).optional().describe('What others see this machine as. Default: its host name.'),
  key: z.string().min(1).optional().describe('File of the key that this peer is known by. Default: one of this user.'),
  model: z.string().min(1).optional().describe('Folder with the base, to save its download.'),
  reward: z.string().min(1).optional().describe('Your copy of the reward of the run, if it has one. It will be run.'),
  files: z
    .string()
    .min(1)
    .optional()
    .describe('JSON of files on this machine, hash to path, as in output_dir/files.json.'),
  threads: z.int().min(1).max(1024).optional().describe('Threads to compute with. Default: all cores.'),
  workers: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe('Replicas that the threads are shared out to; each holds the weights. Default: what is fastest.'),
  offload_folder: z.string().min(1).optional().describe(OFFLOAD),
  share: z
    .string()
    .min(1)
    .optional()
    .describe('Port, or host:port, to give snapshots to others who join from. Default: the host alone gives them.'),
  tls_ca: z
    .string()
    .min(1)
    .optional()
    .describe('Certificate of the host, or of who issued it, in PEM: for one that this system does not trust.'),
  nats_creds: z
    .string()
    .min(1)
    .optional()
    .describe('Credentials file of the NATS user of this peer, for nats:// links.'),
  patience: z.number().min(0).default(600).describe('Seconds that a host may stay away before this peer gives up.'),
});
export const flags: z.ZodObject = own;

/** The host compares checksums with its own so often: cheap, and drift is found within a few rounds. */
const CHECKSUM_STEPS = 1;

export async function run(argv: Argv, { output, env }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const [link, ...more] = argv.words;
  if (link === undefined || more.length > 0)
    throw new Fault('CONFIG_INVALID', 'join: takes the one link that the host printed');
  const cores = given.threads ?? availableParallelism();
  let { workers } = given;
  if (workers !== undefined && workers > cores)
    throw new Fault('CONFIG_INVALID', `--workers: is more than there are threads, ${cores}; lower it`);
  const cache = cacheOf(env);
  const { transport, address, files, fetcher, joinCode, close } = await wayTo(link, given);
  if (given.share !== undefined && files === undefined)
    throw new Fault('CONFIG_INVALID', '--share: is for runs at one host; leave it out with a nats:// link');
  const { secret, release } = given.key
    ? { secret: await secretOf(given.key), release: async () => undefined }
    : await freeIdentity(join(cache, 'keys'));
  // A peer is its key: what it remembers of a run is under both.
  const me = toHex(nodeCrypto.publicKey(secret)).slice(0, 16);
  const memoryPath = (run: Uint8Array): string => join(cache, 'memory', `${toHex(run).slice(0, 16)}-${me}`);
  const known = given.files === undefined ? {} : await readPaths(given.files);
  let runId: Uint8Array | undefined;
  let mirror: Mirror | undefined;
  /** What the run promises of its examples. */
  let promised: ReturnType<typeof promiseOf> = {};
  try {
    if (given.share !== undefined && files !== undefined)
      mirror = await openMirror({
        ...parseShare(given.share),
        ...{ folder: join(cache, 'shared', me), joinCode, files, secret },
        onEvent: (event) => output.event({ ...event }),
      });
    const participant = startParticipant({
      transport,
      address,
      fetcher,
      joinCode,
      crypto: nodeCrypto,
      compressor: nodeCompressor,
      secret,
      name: given.name ?? hostname(),
      clock: systemClock,
      entropy: systemEntropy,
      checksumSteps: CHECKSUM_STEPS,
      memory: {
        read: (run) => readMemory(memoryPath(run), run),
        write: (run, memory) => writeMemory(memoryPath(run), run, memory),
      },
      patienceMs: given.patience * 1000,
      snapshots: {
        chunks: (wanted) => syncedChunks(join(cache, 'snapshots', me), wanted),
        onSnapshot: (round, replica) => mirror?.keep(round, replica),
        onDigest: (round, root) => mirror?.signed(runId!, round, root),
      },
      makeReplica: async (manifest, id) => {
        runId = id;
        promised = promiseOf(manifest);
        output.note(whatAByteTells(manifest));
        const reward = await rewardPath(manifest, given.reward, known);
        const fetched = await obtain(manifest, fetcher, join(cache, 'blobs'), { known, model: given.model }, output);
        const paths = { ...fetched, ...reward };
        const tokenCache = tokenCacheOf(env);
        const spec = { manifest, paths, tokenCache, offloadFolder: given.offload_folder, maxEvalSamples: 1 };
        // A step is of all threads: only measurements can be shared out.
        if (manifest.exchange) return threadedReplica({ ...spec, threads: cores });
        return openPool(spec, {
          ...{ cores, workers, clock: systemClock },
          onArranged(arrangement) {
            workers ??= arrangement.workers; // a replica that is opened again needs no second trial
            output.event({ event: 'threads', ...arrangement });
          },
        });
      },
      onEvent: (event) => output.event({ ...event }),
    });
    const released = onInterrupt({ first: () => participant.stop(), second: () => process.exit(130) }, output);
    // A host that started this process holds a channel to it: when that closes, the host is gone or wants us gone.
    if (process.connected) process.once('disconnect', () => participant.stop());
    const { reason, slot, round, records, root, traffic } = await participant.finished.finally(released);
    return {
      ...{ reason, slot, rounds: round, records },
      ...promised,
      'bytes/payload': traffic.payload,
      'bytes/wire': traffic.wire,
      ...(mirror && { 'bytes/shared': mirror.sent() }),
      ...(root === undefined ? {} : { digest: root }),
    };
  } finally {
    await mirror?.close();
    await release();
    await close();
  }
}

/** What was put there outlives a cut download, and a crash. */
async function syncedChunks(folder: string, wanted: ReadonlySet<string>): ReturnType<OpenChunks> {
  const { get, has, put, sync } = await chunkFolder(folder, wanted);
  return { get, has, put: (name, bytes) => put(name, bytes).then(sync) };
}

const promiseOf = ({ privacy }: Manifest): Readonly<Record<string, number>> => {
  if (privacy === undefined) return {};
  const { epsilon, delta } = budgetOf(privacy);
  return { 'privacy/epsilon': epsilon, 'privacy/delta': delta };
};

/** As docs/THREATS.md has it, before anything is sent. */
function whatAByteTells({ privacy, exchange }: Manifest): string {
  if (exchange) return 'what a peer sends lets the host find its texts again: join only with data that it may see';
  if (privacy === undefined)
    return 'two or three bytes tell whether a text that somebody already has is among the data; the journal keeps them';
  const { epsilon, delta } = budgetOf(privacy);
  return `bytes carry noise: of any one example they tell no more than epsilon ${epsilon.toFixed(2)} at delta ${delta}`;
}

/** How a run is reached: at its host, or through the servers that its coordinators share. */
interface Way extends Pick<ParticipantOptions, 'transport' | 'address' | 'fetcher' | 'joinCode'> {
  /** Of a host: `JoinLink.files`. */
  readonly files?: string;
  close(): Promise<void>;
}

/** @throws {Fault} CONFIG_INVALID, STORE_UNREACHABLE */
async function wayTo(link: string, { nats_creds, tls_ca }: z.infer<typeof own>): Promise<Way> {
  if (isNats(link)) return (await import('../peer/node/nats-way.ts')).natsWay(link, nats_creds);
  const { address, files, joinCode } = parseJoinLink(link);
  const trust = tls_ca === undefined ? undefined : await trusting(tls_ca);
  return {
    transport: webSocketTransport({ trust }),
    ...{ address, files, joinCode },
    fetcher: trust ? httpFetcher(files, fetchTrusting(trust)) : httpFetcher(files),
    close: async () => undefined,
  };
}

async function readPaths(name: string): Promise<Paths> {
  const paths = parsePaths(await readFile(name, 'utf8').catch(() => ''));
  if (paths === undefined) throw new Fault('FILE_MISSING', `${name} is no list of files; name the files.json of a run`);
  return paths;
}

/** Files of the run, from where they are on this machine, else from the host into the cache. */
async function obtain(
  manifest: Manifest,
  fetcher: Fetcher,
  cache: string,
  { known, model }: { readonly known: Paths; readonly model: string | undefined },
  output: Output,
): Promise<Paths> {
  const { train, eval: held } = manifest.data;
  const wanted = [...manifest.base.files, train, ...(held ? [held] : [])];
  const cached = ({ sha256 }: BlobRef): string => resolve(join(cache, sha256));
  const here = await locate(wanted, (blob) => [
    ...(known[blob.sha256] ? [known[blob.sha256]!] : []),
    ...(model ? [join(model, blob.path)] : []),
    cached(blob),
  ]);
  const missing = wanted.filter(({ sha256 }) => here[sha256] === undefined);
  for (const blob of missing) {
    const task = `fetching ${blob.path}`;
    await downloadBlob(fetcher, blob, cached(blob), (done) =>
      output.progress({ task, done, total: blob.bytes, unit: 'B' }),
    );
  }
  return { ...here, ...Object.fromEntries(missing.map((blob) => [blob.sha256, cached(blob)])) };
}

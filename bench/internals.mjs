/**
 * All that benches take from behind the public door, in one place: a change of the internals is followed here.
 *
 * @module
 */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { settingsOf } from '../dist/cli/alone.js';
import { loadConfig } from '../dist/cli/config.js';
import { draftManifest } from '../dist/cli/prepare.js';
import { nodeEngine } from '../dist/engine/node.js';
import { openJournal } from '../dist/journal/journal.js';
import { encodeSlope } from '../dist/numeric/byte.js';
import { fromHex, toHex } from '../dist/numeric/bytes.js';
import { initialScale } from '../dist/numeric/scale.js';
import { wasmBytes, wasmKernels } from '../dist/numeric/wasm/wasm.js';
import { headerOf } from '../dist/optimizer/header.js';
import { Follower } from '../dist/peer/follower.js';
import { httpFetcher } from '../dist/peer/http-fetcher.js';
import { extend, roundsOf } from '../dist/peer/ledger.js';
import { openMirrors } from '../dist/peer/mirrors.js';
import { saveCheckpoint } from '../dist/peer/node/checkpoints.js';
import { nodeCrypto } from '../dist/peer/node/crypto.js';
import { httpRoutes } from '../dist/peer/node/http.js';
import { openReplica } from '../dist/peer/node/open-replica.js';
import { openPool } from '../dist/peer/node/pool-replica.js';
import { threadedReplica } from '../dist/peer/node/replica-thread.js';
import { JOURNAL_FILE, openRun, rememberPaths } from '../dist/peer/node/run-folder.js';
import { snapshotRoutes, snapshotShelf } from '../dist/peer/node/snapshot-shelf.js';
import { openFileStore } from '../dist/peer/node/store.js';
import { systemClock } from '../dist/peer/node/system.js';
import { openTrainer } from '../dist/peer/node/trainer.js';
import { CHUNK } from '../dist/peer/participant.js';
import { encodeStanding, standingAfter, standingAt } from '../dist/peer/standing.js';
import { elements, modelNamed, weightGenerator } from './models.mjs';

const SECRET = Uint8Array.from({ length: 32 }, (_, i) => i);
const silent = { progress: () => undefined };

/** The manifest of a run with these flags of `murmur train`, and the files it names. */
const draft = (flags) =>
  draftManifest(loadConfig(undefined, flags, {}).config, toHex(nodeCrypto.publicKey(SECRET)), silent, {});

/**
 * The kernels' `apply` on every tensor of a shape, as a round of one peer does it.
 * @returns a call for a kind of direction and the keys and coefficients of a round; `weights`: how many there are.
 */
export async function applyKernels(shape) {
  const { tensors } = modelNamed(shape);
  const kernels = await wasmKernels({ bytes: wasmBytes(tensors.map((tensor) => elements(tensor.shape))) });
  const arrays = tensors.map((tensor) => ({ tensor, q: kernels.i32(elements(tensor.shape)) }));
  return {
    weights: tensors.reduce((sum, tensor) => sum + elements(tensor.shape), 0),
    tensors: tensors.length,
    /** @param records how many. @param coefficient largest in size. */
    apply(kind, records, coefficient) {
      const next = weightGenerator(records);
      const terms = Array.from({ length: records }, (_, sample) => ({
        key: { round: 0, run: 1, sample, slot: 0 },
        c: Math.floor(next() * (coefficient / 0.035)),
      }));
      for (const { tensor, q } of arrays) kernels.apply(q, tensor, kind, 1, terms);
    },
  };
}

/**
 * A replica of a model folder, as a peer opens it, as the only peer of a run: in this thread, or with `workers` in so
 * many threads, which share the others out.
 * @param flags of `murmur train`. @param options `threads`, `maxEvalSamples`, `offloadFolder`, `workers`.
 */
export async function loneReplica(flags, { workers, ...options }) {
  const { manifest, paths } = await draft({ learning_rate: 1e-6, ...flags });
  const { threads, ...spec } = options;
  const replica = workers
    ? await openPool(
        { manifest, paths, ...spec },
        { cores: threads, workers, clock: systemClock, onArranged: () => undefined },
      )
    : await openReplica({ manifest, paths, ...options }, nodeEngine({ threads }));
  const headerAt = (scale, usable) => headerOf(manifest, { scale }, replica.round(), usable);
  const commit = (scale, codes) =>
    replica.apply([{ header: headerAt(scale, codes.length), segments: [{ slot: 0, from: 0, codes }] }]);
  let calibrated;
  const measure = async () => {
    calibrated ??= initialScale(await replica.slopes(2));
    return replica.measure(headerAt(calibrated, 0), 0, manifest.records_per_round);
  };
  return {
    records: manifest.records_per_round,
    evaluate: () => replica.evaluate(),
    measure,
    async step() {
      const codes = await measure();
      await commit(calibrated, codes);
    },
    /** Codes of slopes that a large model has. */
    apply: (records) =>
      commit(
        initialScale([100]),
        Int8Array.from({ length: records }, (_, i) => (i % 2 ? -30 : 30)),
      ),
    close: () => replica.close(),
  };
}

/**
 * Steps of a replica in a worker, as `murmur join` has it.
 * @returns seconds of the last one, measuring and applying; `records`: of one peer.
 */
export async function workerSteps(flags, threads, steps) {
  const { manifest, paths } = await draft({ learning_rate: 1e-6, ...flags });
  const replica = await threadedReplica({ manifest, paths, threads });
  const scale = initialScale([100]);
  const header = (usable) => headerOf(manifest, { scale }, replica.round(), usable);
  let seconds = 0;
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    const codes = [];
    while (codes.length < manifest.records_per_round) {
      const count = Math.min(CHUNK, manifest.records_per_round - codes.length);
      codes.push(...(await replica.measure(header(0), codes.length, count)));
    }
    await replica.apply([
      { header: header(codes.length), segments: [{ slot: 0, from: 0, codes: Int8Array.from(codes) }] },
    ]);
    seconds = (performance.now() - began) / 1000;
  }
  return { seconds, close: () => replica.close() };
}

/** Steps of a training along a gradient, as `murmur train` has it. @returns as `workerSteps` */
export async function trainerSteps(flags, threads, steps) {
  const { config } = loadConfig(undefined, flags, {});
  const { manifest, paths, rates } = await draft(flags);
  const settings = settingsOf(config, rates.zo_learning_rate);
  const trainer = await openTrainer({ manifest, paths, settings, threads }, nodeEngine({ threads }));
  let seconds = 0;
  for (let i = 0; i < steps; i++) {
    const began = performance.now();
    await trainer.step();
    seconds = (performance.now() - began) / 1000;
  }
  return { seconds, close: () => trainer.close() };
}

/** Slopes of unit size, bell-shaped. */
function* slopes(seed) {
  for (const next = weightGenerator(seed); ; ) yield (next() + next() + next()) * 29;
}

/** Records signed and written at a time. */
const ENTRIES = 256;

/**
 * The folder of a run that one peer made, with random codes: a journal as a host writes it, without a digest.
 * @param flags of `murmur train`; `max_steps` rounds are written. @returns bytes of the journal.
 */
export async function writeRun(folder, flags) {
  const { manifest: drafted, paths } = await draft(flags);
  const manifest = { ...drafted, initial_scale: initialScale([1]) };
  await rememberPaths(folder, paths);
  const journal = await openJournal(await openFileStore(join(folder, JOURNAL_FILE)), nodeCrypto, SECRET);
  const next = slopes(1);
  let ledger;
  let entries = [];
  const add = async (entry) => {
    ledger = extend(ledger, entry);
    entries.push(entry);
    if (entries.length < ENTRIES) return;
    await journal.appendAll(entries);
    entries = [];
  };
  await add({ type: 'manifest', manifest });
  await add({ type: 'admit', slot: 0, key: nodeCrypto.publicKey(SECRET), name: 'bench' });
  const { records_per_round, max_steps, clip } = manifest;
  for (let round = 0; round < max_steps; round++) {
    const { scale } = ledger.scale;
    const codes = Int8Array.from({ length: records_per_round }, () => encodeSlope(next.next().value, scale, clip));
    const header = headerOf(manifest, ledger.scale, round, codes.length);
    await add({ type: 'round', round: { header, segments: [{ slot: 0, from: 0, codes }] } });
  }
  await journal.appendAll(entries);
  const bytes = journal.position.length;
  await journal.close();
  return bytes;
}

/** Ends the journal of `writeRun` with the digest of its last round. @param root hexadecimal. */
export async function writeDigest(folder, round, root) {
  const journal = await openJournal(await openFileStore(join(folder, JOURNAL_FILE)), nodeCrypto, SECRET);
  await journal.append({ type: 'digest', round, root: fromHex(root) });
  await journal.close();
}

/**
 * Serves a folder that `writeRun` wrote, with a snapshot after `round` rounds, over HTTP.
 * @returns `join`: joins as a peer does, with the snapshot or without; `close`.
 */
export async function offerRun(folder, round, threads) {
  const { manifest, records, paths } = await openRun(folder);
  const open = () => threadedReplica({ manifest, paths, threads, maxEvalSamples: 1 });
  const rounds = roundsOf(records.map(({ entry }) => entry));
  const host = await open();
  await host.apply(rounds.slice(0, round));
  const leaves = await host.leaves();
  const checkpoint = await saveCheckpoint(folder, { round, leaves }, host.snapshot);
  const root = await host.root();
  await host.apply(rounds.slice(round));
  const end = toHex(await host.root());
  await host.close();
  const journal = await openJournal(await openFileStore(join(folder, JOURNAL_FILE)), nodeCrypto, SECRET);
  const { run } = journal.position;
  const standing = encodeStanding(standingAfter(standingAt(records[0], nodeCrypto), records.slice(1), round));
  await journal.append({ type: 'standing', round, hash: nodeCrypto.sha256(standing) });
  await journal.append({ type: 'digest', round, root });
  const shelf = snapshotShelf();
  shelf.put(checkpoint, standing);
  const snapshots = snapshotRoutes(
    shelf,
    openMirrors(run, nodeCrypto, () => []),
  );
  const server = createServer(
    httpRoutes({ joinCode: 'bench', journal, blobs: new Map(), snapshots, crypto: nodeCrypto }),
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const files = `http://127.0.0.1:${server.address().port}/bench`;

  async function joinOnce(withSnapshot) {
    let bytes = 0;
    const counted = async (...args) => {
      const response = await fetch(...args);
      bytes += Number(response.headers.get('content-length'));
      return response;
    };
    const http = httpFetcher(files, counted);
    const fetcher = withSnapshot ? http : { ...http, snapshot: async () => undefined };
    const replica = await open();
    let applied = 0;
    const counting = {
      ...replica,
      round: replica.round,
      apply(some) {
        applied += some.length;
        return replica.apply(some);
      },
    };
    const follower = new Follower(nodeCrypto, run, async () => counting);
    const began = performance.now();
    await follower.fetch(fetcher);
    while (!(await follower.advance(fetcher)));
    await replica.checksum();
    const seconds = (performance.now() - began) / 1000;
    const found = toHex(await replica.root());
    await replica.close();
    if (found !== end) throw new Error(`joined to ${found}, the run is at ${end}`);
    return { seconds, bytes, applied };
  }
  return {
    join: joinOnce,
    async close() {
      server.close();
      server.closeAllConnections();
      await journal.close();
    },
  };
}

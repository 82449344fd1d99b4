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
import { sampleIndices } from '../dist/data/order.js';
import { nodeEngine } from '../dist/engine/node.js';
import { openJournal } from '../dist/journal/journal.js';
import { encodeManifest } from '../dist/journal/manifest.js';
import { encodeSlope } from '../dist/numeric/byte.js';
import { fromHex, toHex } from '../dist/numeric/bytes.js';
import { poolOf } from '../dist/numeric/names.js';
import { initialScale } from '../dist/numeric/scale.js';
import { wasmBytes, wasmKernels } from '../dist/numeric/wasm/wasm.js';
import { headerOf } from '../dist/optimizer/header.js';
import { begin, step } from '../dist/peer/coordinator.js';
import { Follower } from '../dist/peer/follower.js';
import { httpFetcher } from '../dist/peer/http-fetcher.js';
import { extend, roundsOf } from '../dist/peer/ledger.js';
import { memoryStore } from '../dist/peer/memory-store.js';
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
import { receiptMessage } from '../dist/wire/signed.js';
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
 * A run under the hand of a study: the host's sequencer with peers that answer at once, and one replica whose weights are
 * those of all of them. What a peer sends is made from what is right by `send`.
 *
 * @param flags of `murmur train`. @param rules what the host decides besides.
 * @param {(at: { slot: number, from: number, count: number, right: Int8Array, samples: readonly number[], round: number, clip: number }) => Int8Array} send
 * @returns loss and accuracy at the end, and who was evicted after how many rounds.
 */
export async function sequencedRun(flags, rules, clip, send) {
  const { manifest: drafted, paths } = await draft(flags);
  const { scale, clip: whole } = { scale: await calibratedScale(drafted, paths), clip: clip ?? drafted.clip };
  const manifest = { ...drafted, initial_scale: scale, clip: whole };
  const replica = await openReplica({ manifest, paths, threads: 1 }, nodeEngine({ threads: 1 }));
  const run = runOf(manifest);
  const peers = Number(flags.peers);
  const evicted = new Map();
  let state;
  let committed = [];
  const take = ({ state: next, effects }) => {
    state = next;
    for (const effect of effects) {
      if (effect.type === 'apply') committed.push(effect.round);
      if (effect.type === 'append' && effect.entry.type === 'evict') evicted.set(effect.entry.slot, state.ledger.round);
    }
  };
  const tell = (event) => take(step(state, event, now));
  let now = 0;
  const slots = Array.from({ length: peers }, (_, slot) => slot);
  const connect = (slot) =>
    tell({ type: 'proved', channel: slot, key: new Uint8Array(32).fill(slot + 1), name: `peer ${slot}` });
  const ready = (slot) => tell({ type: 'ready', channel: slot, round: state.ledger.round, checksum: 'same' });
  const applied = () => tell({ type: 'applied', round: state.ledger.round, checksum: 'same' });
  take(begin([{ type: 'manifest', manifest }], [], { minPeers: peers, evalSteps: 1e9, ...rules }, now));
  applied();
  slots.forEach(connect);
  slots.forEach(ready);
  const size = 2000; // rows of assets/demo/train.jsonl
  for (let round = 0; round < manifest.max_steps; round++) {
    const { scale } = state.ledger.scale;
    const right = await replica.measure({ round, scale, clip: whole }, 0, manifest.records_per_round);
    const samples = Array.from(right, (_, i) => sampleIndices(manifest, run, size, round, i)[0]);
    now += 1;
    for (const { slot, from, count } of [...state.attempt.shares.values()]) {
      const codes = send({ slot, from, count, right, samples, round, clip: whole });
      tell({ type: 'contribution', channel: slot, round, from, codes, signature: new Uint8Array(64) });
    }
    if (state.ledger.round === round) {
      // somebody sent nothing that counts: the deadline decides
      now += 1e6;
      tell({ type: 'tick' });
    }
    await replica.apply(committed);
    committed = [];
    applied();
    const back = slots.filter((slot) => state.members.get(slot).status === 'gone');
    back.forEach(connect);
    slots.filter((slot) => ['joining', 'late'].includes(state.members.get(slot).status)).forEach(ready);
  }
  const metrics = await replica.evaluate();
  await replica.close();
  return { loss: metrics['eval/loss'], accuracy: metrics['eval/accuracy'], evicted };
}

/**
 * A host that gives a receipt for what a peer sent, and commits the round without it.
 * @returns the code of what that peer's follower says of it, undefined if it follows.
 */
export async function discarding(flags) {
  const { manifest } = await draft(flags);
  const journal = await openJournal(memoryStore(), nodeCrypto, SECRET);
  await journal.append({ type: 'manifest', manifest });
  for (const slot of [0, 1])
    await journal.append({ type: 'admit', slot, key: new Uint8Array(32).fill(slot), name: '' });
  const follower = new Follower(nodeCrypto, journal.position.run, () => Promise.reject(new RangeError('no weights')));
  await follower.fetch({
    journal: async (from) => (await journal.read()).slice(from),
    snapshot: async () => undefined,
  });
  const codes = Int8Array.of(30, -20);
  const signed = receiptMessage(follower.run, 0, follower.anchor, 0, 0, codes);
  follower.takeReceipt({ round: 0, slot: 0, from: 0, codes }, nodeCrypto.sign(SECRET, signed));
  const header = headerOf(manifest, { scale: manifest.initial_scale, window: [] }, 0, 1);
  const segments = [{ slot: 1, from: 2, codes: Int8Array.of(9) }];
  const { offset, bytes } = await journal.append({ type: 'round', round: { header, segments } });
  try {
    follower.take(offset, bytes);
    return undefined;
  } catch (error) {
    return error.code;
  }
}

const runOf = (manifest) => new DataView(nodeCrypto.sha256(encodeManifest(manifest)).buffer).getUint32(0, true);

async function calibratedScale(manifest, paths) {
  const replica = await openReplica({ manifest, paths, threads: 1, maxEvalSamples: 1 }, nodeEngine({ threads: 1 }));
  const scale = initialScale(await replica.slopes(16));
  await replica.close();
  return scale;
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
  const sums = poolOf(manifest.directions) && (await host.sums(async () => rounds.slice(0, round)));
  const checkpoint = await saveCheckpoint(folder, { round, leaves, ...(sums && { sums }) }, host.snapshot);
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

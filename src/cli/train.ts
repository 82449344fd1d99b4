/**
 * `murmur train`: a run, hosted here.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { availableParallelism, hostname } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../faults.ts';
import { toHex } from '../numeric/bytes.ts';
import { Table } from '../numeric/table.ts';
import { OPEN_CODE } from '../peer/admission.ts';
import type { HostEvent, Outcome } from '../peer/events.ts';
import type { Ledger } from '../peer/ledger.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { newSecret, readSecret, secretOf, writeSecret } from '../peer/node/identity.ts';
import { endLocalPeers, type LocalPeer, startLocalPeer } from '../peer/node/local-peers.ts';
import { beginIn, FILES_FILE, KEY_FILE, keepAdapter, rememberPaths, storedManifest } from '../peer/node/run-folder.ts';
import { type Served, serve } from '../peer/node/serve.ts';
import { randomCode } from '../peer/node/system.ts';
import { isAlone } from './alone.ts';
import type { Argv } from './args.ts';
import { loadConfig, type RunConfig } from './config.ts';
import { writeCurve } from './curve.ts';
import { runFile } from './keys.ts';
import { calibrated, checkSameRun, draftManifest, tokenCacheOf } from './prepare.ts';
import { hostReport, result } from './report.ts';
import { requireRun } from './resume.ts';
import { recording, scribe } from './scribe.ts';
import { onInterrupt } from './signals.ts';
import { tlsOf } from './tls.ts';
import { runAlone } from './train-alone.ts';
import type { Io } from './verb.ts';

export const usage: string = `train [run.yaml] [flags]

Fine-tunes a model with one byte per gradient, and hosts the run: peers on this machine (--peers) and any that join with
the link it prints. A run that was interrupted goes on when the same command is given again; where there is none, one
begins, unless --resume_from_checkpoint asks for it.
  murmur train run.yaml
  murmur train --model my-model --data reviews.jsonl --prompt "{text} It was" --labels "0= terrible,1= great" --peers 2
  murmur train run.yaml --host 0.0.0.0 --port 7777 --output_dir out
With --method backprop or hybrid it trains alone along the gradient, and leaves the model in output_dir/model.`;

export const flags: typeof runFile = runFile;

/** Threads of each peer. One process for each local peer and one for the host: they share the cores. */
export const threadsOf = ({ threads, peers, workers }: RunConfig): number =>
  threads ?? Math.max(workers ?? 1, Math.floor(availableParallelism() / Math.max(1, peers)));

/** @throws {Fault} FILE_MISSING, CONFIG_INVALID */
export async function configOf(verb: string, { words, flags: given }: Argv, env: Io['env']): Promise<RunConfig> {
  const [name, ...more] = words;
  if (more.length > 0) throw new Fault('CONFIG_INVALID', `${verb}: takes one run file, got ${words.length} words`);
  if (name === undefined) return loadConfig(undefined, given, env).config;
  const text = await readFile(name, 'utf8').catch((cause) => {
    throw new Fault('FILE_MISSING', `${name} cannot be read; check the path of the run file`, { cause });
  });
  return loadConfig({ name, text }, given, env).config;
}

/** Links that work elsewhere, or where there are none, the one that works here. */
const forOthers = ([here, ...elsewhere]: readonly [string, ...string[]]): readonly string[] =>
  elsewhere.length > 0 ? elsewhere : [here];

/** What somebody should know who lets everybody in. */
const OPEN =
  'This run is open: whoever finds its address may join, and one person may come with any number of keys (Sybil). ' +
  'Nothing bounds what these do together.';

const keyOf = (folder: string, n: number): string => join(folder, 'peers', `peer-${n}.key`);

/** Public keys of the peers that are started here. */
const ownKeys = (folder: string, peers: number): Promise<string[]> =>
  Promise.all(
    Array.from({ length: peers }, async (_, i) => toHex(nodeCrypto.publicKey(await secretOf(keyOf(folder, i + 1))))),
  );

/** Of the run itself, where coordinators share none. */
const codeOf = ({ admission, code }: RunConfig): string => (admission === 'open' ? OPEN_CODE : (code ?? randomCode()));

export async function run(argv: Argv, io: Io): Promise<Readonly<Record<string, unknown>>> {
  const { output, env } = io;
  const config = await configOf('train', argv, env);
  const { output_dir: folder, peers, offload_folder: offloadFolder, resume } = config;
  const began = performance.now();
  const threads = threadsOf(config);
  if (isAlone(config)) return runAlone(config, threads, io);

  const tls = await tlsOf(config);
  const stored = await storedManifest(folder);
  if (resume) await requireRun(resume, stored);
  const key = join(folder, KEY_FILE);
  const known = await readSecret(key);
  if (!known && stored)
    throw new Fault(
      'FILE_MISSING',
      `${key} is missing, and nobody else can go on with the run; name another output_dir`,
    );
  const secret = known ?? newSecret();
  const { manifest: draft, paths: found } = await draftManifest(
    config,
    toHex(nodeCrypto.publicKey(secret)),
    output,
    env,
  );
  const place =
    config.store === undefined
      ? undefined
      : await (await import('./place.ts')).openPlace(config, draft, secret, output);
  const begun = await storedManifest(folder);
  if (begun) checkSameRun(folder, begun, draft);
  const manifest =
    begun ?? (await calibrated({ manifest: draft, paths: found }, { threads: availableParallelism(), offloadFolder }));

  // Up to here nothing was written: whatever is wrong with the settings, the model or the data has shown by now.
  const written = scribe({ folder, manifest, reportTo: config.report_to, now: () => new Date() });
  const report = hostReport(manifest, config.logging_steps, recording(output, written));
  let drawn: Promise<void> = Promise.resolve();
  let evaluated: Ledger['evaluated'] = Table.of();
  const hear = (event: HostEvent): void => {
    report.hear(event);
    // What was found out about weights that are no more is no part of the curve.
    if (event.event === 'rewound') evaluated = Table.of([...evaluated].filter(([round]) => round <= event.round));
    if (event.event !== 'evaluation') return;
    evaluated = evaluated.set(event.round, event.metrics);
    const now = { manifest, evaluated };
    drawn = drawn.then(() => writeCurve(folder, now));
    drawn.catch(() => undefined); // awaited at the end
  };
  const local: LocalPeer[] = [];
  let paths = found;
  /** Where coordinators share a run: undefined when it came to its end under another. */
  async function open(): Promise<Served | undefined> {
    const shared = await place?.lead(() => startPeers(place.link));
    if (place && !shared) return undefined;
    return serve({
      folder,
      manifest,
      paths,
      secret,
      joinCode: place?.joinCode ?? codeOf(config),
      policy: config.admission,
      allow: config.allow,
      own: config.admission === 'allow-list' ? await ownKeys(folder, peers) : [],
      host: config.host,
      port: config.port,
      tls,
      threads,
      offloadFolder,
      minPeers: config.min_peers,
      evalSteps: config.eval_steps,
      ...(config.save_steps === undefined ? {} : { saveSteps: config.save_steps }),
      guarded: config.guard,
      auditFraction: config.audit,
      shardOptimizer: config.shard_optimizer,
      maxEvalSamples: config.max_eval_samples,
      tokenCache: tokenCacheOf(env),
      resume,
      onEvent: hear,
      ...(shared && { shared }),
    }).catch((error) => {
      if (shared && error instanceof Fault && error.code === 'LEASE_LOST') return open();
      throw error;
    });
  }
  let served = await beginIn(folder, async () => {
    if (!known) await writeSecret(key, secret);
    paths = await keepAdapter(folder, manifest, found);
    await rememberPaths(folder, paths);
    return open();
  });
  try {
    let outcome = served && (await host(served));
    while (served && !outcome) {
      await served.close();
      served = await open();
      outcome = served && (await host(served));
    }
    await endLocalPeers(local, { done: outcome === undefined || outcome.reason === 'done' });
    await drawn;
    if (outcome && outcome.reason !== 'done')
      throw new Fault(
        'INTERRUPTED',
        `stopped after round ${outcome.round} of ${manifest.max_steps}, all of it saved; repeat the command to go on`,
      );
    const seconds = (performance.now() - began) / 1000;
    return served ? result(served, manifest, seconds) : place!.result(seconds);
  } finally {
    await endLocalPeers(local, { done: false });
    await served?.close();
    await place?.close();
  }

  /** @returns undefined when another coordinator leads now. */
  async function host(served: Served): Promise<Outcome | undefined> {
    report.follow(served);
    evaluated = served.journal().ledger.evaluated; // what an earlier host evaluated is in it too
    written.begin(served.resumed, evaluated);
    if (served.resumed > 0) output.note(`going on after round ${served.resumed}`);
    if (config.admission === 'open') output.note(OPEN);
    if (!place) for (const link of forOthers(served.links)) output.event({ event: 'link', link });
    for (const link of forOthers(served.viewLinks)) output.event({ event: 'view', link });
    startPeers(place?.link ?? served.links[0]);
    const released = onInterrupt({ first: () => served.host.stop(), second: () => served.host.abort() }, output);
    return (place ? place.whileLeading(served.host) : served.host.finished).finally(released);
  }

  function startPeers(link: string): void {
    for (let n = local.length + 1; n <= peers; n++) local.push(startPeer(`${config.name ?? hostname()}-${n}`, n, link));
  }

  function startPeer(name: string, n: number, link: string): LocalPeer {
    const peer = startLocalPeer(name, {
      link,
      folder,
      key: keyOf(folder, n),
      threads,
      workers: config.workers,
      offloadFolder,
      tlsCa: config.tls_cert,
      files: join(folder, FILES_FILE),
      onExit: ({ name: who }, code, signal) => report.peerExited(who, code, signal, join(folder, 'peers')),
    });
    output.event({ event: 'started', name, pid: peer.process.pid });
    return peer;
  }
}

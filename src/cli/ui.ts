/**
 * `murmur ui`: the page of a run that lies in a folder, finished, interrupted or still going on elsewhere.
 *
 * @module
 */
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../faults.ts';
import { joinLink } from '../peer/link.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { openFeed } from '../peer/node/feed.ts';
import { httpRoutes } from '../peer/node/http.ts';
import { dialable, viewLink } from '../peer/node/link.ts';
import { openPage } from '../peer/node/page.ts';
import { JOURNAL_FILE, openRun, type RunFolder, replay, requireBase } from '../peer/node/run-folder.ts';
import { randomCode, systemClock } from '../peer/node/system.ts';
import { trainedWeights } from '../peer/node/trained.ts';
import { webSocketTransport } from '../peer/node/transport-websocket.ts';
import { openTrial } from '../peer/node/trial.ts';
import type { RunStatus } from '../peer/status.ts';
import { type Argv, flagsOf } from './args.ts';
import { oneRun, pastFlags, rebuild } from './past.ts';
import { TLS_CERT, TLS_KEY, tlsOf } from './tls.ts';
import type { Io } from './verb.ts';

export const usage: string = `ui <output_dir> [flags]

Serves the page of a run until Ctrl+C: its curves, peers, journal and settings, and both models to try on texts of your
own. The run may be over, interrupted, or going on in another process: the page follows its journal.
  murmur ui out
  murmur ui out --port 7778`;

const own = z.strictObject({
  ...pastFlags,
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on. Default: this machine only.'),
  port: z.int().min(0).max(65535).default(0).describe('Port to listen on; 0 takes a free one.'),
  tls_cert: z.string().min(1).optional().describe(TLS_CERT),
  tls_key: z.string().min(1).optional().describe(TLS_KEY),
});
export const flags: z.ZodObject = own;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  const given = flagsOf(own, argv);
  const name = oneRun('ui', argv);
  const tls = await tlsOf(given);
  const past = await openRun(name, given);
  const page = await openPage();
  if (page === undefined)
    throw new Fault('FILE_MISSING', 'dist/web is not there: the page was not built; run "npm run build"');
  const { manifest, ledger } = past;
  const hasBase = baseIsHere(past);
  const weights = hasBase ? await trainedWeights(manifest, past.paths) : undefined;
  const file = statSync(name).isFile() ? name : join(name, JOURNAL_FILE);
  const trial = openTrial({
    manifest,
    open: () => rebuild(past, given, output, { until: 0 }),
    follow: async (replica) => replay(await openRun(name, given), replica),
  });
  const status = (): RunStatus => ({
    kind: 'past',
    may: hasBase ? ['try'] : [],
    phase: ledger.round >= manifest.max_steps ? 'done' : 'stopped',
    round: ledger.round,
    max_steps: manifest.max_steps,
    journal_bytes: statSync(file).size,
    ...(weights === undefined ? {} : { weights }),
    peers: [],
    bytes: { payload: 0, wire: 0 },
  });
  const feed = openFeed({ clock: systemClock, status, wire: () => 0 });
  const joinCode = randomCode();
  const journal = { records: past.records, read: async () => new Uint8Array(await readFile(file)) };
  const { tryOut } = trial;
  const request = httpRoutes({
    ...{ joinCode, journal, blobs: new Map(), crypto: nodeCrypto, page, status, feed },
    ...(hasBase ? { tryOut } : {}),
  });
  const transport = webSocketTransport({ host: given.host, port: given.port, request, tls });
  try {
    const address = await transport.listen((channel) => {
      channel.close('nobody hosts this run here');
      return { frame: () => undefined, closed: () => undefined };
    });
    const [here, ...elsewhere] = dialable(address, networkInterfaces(), tls?.names);
    for (const at of elsewhere.length > 0 ? elsewhere : [here!])
      output.event({ event: 'page', link: viewLink(joinLink(at, joinCode), nodeCrypto) });
    await new Promise<void>((resolve) => {
      process.once('SIGINT', resolve);
      process.once('SIGTERM', resolve);
    });
    return {};
  } finally {
    feed.close();
    await transport.close();
    await trial.close();
  }
}

/** Without the base there is a journal to look at, and nothing to try. */
function baseIsHere(run: RunFolder): boolean {
  try {
    requireBase(run);
    return true;
  } catch {
    return false;
  }
}

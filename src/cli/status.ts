/**
 * `murmur status`: how a run stands and who takes part, asked of its host, or read from its folder.
 *
 * @module
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { FAULTS, Fault } from '../faults.ts';
import { mergesOf, roundsOf } from '../peer/ledger.ts';
import { parseRunLink } from '../peer/link.ts';
import { reasonsIn } from '../peer/news.ts';
import { writerOf } from '../peer/node/lock.ts';
import { JOURNAL_FILE, openRun } from '../peer/node/run-folder.ts';
import type { PeerStatus, RunStatus } from '../peer/status.ts';
import { type Argv, flagsOf } from './args.ts';
import { formatBytes, formatNumber, formatSeconds, visible } from './format.ts';
import type { Io } from './verb.ts';

export const usage: string = `status <link|output_dir> [flags]

Shows how a run stands, its last held-out loss, the time left, and what each peer gave. Of a host that runs, by the link
to join or to look: rates, lag, bytes, strikes and when each was last heard too. Of a folder: what its journal says.
  murmur status http://192.168.1.20:7777/join/kq3…
  murmur status out --json`;

const none = z.strictObject({});
export const flags: z.ZodObject = none;

/** A peer as a row: what only a host knows is absent where none was asked. */
export type Row = Pick<PeerStatus, 'slot' | 'name' | 'records' | 'rate' | 'reason'> &
  Partial<Pick<PeerStatus, 'seen_ms' | 'bytes' | 'strikes'>> & {
    readonly state: PeerStatus['state'] | 'admitted';
    /** Part of all records. */
    readonly share: number;
    /** Rounds that its weights were behind when it last told. */
    readonly lag?: number;
  };

export interface Standing extends Omit<RunStatus, 'peers' | 'bytes' | 'phase' | 'may' | 'links'> {
  /** `running`: somebody writes the journal that was read here. */
  readonly phase: RunStatus['phase'] | 'running';
  readonly peers: readonly Row[];
  readonly bytes?: RunStatus['bytes'];
}

/** An answer takes a host no time; a line may take some. */
const ANSWER_MS = 15_000;

export async function run(argv: Argv, { output }: Io): Promise<Readonly<Record<string, unknown>>> {
  flagsOf(none, argv);
  const [what, ...more] = argv.words;
  if (what === undefined || more.length > 0)
    throw new Fault('CONFIG_INVALID', 'status: takes the link of one run, or its output_dir');
  const isLink = /^https?:\/\//.test(what);
  const standing = isLink ? await standingAt(what) : await standingIn(what);
  output.table('Peers', peerRows(standing));
  const writer = isLink ? undefined : await writerOf(resolve(what, JOURNAL_FILE));
  if (writer !== undefined)
    output.note(`process ${writer} hosts this run: its link, in place of the folder, tells rates, lag and bytes too`);
  return fieldsOf(standing);
}

/** Of a host. @throws {Fault} CONFIG_INVALID, HOST_UNREACHABLE, CODE_WRONG */
async function standingAt(link: string): Promise<Standing> {
  const parsed = parseRunLink(link);
  if (parsed === undefined)
    throw new Fault('CONFIG_INVALID', `"${link}" is no link of a run; copy the whole link that its host printed`);
  const status = await askStatus(`${parsed.files}/status`);
  const all = status.peers.reduce((sum, { records }) => sum + records, 0);
  return {
    ...status,
    peers: status.peers.map(({ applied, ...peer }) => ({
      ...peer,
      share: all === 0 ? 0 : peer.records / all,
      ...(applied === undefined ? {} : { lag: Math.max(0, status.round - applied) }),
    })),
  };
}

async function askStatus(url: string): Promise<RunStatus> {
  const { host } = new URL(url);
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) }).catch((cause) => {
    throw new Fault('HOST_UNREACHABLE', `nothing answers at ${host}; "murmur doctor <link>" finds out why`, { cause });
  });
  if (answer.status === 404) throw new Fault('CODE_WRONG', `${FAULTS.CODE_WRONG}; copy the whole link`);
  const status: unknown = answer.ok ? await answer.json().catch(() => undefined) : undefined;
  if (!isStatus(status))
    throw new Fault('HOST_UNREACHABLE', `what answers at ${host} is no host of a run (HTTP ${answer.status})`);
  return status;
}

/** Enough to see that a host, not something else, has answered. */
const isStatus = (value: unknown): value is RunStatus =>
  typeof value === 'object' && value !== null && 'round' in value && 'peers' in value && Array.isArray(value.peers);

/** Of a folder. @throws {Fault} as `openRun` */
async function standingIn(folder: string): Promise<Standing> {
  const run = await openRun(folder);
  const { manifest, ledger, bytes } = run;
  const entries = run.records.map(({ entry }) => entry);
  const given = new Map<number, number>();
  const count = (slot: number, more: number): void => void given.set(slot, (given.get(slot) ?? 0) + more);
  for (const { segments } of roundsOf(entries)) for (const { slot, codes } of segments) count(slot, codes.length);
  for (const { shares } of mergesOf(entries)) for (const share of shares) count(share.slot, share.count);
  const all = [...given.values()].reduce((sum, n) => sum + n, 0);
  const reasons = reasonsIn(entries);
  const [evaluation] = [...ledger.evaluated].slice(-1);
  const over = ledger.digests.has(manifest.max_steps);
  const isWritten = (await writerOf(resolve(run.folder, JOURNAL_FILE))) !== undefined;
  return {
    kind: isWritten ? 'live' : 'past',
    phase: over ? 'done' : isWritten ? 'running' : 'stopped',
    round: ledger.round,
    max_steps: manifest.max_steps,
    ...(evaluation && { evaluation: { round: evaluation[0], metrics: evaluation[1] } }),
    journal_bytes: bytes,
    peers: [...ledger.admitted.values()].map(({ slot, name, evicted }) => ({
      ...{ slot, name, state: evicted ? 'evicted' : 'admitted', records: given.get(slot) ?? 0 },
      share: all === 0 ? 0 : (given.get(slot) ?? 0) / all,
      ...(reasons.has(slot) ? { reason: reasons.get(slot)! } : {}),
    })),
  };
}

const percent = (part: number): string => `${(100 * part).toFixed(1)} %`;

type Cell = readonly [string, (row: Row) => string | undefined];

/** Columns that nobody has something in are left out. */
const COLUMNS: readonly Cell[] = [
  ['slot', ({ slot }) => String(slot)],
  ['name', ({ name }) => visible(name)],
  ['state', ({ state }) => state],
  ['records', ({ records }) => String(records)],
  ['share', ({ share }) => percent(share)],
  ['per second', ({ rate }) => (rate === undefined ? undefined : formatNumber(Number(rate.toPrecision(3))))],
  ['behind', ({ lag }) => (lag === undefined ? undefined : String(lag))],
  ['bytes', ({ bytes }) => bytes && formatBytes(bytes.wire)],
  ['strikes', ({ strikes }) => (strikes ? String(strikes) : undefined)],
  ['heard', ({ seen_ms }) => (seen_ms === undefined ? undefined : `${formatSeconds(seen_ms / 1000)} ago`)],
  ['evicted for', ({ reason }) => (reason === undefined ? undefined : visible(reason))],
];

function peerRows({ peers }: Standing): string[][] {
  const said = COLUMNS.filter(([, of], i) => i < 5 || peers.some((row) => of(row) !== undefined));
  return [said.map(([title]) => title), ...peers.map((row) => said.map(([, of]) => of(row) ?? ''))];
}

function fieldsOf(standing: Standing): Readonly<Record<string, unknown>> {
  const { kind, phase, round, max_steps, eta_s, evaluation, journal_bytes, bytes, peers } = standing;
  return {
    ...{ kind, phase, round, max_steps },
    ...(eta_s === undefined ? {} : { eta_s: Math.round(eta_s) }),
    ...(evaluation && { evaluated: evaluation.round, ...evaluation.metrics }),
    'journal/bytes': journal_bytes,
    ...(bytes && { 'bytes/payload': bytes.payload, 'bytes/wire': bytes.wire }),
    peers,
  };
}

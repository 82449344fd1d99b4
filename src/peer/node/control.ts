/**
 * Orders to a host that runs, over HTTP on its own port (docs/WIRE.md 6). The code that guards them is new at every start;
 * the link that holds it lies in the folder of the run, in a file that only its owner can read.
 *
 * @module
 */
import { readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { FAULTS, Fault, type FaultCode } from '../../faults.ts';
import { toUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { equalSlowly } from '../admission.ts';
import type { Granted, Order } from '../wishes.ts';
import { bodyOf } from './body.ts';
import { writeWhole } from './write-file.ts';

/** Lies in the folder of a run while it is hosted. */
export const CONTROL_FILE = 'control.json';
/** Longest order: a reason, and a few numbers. */
const MAX_ORDER_BYTES = 4096;
/** A round may have to end first. */
const PATIENCE_MS = 600_000;

/** @param address that can be dialled, as `ws://host:port`. */
export const controlLink = (address: string, code: string): string =>
  `${address.replace(/^ws/, 'http')}/control/${code}`;

export const isControlLink = (text: string): boolean => /^https?:\/\/[^/]+\/control\/[^/]+$/.test(text);

/** What other commands on this machine must know of a host that runs. */
export interface Control {
  /** Where it takes orders. */
  readonly link: string;
  /** Where it listens, as `dialable` gives them. */
  readonly addresses: readonly string[];
}

/** @returns removes it again */
export async function writeControl(folder: string, control: Control): Promise<() => Promise<void>> {
  const path = join(folder, CONTROL_FILE);
  await writeWhole(path, `${JSON.stringify(control)}\n`, 0o600);
  return () => rm(path, { force: true });
}

/** Of the host that runs on a folder; undefined where none says so. */
export async function readControl(folder: string): Promise<Control | undefined> {
  const text = await readFile(join(folder, CONTROL_FILE), 'utf8').catch(() => '{}');
  const { link, addresses } = fieldsOf(text) ?? {};
  if (typeof link !== 'string' || !isControlLink(link) || !Array.isArray(addresses)) return undefined;
  return { link, addresses: addresses.filter((address) => typeof address === 'string') };
}

// ------------------------------------------------------------------------------------------------------- the host

export interface Controlled {
  readonly code: string;
  readonly crypto: Pick<Crypto, 'sha256'>;
  /** @throws {Fault} what the host refuses */
  takeBack(order: Order): Promise<Granted>;
}

/** Answers `POST /control/<code>`, and leaves the rest to `next`. */
export function controlled({ code, crypto, takeBack }: Controlled, next: RequestListener): RequestListener {
  const hash = crypto.sha256(toUtf8(code));
  return (request, response) => {
    const [, first, given, ...more] = (request.url ?? '').split('/');
    if (first !== 'control') return next(request, response);
    if (given === undefined || more.length > 0 || !equalSlowly(crypto.sha256(toUtf8(given)), hash))
      return say(response, 404, { detail: 'no such code' });
    if (request.method !== 'POST') return say(response, 405, { detail: 'POST only' });
    // A page of another origin cannot send this type without asking first, and nobody answers it here.
    if (request.headers['content-type'] !== 'application/json') return say(response, 415, { detail: 'JSON only' });
    return void obey(request, response, takeBack).catch(() => response.destroy());
  };
}

async function obey(
  request: IncomingMessage,
  response: ServerResponse,
  takeBack: Controlled['takeBack'],
): Promise<void> {
  const order = orderOf((await bodyOf(request, MAX_ORDER_BYTES)) ?? '');
  if (order === undefined) return say(response, 400, { detail: 'no order' });
  try {
    say(response, 200, await takeBack(order));
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    say(response, 422, { code: error.code, detail: error.detail });
  }
}

function say(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(body));
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}

const isRound = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function orderOf(text: string): Order | undefined {
  const { type, peer, from, to, reason, round } = fieldsOf(text) ?? {};
  if (type === 'rewind') return isRound(round) ? { type, round } : undefined;
  if (type !== 'revoke' || typeof peer !== 'string') return undefined;
  const isAbsentOr = (is: (value: unknown) => boolean, value: unknown): boolean => value === undefined || is(value);
  const isText = (value: unknown): value is string => typeof value === 'string';
  if (!isAbsentOr(isRound, from) || !isAbsentOr(isRound, to) || !isAbsentOr(isText, reason)) return undefined;
  return { type, peer, from, to, reason } as Order; // as was looked at
}

// ------------------------------------------------------------------------------------------------------ who orders

/** @throws {Fault} what the host refuses, HOST_UNREACHABLE, CODE_WRONG */
export async function giveOrder(link: string, order: Order): Promise<Granted> {
  const request = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(order),
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
  const response = await fetch(link, request).catch((cause) => {
    throw new Fault('HOST_UNREACHABLE', `${new URL(link).origin} does not answer; is the host running?`, { cause });
  });
  const fields = fieldsOf(await response.text()) ?? {};
  if (response.ok) return fields as unknown as Granted; // it is our own host
  if (response.status === 404)
    throw new Fault('CODE_WRONG', 'the host has started anew since; take the link from its control.json');
  const { code, detail = `the host answered ${response.status}` } = fields;
  const known = typeof code === 'string' && Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'INTERNAL';
  throw new Fault(known, String(detail));
}

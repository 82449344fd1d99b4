/**
 * Whether a host can be reached from here, one step after the other as a peer takes them: name, port, certificate, HTTP,
 * WebSocket, greeting. The first that fails is the last, with what to do about it.
 *
 * @module
 */
import { lookup } from 'node:dns/promises';
import { connect, isIP } from 'node:net';
import { connect as connectSecurely } from 'node:tls';
import { Fault } from '../../faults.ts';
import { PROTOCOL_VERSION } from '../../wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../wire/messages.ts';
import { type Check, checked } from '../checks.ts';
import { parseRunLink } from '../link.ts';
import { NOT_FOUND } from './http.ts';
import { webSocketTransport } from './transport-websocket.ts';

/** For each step. */
const PATIENCE_MS = 8000;
/** Of the host's clock and ours: certificates are judged by it, and logs are read side by side. */
const MOST_SKEW = 60_000;

/** What the system says → what to do. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name is not known here: take the address of the host, or a name that its network gives out',
  EAI_AGAIN: 'no server for names answers: check the network of this machine',
  ECONNREFUSED:
    'nothing listens there: is the host running, is the port right, and was it started with --host 0.0.0.0? Without, it listens for its own machine only',
  ETIMEDOUT:
    'nothing answers at all: a firewall drops it, or the machine is off. Open the port on the host, and in the router in front of it; or meet in a VPN',
  EHOSTUNREACH: 'there is no way to that machine: are both in one network? Else use a public address or a VPN',
  ENETUNREACH: 'there is no way to that network: check the connection of this machine, or use a VPN',
  ECONNRESET: 'it hung up: a proxy or firewall in between, or a port that speaks another protocol (http for https?)',
  EPROTO: 'no TLS is spoken there: the link begins with http:// if the host has no certificate',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS is spoken there: the link begins with http:// if the host has no certificate',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'nobody vouches for its certificate: name it in NODE_EXTRA_CA_CERTS=cert.pem',
  SELF_SIGNED_CERT_IN_CHAIN: 'nobody vouches for its certificate: name its root in NODE_EXTRA_CA_CERTS=root.pem',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'its certificate comes without those between it and a root: give the host the full chain',
  CERT_HAS_EXPIRED: 'its certificate has expired: renew it on the host, or set the clock of this machine',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet: set the clock of this machine',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name: use that name in the link',
};
const NO_PROXY =
  'connections are direct: what HTTP_PROXY or HTTPS_PROXY names is not used. Ask for a way out to the port of the host';

const codeOf = (error: unknown): string => {
  for (let e: unknown = error; e instanceof Error; e = e.cause) {
    if (e.name === 'TimeoutError') return 'ETIMEDOUT';
    const { code } = e as NodeJS.ErrnoException;
    if (code !== undefined) return code;
  }
  return 'unknown';
};

export interface ReachOptions {
  /** Whether this machine is told to go through a proxy. */
  readonly proxied: boolean;
  /** A key for the greeting, which proves nothing: 32 bytes. */
  readonly key: Uint8Array;
  readonly now: () => number;
  /** For each step. */
  readonly patienceMs?: number;
  readonly date: () => Date;
}

/** @param link to join, or to look. */
export async function* reach(
  link: string,
  { proxied, key, now, date, patienceMs = PATIENCE_MS }: ReachOptions,
): AsyncGenerator<Check> {
  const parsed = parseRunLink(link);
  yield checked('link', parsed ? 'ok' : 'fail', link, 'copy the whole link that the host printed');
  if (parsed === undefined) return;
  const { address, files, joinCode } = parsed;
  const { protocol, hostname, port: given, host } = new URL(address);
  const name = hostname.replace(/^\[|\]$/g, '');
  const isSecure = protocol === 'wss:';
  const port = Number(given || (isSecure ? 443 : 80));
  const failed = (check: string, error: unknown): Check => {
    const code = codeOf(error);
    const remedy = REMEDIES[code] ?? 'look at the log of the host, and try from another network';
    return checked(check, 'fail', `${host}: ${code}`, proxied ? `${remedy}; ${NO_PROXY}` : remedy);
  };
  /** Takes a step. @returns what it came to, or the check that says why not. */
  const attempt = async <T>(check: string, step: () => Promise<T>): Promise<{ readonly value: T } | Check> =>
    step().then(
      (value) => ({ value }),
      (error: unknown) => failed(check, error),
    );

  const found = await attempt('name', async () => (isIP(name) ? name : (await lookup(name)).address));
  if ('check' in found) return yield found;
  const isHere = found.value === '::1' || found.value.startsWith('127.');
  yield checked(
    'name',
    isHere ? 'warn' : 'ok',
    isHere ? `${found.value} is this machine, whoever reads it: others cannot use this link` : found.value,
    'start the host with --host 0.0.0.0, and give others the link that it prints then',
  );

  const began = now();
  const open = await attempt('port', () => opened(name, port, patienceMs));
  if ('check' in open) return yield open;
  yield checked('port', 'ok', `${port} is open, ${(now() - began).toFixed(0)} ms away`, '');

  if (isSecure) {
    const certificate = await attempt('certificate', () => handshake(name, port, patienceMs));
    if ('check' in certificate) return yield certificate;
    yield checked('certificate', 'ok', certificate.value, '');
  }

  const answer = await attempt('http', () =>
    fetch(`${files}/status`, { redirect: 'manual', signal: AbortSignal.timeout(patienceMs) }),
  );
  if ('check' in answer) return yield answer;
  const http = await judged(answer.value, host);
  yield http;
  if (http.state === 'fail') return;
  const skew = clockSkew(answer.value.headers.get('date'), date());
  if (skew) yield skew;

  yield await greeted(address, joinCode, key, patienceMs, failed);
}

/** Opens a port and closes it again. */
const opened = (host: string, port: number, timeout: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout });
    const end = (act: () => void): void => {
      socket.destroy();
      act();
    };
    socket.once('connect', () => end(resolve));
    socket.once('timeout', () => end(() => reject(timedOut())));
    socket.once('error', (error) => end(() => reject(error)));
  });

/** @returns whose certificate it is, and until when. */
const handshake = (host: string, port: number, timeout: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const servername = isIP(host) ? {} : { servername: host };
    const socket = connectSecurely({ host, port, timeout, ...servername });
    socket.once('secureConnect', () => {
      const { subject, valid_to } = socket.getPeerCertificate();
      socket.destroy();
      resolve(`${subject?.CN ?? host}, until ${valid_to}`);
    });
    socket.once('timeout', () => socket.destroy(timedOut()));
    socket.once('error', reject);
  });

const timedOut = (): Error => Object.assign(new TypeError('it took too long'), { code: 'ETIMEDOUT' });

/** What answers to HTTP: a host that knows this code, or something else. */
async function judged(answer: Response, host: string): Promise<Check> {
  if (answer.status === 404 && (await answer.text()) === NOT_FOUND)
    return checked('http', 'fail', `${host} does not know this code`, 'copy the whole link; a new run has a new one');
  const status: unknown = answer.ok ? await answer.json().catch(() => undefined) : undefined;
  if (typeof status !== 'object' || status === null || !('phase' in status) || !('round' in status))
    return checked(
      'http',
      'fail',
      `what answers at ${host} is no host of a run: HTTP ${answer.status}${answer.headers.get('server') ? `, ${answer.headers.get('server')}` : ''}`,
      'the port is another, or a proxy in between answers for the host: look at its settings',
    );
  return checked('http', 'ok', `a host, ${String(status.phase)}, after ${String(status.round)} rounds`, '');
}

/** @param header `Date` of an answer, to the second. */
function clockSkew(header: string | null, here: Date): Check | undefined {
  const there = Date.parse(header ?? '');
  if (Number.isNaN(there)) return undefined;
  const skew = here.getTime() - there - 500;
  const ahead = skew > 0 ? 'ahead of' : 'behind';
  return checked(
    'clocks',
    Math.abs(skew) > MOST_SKEW ? 'warn' : 'ok',
    `this machine is ${Math.abs(Math.round(skew / 1000))} s ${ahead} the host`,
    'let both set their clocks by the network (NTP): certificates and logs go by them',
  );
}

/** A WebSocket; with a join code also the first two messages of a peer that then thinks better of it. */
async function greeted(
  address: string,
  joinCode: string | undefined,
  key: Uint8Array,
  patienceMs: number,
  failed: (check: string, error: unknown) => Check,
): Promise<Check> {
  const transport = webSocketTransport();
  let hear: (answer: Uint8Array | undefined) => void = () => undefined;
  const heard = new Promise<Uint8Array | undefined>((resolve) => {
    hear = resolve;
  });
  const timer = setTimeout(() => hear(undefined), patienceMs);
  const through = 'HTTP goes through and WebSocket does not: a proxy in between must pass "Upgrade: websocket" on';
  try {
    const channel = await transport.dial(address, { frame: hear, closed: () => hear(undefined) });
    if (joinCode === undefined) return checked('websocket', 'ok', 'open; the link is one to look, not to join', '');
    channel.send(encodePeerMessage({ type: 'hello', version: PROTOCOL_VERSION, key, code: joinCode, name: 'doctor' }));
    const frame = await heard;
    if (frame === undefined) return checked('websocket', 'fail', 'it opened, and nothing came through', through);
    const answer = decodeHostMessage(frame);
    if (answer.type === 'challenge') return checked('websocket', 'ok', 'the host has greeted back', '');
    const said = answer.type === 'refused' ? `${answer.code}: ${answer.detail}` : answer.type;
    return checked('websocket', 'fail', said, 'take the version of murmur and the link that the host has');
  } catch (error) {
    if (!(error instanceof Fault)) return failed('websocket', error);
    return checked('websocket', 'fail', error.detail, through);
  } finally {
    clearTimeout(timer);
    await transport.close();
  }
}

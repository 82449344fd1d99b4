/**
 * A peer that shares snapshots: whenever the host takes one it keeps the weights that it has, and when the journal names
 * their root, so that they are the host's bit for bit, it serves their chunks and tells the host where. It serves nothing else.
 *
 *     GET /<join code>/chunk/<name>   a chunk
 *
 * @module
 */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Fault } from '../../faults.ts';
import { equalBytes, toHex } from '../../numeric/bytes.ts';
import { toUtf8 } from '../../numeric/text.ts';
import { mirrorMessage } from '../../wire/signed.ts';
import { encodeAnnouncement } from '../../wire/snapshot-offer.ts';
import { equalSlowly } from '../admission.ts';
import { rootOfLeaves } from '../chunks.ts';
import type { Replica } from '../replica.ts';
import { type Checkpoint, saveCheckpoint } from './checkpoints.ts';
import { nodeCrypto } from './crypto.ts';
import { type SnapshotShelf, snapshotShelf } from './snapshot-shelf.ts';

/** Joiners that are served at a time: each has few requests under way, and a line is full with fewer. */
const MAX_CONNECTIONS = 64;
/** A request is a few hundred bytes: who takes longer has no good reason. */
const REQUEST_MS = 10_000;
/** Weights whose digest may still come: a host writes one snapshot after the other. */
const MAX_KEPT = 2;
const { sha256 } = nodeCrypto;
const nothing = (): undefined => undefined;

export interface MirrorOptions {
  /** Where the chunks lie; of this peer alone. */
  readonly folder: string;
  /** To listen on; port 0 is any that is free. */
  readonly host: string;
  readonly port: number;
  readonly joinCode: string;
  /** Of the host: `JoinLink.files`. */
  readonly files: string;
  /** Of the peer. */
  readonly secret: Uint8Array;
  readonly onEvent: (event: MirrorEvent) => void;
}

export type MirrorEvent =
  | { readonly event: 'sharing'; readonly host: string; readonly port: number }
  /** The chunks of a snapshot can be had here; `known`: and the host has been told. */
  | { readonly event: 'shared'; readonly round: number; readonly known: boolean };

export interface Mirror {
  readonly port: number;
  /** Bytes of chunks that were sent. */
  sent(): number;
  /** Keeps the weights as they are in `replica`: `FollowerOptions.onSnapshot`. */
  keep(round: number, replica: Pick<Replica, 'leaves' | 'snapshot'>): void;
  /** Serves what is kept of the round if its root is this: `FollowerOptions.onDigest`. */
  signed(run: Uint8Array, round: number, root: Uint8Array): void;
  close(): Promise<void>;
}

/** @throws {Fault} CONFIG_INVALID where the address cannot be listened on */
export async function openMirror(options: MirrorOptions): Promise<Mirror> {
  const { folder, host, joinCode, onEvent } = options;
  const shelf = snapshotShelf();
  let sent = 0;
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    chunkRoute(shelf, joinCode, (bytes) => {
      sent += bytes;
    }),
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    const refuse = ({ message }: Error): void =>
      reject(
        new Fault('CONFIG_INVALID', `--share: cannot listen on ${host}:${options.port} (${message}); name another`),
      );
    server.once('error', refuse).listen(options.port, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  onEvent({ event: 'sharing', host, port });
  /** Weights that are kept, or being written, and that the journal does not name yet. */
  const kept = new Map<number, Promise<Checkpoint>>();
  let turn: Promise<void> = Promise.resolve();

  return {
    port,
    sent: () => sent,
    keep(round, replica) {
      if (kept.has(round)) return;
      const checkpoint = turn.then(frozen(folder, round, replica));
      kept.set(round, checkpoint);
      // What cannot be kept is not shared: no reason to leave the run.
      turn = checkpoint.then(nothing, nothing);
      for (const old of [...kept.keys()].slice(0, -MAX_KEPT)) kept.delete(old);
    },
    signed(run, round, root) {
      const checkpoint = kept.get(round);
      kept.delete(round);
      turn = turn.then(async () => {
        const found = await checkpoint?.catch(nothing);
        if (!found || !equalBytes(rootOfLeaves(found.leaves, sha256), root)) return;
        shelf.put(found);
        onEvent({ event: 'shared', round, known: await announce(options, run, round, port) });
      });
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await turn;
    },
  };
}

/**
 * Asks a replica for its weights at once: calls are answered in order, so what is applied later is not in them. It waits
 * with the first chunk until it is its turn to be written.
 */
function frozen(
  folder: string,
  round: number,
  replica: Pick<Replica, 'leaves' | 'snapshot'>,
): () => Promise<Checkpoint> {
  type Write = (chunk: Uint8Array) => Promise<void>;
  let give!: (write: Write) => void;
  let drop!: (why: unknown) => void;
  const writer = new Promise<Write>((resolve, reject) => {
    give = resolve;
    drop = reject;
  });
  const leaves = replica.leaves();
  const written = replica.snapshot(async (chunk) => (await writer)(chunk));
  for (const asked of [leaves, written, writer]) asked.catch(nothing);
  return async () => {
    try {
      return await saveCheckpoint(folder, { round, leaves: await leaves }, async (write) => {
        give(write);
        await written;
      });
    } catch (error) {
      drop(error); // a replica that waits to write goes on
      throw error;
    }
  };
}

function chunkRoute(shelf: SnapshotShelf, joinCode: string, count: (bytes: number) => void): RequestListener {
  const code = sha256(toUtf8(joinCode));
  return async (request, response) => {
    const [, given = '', route, name = ''] = (request.url ?? '').split('/');
    const may = request.method === 'GET' && route === 'chunk' && equalSlowly(sha256(toUtf8(given)), code);
    const bytes = may ? await shelf.chunk(name).catch(() => undefined) : undefined;
    const headers = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' };
    if (bytes === undefined) return void response.writeHead(404, headers).end();
    count(bytes.length);
    response
      .writeHead(200, { ...headers, 'content-type': 'application/octet-stream', 'content-length': bytes.length })
      .end(bytes);
  };
}

/** @returns whether the host knows now. */
async function announce(
  { files, secret }: MirrorOptions,
  run: Uint8Array,
  round: number,
  port: number,
): Promise<boolean> {
  const signature = nodeCrypto.sign(secret, mirrorMessage(run, round, port));
  const body = toHex(encodeAnnouncement({ key: nodeCrypto.publicKey(secret), round, port, signature }));
  const signal = AbortSignal.timeout(REQUEST_MS);
  const told = await fetch(`${files}/mirror`, { method: 'POST', body, signal }).catch(() => undefined);
  return told?.ok ?? false;
}

/** `port` or `host:port`. @throws {Fault} CONFIG_INVALID */
export function parseShare(text: string): { readonly host: string; readonly port: number } {
  const found = /^(?:(?<host>[^:]+|\[[^\]]+\]):)?(?<port>\d{1,5})$/.exec(text)?.groups;
  const port = Number(found?.['port']);
  if (found === undefined || port > 65_535)
    throw new Fault('CONFIG_INVALID', `--share: "${text}" is no port and no host:port, such as 0.0.0.0:7800`);
  return { host: (found['host'] ?? '127.0.0.1').replace(/^\[|\]$/g, ''), port };
}

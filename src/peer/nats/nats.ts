/**
 * What the files of this folder share: a connection, JetStream on it, and patience with both.
 *
 * @module
 */
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { errors, type NatsConnection } from '@nats-io/nats-core';
import { Fault } from '../../faults.ts';
import type { Clock } from '../../ports.ts';
import type { Names } from './names.ts';

export interface Nats {
  readonly connection: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly names: Names;
  readonly clock: Clock;
  /** Random bytes: ids of channels and coordinators. */
  readonly entropy: (bytes: number) => Uint8Array;
}

/** For one request: servers elect a new leader of a stream in about four seconds, so a lost one is soon asked again. */
export const REQUEST_MS = 2000;
const RETRY_MS = 250;
/** Servers that are away for longer than this are not electing, they are down. */
export const PATIENCE_MS = 60_000;
/** What a message holds at most, of a server's max_payload: 1 MiB by default. The rest is for headers. */
const MAX_PART_BYTES = 512 << 10;
const HEADER_BYTES = 1024;

/** JetStream's error codes that are told apart. */
const CODES = { streamNotFound: 10_059, wrongLastSequence: 10_071, nameInUse: 10_058 } as const;

export async function natsOf(
  connection: NatsConnection,
  names: Names,
  { clock, entropy }: Pick<Nats, 'clock' | 'entropy'>,
): Promise<Nats> {
  const options = { timeout: REQUEST_MS, checkAPI: false };
  const jsm = await jetstreamManager(connection, options);
  return { connection, js: jetstream(connection, options), jsm, names, clock, entropy };
}

/** Bytes of the longest message that the server takes. */
export const partBytes = ({ connection }: Pick<Nats, 'connection'>): number =>
  Math.min(MAX_PART_BYTES, (connection.info?.max_payload ?? 2 * MAX_PART_BYTES) - HEADER_BYTES);

/** Copies in a cluster: what survives one server. A single server keeps one. */
export const replicasOf = ({ connection }: Pick<Nats, 'connection'>): number =>
  connection.info?.cluster === undefined ? 1 : 3;

/** JetStream refused with this code. */
export const isRefusal = (error: unknown, code: keyof typeof CODES): boolean =>
  error instanceof Error && (error as { code?: unknown }).code === CODES[code];

const isForbidden = (error: unknown): boolean =>
  error instanceof errors.PermissionViolationError ||
  (error instanceof Error && error.cause instanceof errors.PermissionViolationError);

/**
 * Tries until it works: servers come and go, and a request may be lost with one.
 * @param what it is, for people. @param over gives up when it says so.
 * @throws {Fault} STORE_UNREACHABLE when patience has run out, or at once where it is forbidden
 */
export async function persist<T>(
  { clock }: Pick<Nats, 'clock'>,
  what: string,
  attempt: () => Promise<T>,
  {
    patienceMs = PATIENCE_MS,
    over = () => false,
  }: { readonly patienceMs?: number; readonly over?: () => boolean } = {},
): Promise<T> {
  for (const began = clock.now(); ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof Fault) throw error;
      if (over() || isForbidden(error) || clock.now() - began >= patienceMs) {
        const why = error instanceof Error ? error.message : String(error);
        throw new Fault(
          'STORE_UNREACHABLE',
          `NATS: ${what} failed (${why}); check the servers and what the user may do`,
          {
            cause: error,
          },
        );
      }
      await new Promise<void>((next) => clock.after(RETRY_MS, next));
    }
  }
}

/**
 * A connection to NATS from Node, by TCP or TLS.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { credsAuthenticator } from '@nats-io/nats-core';
import { connect } from '@nats-io/transport-node';
import { Fault } from '../../faults.ts';
import type { NatsServers } from '../link.ts';
import { namesOf } from '../nats/names.ts';
import { type Nats, natsOf } from '../nats/nats.ts';
import { systemClock, systemEntropy } from './system.ts';

const CONNECT_MS = 5000;
/** Between attempts to come back, for as long as it takes: whoever is waiting has patience of its own. */
const RECONNECT_MS = 250;

/**
 * @param run its name. @param creds path of a credentials file, as `nsc` writes them.
 * @throws {Fault} STORE_UNREACHABLE, FILE_MISSING
 */
export async function connectNats(
  { servers, user, password }: NatsServers,
  run: string,
  creds?: string,
): Promise<Nats> {
  const file =
    creds === undefined
      ? undefined
      : await readFile(creds).catch((cause) => {
          throw new Fault('FILE_MISSING', `${creds} cannot be read; name the credentials file of a NATS user`, {
            cause,
          });
        });
  try {
    const connection = await connect({
      ...{ servers: [...servers], timeout: CONNECT_MS, name: `murmur ${run}` },
      ...{ maxReconnectAttempts: -1, reconnectTimeWait: RECONNECT_MS, reconnectJitter: RECONNECT_MS },
      ...{ pingInterval: 5000, maxPingOut: 2, ignoreAuthErrorAbort: true },
      ...(user === undefined ? {} : { user, pass: password ?? '' }),
      ...(file && { authenticator: credsAuthenticator(file) }),
    });
    return await natsOf(connection, namesOf(run), { clock: systemClock, entropy: systemEntropy });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('STORE_UNREACHABLE', `NATS at ${servers.join(', ')}: ${why}; check address and credentials`, {
      cause,
    });
  }
}

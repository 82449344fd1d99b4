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
import { connectionOptions } from '../nats/connection.ts';
import { namesOf } from '../nats/names.ts';
import { type Nats, natsOf } from '../nats/nats.ts';
import { systemClock, systemEntropy } from './system.ts';

/**
 * @param run its name. @param creds path of a credentials file, as `nsc` writes them.
 * @throws {Fault} STORE_UNREACHABLE, FILE_MISSING
 */
export async function connectNats(link: NatsServers, run: string, creds?: string): Promise<Nats> {
  if (link.web)
    throw new Fault(
      'CONFIG_INVALID',
      'a nats+ws link is for browsers; from Node, name the port for clients: nats://host:4222',
    );
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
      ...connectionOptions(link, run),
      ...(file && { authenticator: credsAuthenticator(file) }),
    });
    return await natsOf(connection, namesOf(run), { clock: systemClock, entropy: systemEntropy });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('STORE_UNREACHABLE', `NATS at ${link.servers.join(', ')}: ${why}; check address and credentials`, {
      cause,
    });
  }
}

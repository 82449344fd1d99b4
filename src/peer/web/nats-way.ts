/**
 * The way of a tab to a run that is reached through NATS: by the WebSocket listener of its servers.
 *
 * @module
 */
import { wsconnect } from '@nats-io/nats-core';
import { Fault } from '../../faults.ts';
import type { Transport } from '../../ports.ts';
import type { Fetcher } from '../fetcher.ts';
import type { JoinLink, NatsLink } from '../link.ts';
import { connectionOptions } from '../nats/connection.ts';
import { natsFetcher } from '../nats/fetcher.ts';
import { namesOf } from '../nats/names.ts';
import { natsOf } from '../nats/nats.ts';
import { natsDialler } from '../nats/transport.ts';
import { webClock, webEntropy } from './system.ts';

/** @throws {Fault} STORE_UNREACHABLE */
export async function natsWay(link: NatsLink): Promise<{
  readonly link: Pick<JoinLink, 'address' | 'joinCode'>;
  readonly host: Fetcher;
  readonly transport: Pick<Transport, 'dial'>;
}> {
  const { run, joinCode } = link;
  const names = namesOf(run);
  const connection = await wsconnect(connectionOptions(link, run)).catch((cause: Error) => {
    const detail = `NATS at ${link.servers.join(', ')}: ${cause.message}; check address and credentials`;
    throw new Fault('STORE_UNREACHABLE', detail, { cause });
  });
  const nats = await natsOf(connection, names, { clock: webClock, entropy: webEntropy });
  let leader: string | undefined;
  const transport = natsDialler(nats, (id) => {
    leader = id;
  });
  return { link: { address: names.dial, joinCode }, host: natsFetcher(nats, joinCode, () => leader), transport };
}

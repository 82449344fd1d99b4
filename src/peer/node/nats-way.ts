/**
 * The way of a peer to a run that is reached through NATS.
 *
 * @module
 */
import { parseNatsLink } from '../link.ts';
import { natsFetcher } from '../nats/fetcher.ts';
import { natsDialler } from '../nats/transport.ts';
import type { ParticipantOptions } from '../participant.ts';
import { connectNats } from './nats.ts';

/** @throws {Fault} CONFIG_INVALID, STORE_UNREACHABLE, FILE_MISSING */
export async function natsWay(
  link: string,
  creds?: string,
): Promise<Pick<ParticipantOptions, 'transport' | 'address' | 'fetcher' | 'joinCode'> & { close(): Promise<void> }> {
  const { run, joinCode, ...servers } = parseNatsLink(link);
  const nats = await connectNats(servers, run, creds);
  let leader: string | undefined;
  const transport = natsDialler(nats, (id) => {
    leader = id;
  });
  return {
    ...{ transport, address: nats.names.dial, joinCode },
    fetcher: natsFetcher(nats, joinCode, () => leader),
    async close() {
      await transport.close();
      await nats.connection.close();
    },
  };
}

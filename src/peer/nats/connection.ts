/**
 * How connections to NATS behave, in Node and in browsers: they come back by themselves for as long as it takes, since
 * whoever waits for one has patience of its own, and notice a dead server within seconds.
 *
 * @module
 */
import type { ConnectionOptions } from '@nats-io/nats-core';
import type { NatsServers } from '../link.ts';

const CONNECT_MS = 5000;
const RECONNECT_MS = 250;
/** A server that has not answered two of these is gone. */
const PING_MS = 5000;

export const connectionOptions = ({ servers, user, password }: NatsServers, run: string): ConnectionOptions => ({
  ...{ servers: [...servers], timeout: CONNECT_MS, name: `murmur ${run}` },
  ...{ maxReconnectAttempts: -1, reconnectTimeWait: RECONNECT_MS, reconnectJitter: RECONNECT_MS },
  ...{ pingInterval: PING_MS, maxPingOut: 2, ignoreAuthErrorAbort: true },
  ...(user === undefined ? {} : { user, pass: password ?? '' }),
});

/**
 * Channels over WebSocket (RFC 6455), one binary message a frame, by the library `ws`. The same port answers HTTP.
 * Compression is off: what travels is a few bytes that do not compress.
 *
 * @module
 */
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { Fault } from '../../faults.ts';
import type { Channel, ChannelEvents, Transport } from '../../ports.ts';
import { MAX_HOST_FRAME_BYTES, MAX_PEER_FRAME_BYTES } from '../../wire/limits.ts';
import { MAX_CONNECTIONS } from '../door.ts';
import { openGuard } from './guard.ts';
import { untrustedBy } from './tls.ts';

/** Routers forget idle connections after 30 s and more; a dead one is noticed within two pings. */
const PING_MS = 15_000;
/** Octets that wait for a peer which does not read. A few hundred commits: then it is gone, or as good as. */
const MAX_BUFFERED = 4 << 20;
const DIAL_MS = 10_000;
/** For the other side to answer a close. */
const CLOSE_MS = 1000;
/** Connections of all kinds to one host, those that fetch or look included: above what its door would take. */
const MAX_SOCKETS = 2 * MAX_CONNECTIONS;
/**
 * Of HTTP. A request is its line and headers, and a text to try of 8 kB at most: who needs longer for that than these does
 * not mean to ask anything. Node's own limits are minutes, and it looks for whoever is over them twice a minute.
 */
const HTTP_LIMITS: ServerOptions = {
  headersTimeout: 10_000,
  requestTimeout: 20_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 8192,
};
/** Not an octet either way for this long, as with a reader that stopped in the middle of a file. */
const IDLE_MS = 60_000;
/** RFC 6455, 5.5: what is left of a control frame behind the code. */
const MAX_REASON_BYTES = 123;

export interface WebSocketOptions {
  /** Address to listen on; this machine only, by default. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port?: number;
  /** Answers HTTP requests on the same port. */
  readonly request?: RequestListener;
  /** Longest frame of a peer, in bytes. Default: the longest of all runs. */
  readonly maxFrame?: number;
  /** Certificate and key, PEM: listens with TLS. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** How certificates of hosts are checked. Default: as the system does. */
  readonly trust?: ConnectionOptions | undefined;
  /** Connections of one address that have not proved who they are, those of HTTP included. */
  readonly strangersPerAddress?: number;
}

/** Closes as RFC 6455 asks, and without the other side's help if it does not answer. */
function hangUp(ws: WebSocket, code: number, reason: string): void {
  if (ws.readyState === WebSocket.CONNECTING) ws.terminate();
  if (ws.readyState !== WebSocket.OPEN) return;
  ws.close(code, Buffer.from(reason).subarray(0, MAX_REASON_BYTES));
  const timer = setTimeout(() => ws.terminate(), CLOSE_MS);
  ws.once('close', () => clearTimeout(timer));
}

export function webSocketTransport(options: WebSocketOptions = {}): Transport {
  const { host = '127.0.0.1', port = 0, request, maxFrame = MAX_PEER_FRAME_BYTES, tls, trust } = options;
  const open = new Set<WebSocket>();
  let server: Server | undefined;

  function attach(
    ws: WebSocket,
    socketOf: () => Socket | undefined,
    confine: (octets: number | undefined) => void = () => undefined,
  ): { channel: Channel; hear(e: ChannelEvents): void } {
    open.add(ws);
    let alive = true;
    let corked = false;
    let last = { received: 0, sent: 0 };
    const heartbeat = setInterval(() => {
      if (!alive) ws.terminate();
      alive = false;
      if (ws.readyState === WebSocket.OPEN) ws.ping();
    }, PING_MS).unref();
    const channel: Channel = {
      send(frame) {
        if (ws.readyState !== WebSocket.OPEN) return;
        if (ws.bufferedAmount > MAX_BUFFERED) {
          ws.terminate();
          return;
        }
        const socket = socketOf();
        // A commit and the `open` behind it leave in one packet.
        if (socket !== undefined && !corked) {
          corked = true;
          socket.cork();
          process.nextTick(() => {
            corked = false;
            socket.uncork();
          });
        }
        ws.send(frame);
      },
      close(reason) {
        hangUp(ws, 1000, reason);
      },
      traffic() {
        const socket = socketOf();
        if (socket !== undefined) last = { received: socket.bytesRead, sent: socket.bytesWritten };
        return last;
      },
      confine,
    };
    return {
      channel,
      hear(events) {
        let broken = '';
        ws.on('message', (data: RawData, isBinary) => {
          alive = true;
          const bytes = data as Buffer; // binaryType is "nodebuffer"
          if (isBinary) events.frame(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
          else ws.close(1003, 'binary messages only');
        });
        for (const sign of ['ping', 'pong'] as const)
          ws.on(sign, () => {
            alive = true;
          });
        ws.on('error', (error) => {
          broken = error.message;
        });
        ws.on('close', (code, reason) => {
          clearInterval(heartbeat);
          open.delete(ws);
          channel.traffic();
          events.closed(reason.toString() || broken || `code ${code}`);
        });
      },
    };
  }

  return {
    listen(accept) {
      const sockets = new WebSocketServer({
        noServer: true,
        maxPayload: maxFrame,
        perMessageDeflate: false,
      });
      const answer: RequestListener = request ?? ((_, response) => response.writeHead(404).end());
      const http = tls
        ? createTlsServer({ ...HTTP_LIMITS, handshakeTimeout: HTTP_LIMITS.headersTimeout, ...tls }, answer)
        : createServer(HTTP_LIMITS, answer);
      server = http;
      http.maxConnections = MAX_SOCKETS;
      http.setTimeout(IDLE_MS); // not of WebSockets, which have pings
      const guard = openGuard(options.strangersPerAddress);
      http.on('connection', (socket: Socket) => guard.enter(socket));
      http.on('upgrade', (message, stream, head) => {
        stream.on('error', () => stream.destroy()); // before the handshake is through, nobody else listens
        sockets.handleUpgrade(message, stream, head, (ws) => {
          const socket = stream as Socket;
          const { channel, hear } = attach(
            ws,
            () => socket,
            guard.confining(socket, () => ws.terminate()),
          );
          hear(accept(channel));
        });
      });
      return new Promise((resolve, reject) => {
        http.once('error', (cause: NodeJS.ErrnoException) =>
          reject(
            new Fault('CONFIG_INVALID', `cannot listen on ${host}:${port} (${cause.code}); choose another port`, {
              cause,
            }),
          ),
        );
        http.listen(port, host, () => {
          const { address, port: taken, family } = http.address() as AddressInfo;
          resolve(`${tls ? 'wss' : 'ws'}://${family === 'IPv6' ? `[${address}]` : address}:${taken}`);
        });
      });
    },

    dial(address, events) {
      return new Promise((resolve, reject) => {
        let socket: Socket | undefined;
        let opened = false;
        const ws = new WebSocket(address, {
          maxPayload: MAX_HOST_FRAME_BYTES,
          perMessageDeflate: false,
          handshakeTimeout: DIAL_MS,
          ...trust,
        });
        let untrusted: Fault | undefined;
        ws.on('error', (error) => {
          untrusted = untrustedBy(error, address);
        });
        const { channel, hear } = attach(ws, () => socket);
        hear({
          frame: (bytes) => events.frame(bytes),
          closed(reason) {
            if (opened) events.closed(reason);
            else
              reject(
                untrusted ??
                  new Fault('HOST_UNREACHABLE', `nothing answers at ${address} (${reason}); is the host running?`),
              );
          },
        });
        ws.once('upgrade', (response) => {
          socket = response.socket;
        });
        ws.once('open', () => {
          opened = true;
          resolve(channel);
        });
      });
    },

    async close() {
      const closing = [...open].map((ws) => new Promise((resolve) => ws.once('close', resolve)));
      for (const ws of open) hangUp(ws, 1001, 'the transport was closed');
      await Promise.all(closing);
      const http = server;
      if (http === undefined) return;
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
    },
  };
}

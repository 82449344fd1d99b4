/**
 * A TCP proxy between a host and its peers that misbehaves as networks do: late, slow, silent, broken off, dead in one
 * direction. It also keeps every receipt that the host has sent, whether or not it arrived: what was acknowledged.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import type { HostMessage, PeerMessage } from '../../src/nouns.ts';
import { decodeHostMessage, decodePeerMessage } from '../../src/wire/messages.ts';
import { type Piece, Splitter } from './frames.ts';

/** How a line is. */
export interface Line {
  /** Milliseconds on the way, in each direction; `jitterMs`: up to so many more, in order all the same. */
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly bytesPerSecond: number;
  /** Nothing arrives, nothing is lost: it comes when the line is itself again. */
  readonly silent: boolean;
  /** Direction in which everything is lost, without a word to anybody. */
  readonly dead: 'to host' | 'to peer' | undefined;
  /** New connections are reset. */
  readonly refuses: boolean;
}

const SOUND: Line = {
  ...{ delayMs: 0, jitterMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY },
  ...{ silent: false, dead: undefined, refuses: false },
};

/**
 * What becomes of a piece. `half`: half of its bytes pass, then the connection is reset; `cut`: it passes, then so;
 * `flip`: its last bit is another.
 */
export type Fate = 'pass' | 'lose' | 'half' | 'cut' | 'flip';

/** What has come up to the proxy. */
export type Passing =
  | { readonly from: 'host'; readonly message: HostMessage }
  | { readonly from: 'peer'; readonly message: PeerMessage }
  /** Part of an answer to the HTTP request for `path`; `bytes` of it so far, these included. */
  | { readonly from: 'host'; readonly path: string; readonly bytes: number };

/** A receipt as it left the host, and the contribution that it is for. */
export interface Seen {
  readonly slot: number;
  readonly receipt: Extract<HostMessage, { readonly type: 'receipt' }>;
  readonly codes: Int8Array;
}

export interface FaultyLine {
  /** The same link, by way of the proxy. */
  link(link: string): string;
  /** From now on, for connections that are there and new ones. Gives what is not named the values of a sound line. */
  become(line?: Partial<Line>): void;
  /** Decides on everything that passes, until it is replaced. */
  decide(fate: (passing: Passing) => Fate | undefined): void;
  /** Resets all connections. @returns how many there were. */
  reset(): number;
  readonly receipts: readonly Seen[];
  /** Bytes that answers to HTTP requests had, by path without its code. */
  readonly answered: ReadonlyMap<string, number>;
}

/** Kept back of one direction of one connection before its sender must wait, as in the buffers of a system. */
const WINDOW = 1 << 18;
/** A slow line delivers in packets. */
const PACKET = 1400;

export async function proxyTo(link: string): Promise<FaultyLine> {
  const target = new URL(link);
  const open = new Set<() => void>();
  const pumps = new Set<() => void>();
  const receipts: Seen[] = [];
  const answered = new Map<string, number>();
  let line = SOUND;
  let fateOf: (passing: Passing) => Fate | undefined = () => undefined;

  const server = createServer({ allowHalfOpen: true }, (peer) => {
    peer.on('error', () => undefined);
    if (line.refuses) return void peer.resetAndDestroy();
    const host = connect({ port: Number(target.port), host: target.hostname, allowHalfOpen: true });
    const reset = (): void => {
      open.delete(reset);
      for (const socket of [peer, host]) if (!socket.destroyed) socket.resetAndDestroy();
    };
    open.add(reset);
    for (const socket of [peer, host]) {
      // Over a silent line nobody hears that the other side is gone.
      socket.on('error', () => line.silent || line.dead || reset());
      socket.once('close', () => peer.destroyed && host.destroyed && open.delete(reset));
    }
    let path = '';
    let bytes = 0;
    let slot = -1;
    let sent: Int8Array = new Int8Array();

    const passingOf = (from: Passing['from'], piece: Piece): Passing | undefined => {
      if (from === 'peer') {
        if (piece.path !== undefined) {
          path = piece.path.replace(/^\/[^/]+\//, '');
          bytes = 0;
        }
        const message = piece.message && decoded(decodePeerMessage, piece.message);
        if (message === undefined) return undefined;
        if (message.type === 'contribution') sent = message.codes;
        return { from, message };
      }
      const message = piece.message && decoded(decodeHostMessage, piece.message);
      if (message !== undefined) {
        if (message.type === 'admitted') slot = message.slot;
        if (message.type === 'receipt') receipts.push({ slot, receipt: message, codes: sent });
        return { from, message };
      }
      if (path === '') return undefined;
      bytes += piece.bytes.length;
      answered.set(path, (answered.get(path) ?? 0) + piece.bytes.length);
      return { from, path, bytes };
    };
    carry(peer, host, 'to host', (piece) => passingOf('peer', piece), reset);
    carry(host, peer, 'to peer', (piece) => passingOf('host', piece), reset);
  });

  /** One direction. */
  function carry(
    from: Socket,
    to: Socket,
    direction: Line['dead'],
    passingOf: (piece: Piece) => Passing | undefined,
    reset: () => void,
  ): void {
    const splitter = new Splitter();
    const queue: { readonly bytes: Buffer | undefined; readonly due: number }[] = [];
    let kept = 0;
    let last = 0;
    let timer: NodeJS.Timeout | undefined;
    /** Nothing passes behind what was cut. */
    let over = false;
    const pump = (): void => {
      clearTimeout(timer);
      if (to.destroyed && !line.silent && line.dead === undefined) reset();
      while (queue.length > 0 && !line.silent && !to.destroyed) {
        const { bytes, due } = queue[0]!;
        const wait = due - performance.now();
        if (wait > 0) {
          timer = setTimeout(pump, wait);
          return;
        }
        queue.shift();
        kept -= bytes?.length ?? 0;
        if (line.dead === direction) continue;
        if (bytes === undefined) to.end();
        else to.write(bytes);
      }
      if (kept < WINDOW) from.resume();
    };
    const put = (bytes: Buffer | undefined): void => {
      const { delayMs, jitterMs, bytesPerSecond } = line;
      const slow = Number.isFinite(bytesPerSecond) && bytes !== undefined;
      for (let at = 0; at === 0 || (slow && at < bytes.length); at += PACKET) {
        const packet = slow ? bytes.subarray(at, at + PACKET) : bytes;
        const onWire = ((packet?.length ?? 0) / bytesPerSecond) * 1000;
        last = Math.max(last + onWire, performance.now() + delayMs + jitterMs * Math.random());
        queue.push({ bytes: packet, due: last });
        kept += packet?.length ?? 0;
      }
      if (kept >= WINDOW) from.pause();
      pump();
    };
    pumps.add(pump);
    from.on('data', (data) => {
      if (over) return;
      for (const piece of splitter.push(data as Buffer)) {
        const passing = passingOf(piece);
        const fate = (passing && fateOf(passing)) ?? 'pass';
        if (fate === 'lose') continue;
        const bytes = Buffer.from(piece.bytes);
        if (fate === 'flip') bytes[bytes.length - 1]! ^= 1;
        if (fate === 'pass' || fate === 'flip') {
          put(bytes);
          continue;
        }
        over = true;
        // A reset throws away what the other side has not read yet: it is given the time to read.
        if (!to.destroyed)
          to.write(fate === 'half' ? bytes.subarray(0, bytes.length >> 1) : bytes, () => setTimeout(reset, 50));
        return;
      }
    });
    from.on('end', () => over || put(undefined));
    from.once('close', () => pumps.delete(pump));
  }

  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  const resetAll = (): number => {
    const all = [...open];
    for (const reset of all) reset();
    return all.length;
  };
  onTestFinished(async () => {
    const closed = new Promise((over) => server.close(over));
    resetAll();
    await closed;
  });
  return {
    link: (other) => Object.assign(new URL(other), { port }).href,
    become(next = {}) {
      line = { ...SOUND, ...next };
      for (const pump of [...pumps]) pump();
    },
    decide(fate) {
      fateOf = fate;
    },
    reset: resetAll,
    receipts,
    answered,
  };
}

/** Not everything that a peer sends has a meaning. */
function decoded<T>(decode: (frame: Uint8Array) => T, frame: Uint8Array): T | undefined {
  try {
    return decode(frame);
  } catch {
    return undefined;
  }
}

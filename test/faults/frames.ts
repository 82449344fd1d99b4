/**
 * What goes over one connection of a host, seen from the middle: HTTP first, and WebSocket frames (RFC 6455) once the
 * connection was upgraded. Each frame is kept back until it is whole, so that a fault can strike in its middle.
 */

/** Bytes to pass on. `message`: the payload of a binary message; `path`: an HTTP request begins with these bytes. */
export interface Piece {
  readonly bytes: Buffer;
  readonly message?: Uint8Array;
  readonly path?: string;
}

const BINARY = 2;

/** One direction of a connection. */
export class Splitter {
  #rest: Buffer = Buffer.alloc(0);
  #framed = false;

  /** Cuts off what is whole. */
  push(bytes: Buffer): Piece[] {
    if (!this.#framed) return this.#http(bytes);
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const pieces: Piece[] = [];
    for (let piece = this.#frame(); piece !== undefined; piece = this.#frame()) pieces.push(piece);
    return pieces;
  }

  /** Heads of requests and answers come in one piece here: they are short. */
  #http(bytes: Buffer): Piece[] {
    const end = bytes.indexOf('\r\n\r\n');
    const head = end < 0 ? '' : bytes.toString('latin1', 0, end);
    const path = /^GET (\S+)/.exec(head)?.[1];
    const piece = (some: Buffer): Piece => ({ bytes: some, ...(path === undefined ? {} : { path }) });
    if (!/^upgrade: *websocket/im.test(head)) return [piece(bytes)];
    this.#framed = true;
    return [piece(bytes.subarray(0, end + 4)), ...this.push(bytes.subarray(end + 4))];
  }

  #frame(): Piece | undefined {
    const all = this.#rest;
    if (all.length < 2) return undefined;
    const short = all[1]! & 127;
    const masked = all[1]! >= 128;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const start = 2 + lengthBytes + (masked ? 4 : 0);
    if (all.length < start) return undefined;
    const length = lengthBytes === 0 ? short : Number(lengthBytes === 2 ? all.readUInt16BE(2) : all.readBigUInt64BE(2));
    if (all.length < start + length) return undefined;
    const bytes = all.subarray(0, start + length);
    this.#rest = all.subarray(start + length);
    if ((all[0]! & 15) !== BINARY) return { bytes };
    const mask = all.subarray(start - 4, start);
    const payload = bytes.subarray(start);
    return { bytes, message: Uint8Array.from(payload, (octet, i) => (masked ? octet ^ mask[i & 3]! : octet)) };
  }
}

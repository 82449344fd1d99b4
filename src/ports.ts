/**
 * What we borrow: interfaces only. Each has an acceptance suite under test/suites, and at least two implementations.
 *
 * @module
 */
import type { Graph } from './nouns.ts';

export type TypedArray = Float32Array | Int32Array | Int8Array | Uint8Array;

/** Runs programs. ONNX Runtime is one; the plain TypeScript interpreter, the oracle of the tests, is another. */
export interface Engine {
  readonly name: string;
  compile(graph: Graph): Promise<Program>;
}

/** A compiled graph. Feeds and outputs are read and written in place: nothing is copied. */
export interface Program {
  /** @param feeds one array per graph input, row-major. @param outputs one per graph output, overwritten. */
  run(feeds: Readonly<Record<string, TypedArray>>, outputs: Readonly<Record<string, TypedArray>>): Promise<void>;
  release(): Promise<void>;
}

/** One end of a connection that carries whole frames, in order. */
export interface Channel {
  /** Queues a frame. After `close` it is dropped. */
  send(frame: Uint8Array): void;
  close(reason: string): void;
  /** Octets the socket below has moved so far, its own framing included. */
  traffic(): { readonly received: number; readonly sent: number };
  /**
   * Ends the connection when more than so many octets more have come, before they are kept; undefined: it may bring what
   * it likes from now on, and counts as a stranger no more.
   */
  confine?(octets: number | undefined): void;
}

/** What a channel tells its owner. `closed` comes once and last. */
export interface ChannelEvents {
  frame(bytes: Uint8Array): void;
  closed(reason: string): void;
}

/** Accepts and opens channels. */
export interface Transport {
  /** Calls `accept` for every newcomer; what it returns hears that channel. Resolves to the address to dial. */
  listen(accept: (channel: Channel) => ChannelEvents): Promise<string>;
  dial(address: string, events: ChannelEvents): Promise<Channel>;
  close(): Promise<void>;
}

/** An append-only sequence of bytes that survives a crash up to the last `sync`. */
export interface Store {
  readonly name: string;
  /** All bytes, from the start. */
  read(): Promise<Uint8Array>;
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything appended so far is on stable storage. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/** Bytes at places of a file, for what does not fit into memory. Nobody else reads it, and it need not outlive a crash. */
export interface PageFile {
  /** Fills `into` from byte `at` on. */
  read(at: number, into: Uint8Array): Promise<void>;
  write(at: number, from: Uint8Array): Promise<void>;
  /** The file is gone then. */
  close(): Promise<void>;
}

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls back after `ms`; the result cancels it. */
  after(ms: number, callback: () => void): () => void;
}

/** DEFLATE (RFC 1951) without a header: zlib in Node. */
export interface Compressor {
  deflate(bytes: Uint8Array): Uint8Array;
  /** @returns undefined for bytes that are no DEFLATE, or come to more than `most`. */
  inflate(bytes: Uint8Array, most: number): Uint8Array | undefined;
}

/** Bytes by their SHA-256. What was put before `sync` resolves survives a crash where the store does. */
export interface ChunkStore {
  get(hash: string): Promise<Uint8Array | undefined>;
  has(hash: string): boolean;
  put(hash: string, bytes: Uint8Array): Promise<void>;
  drop(hash: string): Promise<void>;
  sync(): Promise<void>;
}

/** Hashing and signatures: node:crypto in Node. All synchronous. */
export interface Crypto {
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** Ed25519. @param secret 32-byte seed. @returns 64 bytes. */
  sign(secret: Uint8Array, message: Uint8Array): Uint8Array;
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  publicKey(secret: Uint8Array): Uint8Array;
}

/**
 * What a host does in a run that exchanges vectors: it fetches the chunks of every share that a peer offers, has the
 * shares of a closed round made one change, and gives that to everybody.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { isMixed } from '../method/exchange.ts';
import type { ChunkMessage, Exchange, Merge, Segment } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { ChunkStore, Compressor, Crypto } from '../ports.ts';
import { decodeOffer, type Offer } from '../wire/chunks.ts';
import { type Haul, openHaul } from './haul.ts';
import type { ExchangeMemory, Exchanger, Merged } from './replica.ts';

/** What a host of such a run is given besides. */
export interface ExchangePorts {
  /** Chunks of shares, until they are merged. What is receipted must survive a crash. */
  readonly offers: ChunkStore;
  /** Chunks of merges: the journal is nothing without them. */
  readonly merges: ChunkStore;
  readonly compressor: Compressor;
  /** What an earlier host kept. Of another round than the journal's, its momentum begins anew. */
  readonly memory?: ExchangeMemory | undefined;
}

export interface ExchangeHost {
  /** The offer of a contribution to `round`. @throws {Fault} SHARE_INVALID where it is of another length than weights have */
  offerOf(round: number, codes: Int8Array): Offer;
  /** Whether all chunks of an offer are here. */
  holds(codes: Int8Array): boolean;
  /** Fetches those that are not, to stable storage. @throws {Fault} when the channel is gone */
  collect(channel: number, offer: Offer): Promise<void>;
  hear(channel: number, message: ChunkMessage): Promise<void>;
  left(channel: number): void;
  /** @returns undefined where no share is of use; slots whose shares are none. */
  merge(
    round: number,
    segments: readonly Segment[],
  ): Promise<{ readonly merge?: Merge; readonly refused: readonly number[] }>;
  /** With its chunks, which must be here. @throws {Fault} FILE_MISSING */
  merged(merge: Merge): Promise<Merged>;
  /** Forgets the chunks of shares that no peer may fetch. */
  forget(): Promise<void>;
  /** Nobody fetches any more. */
  close(): Promise<void>;
}

/** @param sizes chunks of a vector of each fragment. */
export function exchangeHost(
  { offers, merges, compressor }: ExchangePorts,
  exchange: Exchange,
  exchanger: Exchanger,
  sizes: readonly number[],
  crypto: Crypto,
  send: (channel: number, message: ChunkMessage) => void,
): ExchangeHost {
  const hauls = new Map<number, Haul>();
  /** Chunks that are not needed when their round is over. */
  const offered = new Set<string>();
  /** Chunks of the shares that the last merge was made of, where peers hear each other: they fetch them when it is made. */
  let heard: ReadonlySet<string> = new Set();
  const store: ChunkStore = {
    get: async (hash) => (heard.has(hash) ? offers.get(hash) : merges.get(hash)),
    has: (hash) => offers.has(hash),
    put: (hash, bytes) => offers.put(hash, bytes),
    drop: (hash) => offers.drop(hash),
    sync: () => offers.sync(),
  };
  const packed = new Map<string, Uint8Array>();
  const haulOf = (channel: number): Haul => {
    const known = hauls.get(channel);
    if (known) return known;
    const haul = openHaul({ store, compressor, crypto, packed, send: (message) => send(channel, message) });
    hauls.set(channel, haul);
    return haul;
  };
  const found = async (from: ChunkStore, hash: Uint8Array): Promise<Uint8Array> => {
    const bytes = await from.get(toHex(hash));
    if (bytes === undefined)
      throw new Fault('FILE_MISSING', `chunk ${toHex(hash)} of the run is gone; copy the whole output_dir`);
    return bytes;
  };

  return {
    offerOf(round, codes) {
      const offer = decodeOffer(codes);
      const expected = sizes[round % sizes.length]!;
      if (offer.hashes.length !== 0 && offer.hashes.length !== expected)
        throw new Fault('SHARE_INVALID', `a share of ${offer.hashes.length} chunks, the weights have ${expected}`);
      return offer;
    },
    holds: (codes) => decodeOffer(codes).hashes.every((hash) => offers.has(toHex(hash))),
    async collect(channel, { hashes }) {
      const haul = haulOf(channel);
      const names = hashes.map(toHex);
      const note = (): void => names.forEach((name) => void offered.add(name));
      // Those that have come may be forgotten while others are on their way.
      do {
        note();
        await haul.collect(hashes);
        note();
        await offers.sync();
      } while (!names.every((name) => offers.has(name)));
    },
    hear: (channel, message) => haulOf(channel).hear(message),
    left(channel) {
      hauls.get(channel)?.end(new Fault('HOST_UNREACHABLE', 'the peer is gone'));
      hauls.delete(channel);
    },
    async merge(round, segments) {
      const digests = new Map(segments.map(({ slot, codes }) => [slot, crypto.sha256(octets(codes))]));
      const shares = await Promise.all(
        segments.map(async ({ slot, codes }) => {
          const { count, hashes } = decodeOffer(codes);
          return { slot, count, chunks: await Promise.all(hashes.map((hash) => found(offers, hash))) };
        }),
      );
      const { chunks, refused } = await exchanger.reduce(shares);
      if (chunks.length === 0) return { refused };
      const hashes = chunks.map((chunk) => crypto.sha256(chunk));
      for (const [i, chunk] of chunks.entries()) await merges.put(toHex(hashes[i]!), chunk);
      await merges.sync();
      const used = segments.filter(({ slot }) => !refused.includes(slot));
      if (isMixed(exchange)) await letHear(used);
      const own = used.map(({ slot, from, codes }) => ({
        ...{ slot, from, count: decodeOffer(codes).count, digest: digests.get(slot)! },
      }));
      return { merge: { round, shares: own.sort((a, b) => a.slot - b.slot), chunks: hashes }, refused };
    },
    async merged(merge) {
      return { merge, chunks: await Promise.all(merge.chunks.map((hash) => found(merges, hash))) };
    },
    async forget() {
      for (const hash of offered) if (!heard.has(hash)) await offers.drop(hash);
      offered.clear();
    },
    async close() {
      for (const hash of heard) await offers.drop(hash);
      heard = new Set();
    },
  };

  /** From now on peers may have these shares, and none before. What a peer signed is a chunk too: it names the others. */
  async function letHear(used: readonly Segment[]): Promise<void> {
    for (const hash of heard) offered.add(hash);
    const names = used.flatMap(({ codes }) => decodeOffer(codes).hashes.map(toHex));
    for (const { codes } of used) {
      const name = toHex(crypto.sha256(octets(codes)));
      await offers.put(name, octets(codes));
      names.push(name);
    }
    heard = new Set(names);
  }
}

/** Hashes of the chunks of contributions that are kept. @throws {Fault} FRAME_INVALID */
export const offeredIn = (kept: readonly { readonly codes: Int8Array }[]): Set<string> =>
  new Set(kept.flatMap(({ codes }) => decodeOffer(codes).hashes.map(toHex)));

const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

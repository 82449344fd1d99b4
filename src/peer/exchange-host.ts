/**
 * What a host does in a run that exchanges vectors: it fetches the chunks of every share that a peer offers, has the
 * shares of a closed round made one change, and gives that to everybody.
 *
 * @module
 */
import { decodeFloats } from '../compress/formats.ts';
import { Fault } from '../faults.ts';
import { isMixed } from '../method/exchange.ts';
import {
  type ChunkMessage,
  type Exchange,
  MAX_RECORD_BYTES,
  type Merge,
  type MergeAnswer,
  type MergeOrder,
  type Segment,
} from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { ChunkStore, Clock, Compressor, Crypto } from '../ports.ts';
import { decodeOffer, type Offer } from '../wire/chunks.ts';
import { type Haul, openHaul } from './haul.ts';
import { type Held, type Maker, makeMerge } from './makers.ts';
import type { ExchangeMemory, Exchanger, Merged, Sizes } from './replica.ts';

/** What a host of such a run is given besides. */
export interface ExchangePorts {
  /** Chunks of shares, until they are merged. What is receipted must survive a crash. */
  readonly offers: ChunkStore;
  /** Chunks of merges: the journal is nothing without them. */
  readonly merges: ChunkStore;
  readonly compressor: Compressor;
  /** Whether peers make the merges, some parts each, and keep what an optimizer keeps of these. */
  readonly sharded: boolean;
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
  hear(channel: number, message: ChunkMessage | MergeAnswer): Promise<void>;
  left(channel: number): void;
  /** @returns undefined where no share is of use; slots whose shares are none. */
  merge(
    round: number,
    segments: readonly Segment[],
    /** Channels of the peers that make it, by slot; without any the host does. */
    makers: ReadonlyMap<number, number>,
  ): Promise<{ readonly merge?: Merge; readonly refused: readonly number[] }>;
  /** With its chunks, which must be here. @throws {Fault} FILE_MISSING */
  merged(merge: Merge): Promise<Merged>;
  /** Forgets the chunks of shares that no peer may fetch. */
  forget(): Promise<void>;
  /** Nobody fetches any more. */
  close(): Promise<void>;
}

/** A peer that makes parts of a merge and says nothing for so long, not even that it wants a chunk, is given up. */
const IDLE_MS = 15_000;

/** Chunks that one `sum` names at most: a frame holds a megabyte. */
const MOST_NAMED = MAX_RECORD_BYTES / 64;

/** An answer that is waited for on a channel. */
interface Awaited {
  take(message: MergeAnswer): void;
  rearm(): void;
  fail(fault: Fault): void;
}

export interface ExchangeHostOptions {
  readonly ports: ExchangePorts;
  readonly exchange: Exchange;
  readonly exchanger: Exchanger;
  readonly sizes: Sizes;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly send: (channel: number, message: ChunkMessage | MergeOrder) => void;
  /** A peer did not make its parts of a merge. */
  readonly onFailed: (slot: number, fault: Fault) => void;
}

export function exchangeHost({
  ports: { offers, merges, compressor },
  exchange,
  exchanger,
  sizes,
  crypto,
  clock,
  send,
  onFailed,
}: ExchangeHostOptions): ExchangeHost {
  const hauls = new Map<number, Haul>();
  /** Chunks that are not needed when their round is over. */
  const offered = new Set<string>();
  /** Chunks of the shares that the last merge was made of, where peers hear each other: they fetch them when it is made. */
  let heard: ReadonlySet<string> = new Set();
  /** Chunks of the shares that peers are making a merge of. */
  let lent: ReadonlySet<string> = new Set();
  const answers = new Map<number, Awaited>();
  let attempts = 0;
  const store: ChunkStore = {
    get: async (hash) => (heard.has(hash) || lent.has(hash) ? offers.get(hash) : merges.get(hash)),
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
      const expected = sizes[round % sizes.length]!.flat().length;
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
    async hear(channel, message) {
      const awaited = answers.get(channel);
      awaited?.rearm();
      if (message.type === 'want' || message.type === 'chunk') await haulOf(channel).hear(message);
      else awaited?.take(message); // what nobody waits for any more is of an attempt that is over
    },
    left(channel) {
      answers.get(channel)?.fail(new Fault('HOST_UNREACHABLE', 'the peer is gone'));
      hauls.get(channel)?.end(new Fault('HOST_UNREACHABLE', 'the peer is gone'));
      hauls.delete(channel);
    },
    async merge(round, segments, makers) {
      const given = segments.map(({ slot, codes }): Held => ({ slot, ...decodeOffer(codes) }));
      const parts = sizes[round % sizes.length]!;
      lent = new Set(makers.size > 0 ? given.flatMap(({ hashes }) => hashes.map(toHex)) : []);
      const remote = new Map([...makers].map(([slot, channel]) => [slot, maker(channel, round, parts)]));
      const { hashes, refused } = await makeMerge(
        parts.map(({ length }) => length),
        given,
        remote,
        here(parts),
        onFailed,
      );
      lent = new Set();
      if (hashes.length === 0) return { refused };
      await merges.sync();
      const used = segments.filter(({ slot }) => !refused.includes(slot));
      if (isMixed(exchange)) await letHear(used);
      const own = used.map(({ slot, from, codes }) => ({
        ...{ slot, from, count: decodeOffer(codes).count, digest: crypto.sha256(octets(codes)) },
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

  /** The host itself makes parts. */
  function here(parts: Sizes[number]): Maker {
    const namesOf = namer(parts);
    return {
      async sum(shares, own) {
        const given = shares.map(async ({ slot, count, hashes }) => {
          const names = namesOf(hashes, own);
          return { slot, count, chunks: await Promise.all(names.map((hash) => found(offers, hash))) };
        });
        return exchanger.sum(await Promise.all(given), own);
      },
      async settle(norm) {
        const chunks = await exchanger.settle(norm);
        const hashes = chunks.map((chunk) => crypto.sha256(chunk));
        for (const [i, chunk] of chunks.entries()) await merges.put(toHex(hashes[i]!), chunk);
        return hashes;
      },
    };
  }

  /**
   * What a peer is waited for, until it falls silent or goes.
   * @param begin @returns what hears its answers.
   */
  function patiently<T>(
    channel: number,
    begin: (done: (value: T) => void, fail: (fault: Fault) => void) => (message: MergeAnswer) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let cancel = (): void => undefined;
      const end = (act: () => void): void => {
        cancel();
        answers.delete(channel);
        act();
      };
      const fail = (fault: Fault): void => end(() => reject(fault));
      const rearm = (): void => {
        cancel();
        cancel = clock.after(IDLE_MS, () => fail(new Fault('HOST_UNREACHABLE', `silent for ${IDLE_MS / 1000} s`)));
      };
      rearm();
      answers.set(channel, { take: begin((value) => end(() => resolve(value)), fail), rearm, fail });
    });
  }

  /** A peer makes parts, of a chunk each. */
  function maker(channel: number, round: number, parts: Sizes[number]): Maker {
    const namesOf = namer(parts);
    let attempt = 0;
    let own: readonly number[] = [];
    const answer = <T extends MergeAnswer['type']>(type: T): Promise<Extract<MergeAnswer, { readonly type: T }>> =>
      patiently(channel, (done) => (message) => {
        if (message.type === type && message.round === round && message.attempt === attempt) done(message as never);
      });
    const refuseUnless = (holds: boolean): void => {
      if (!holds) throw new Fault('SHARE_INVALID', 'parts of a merge are not as many as were asked for');
    };
    return {
      async sum(shares, of) {
        if (shares.length * of.length > MOST_NAMED)
          throw new Fault(
            'FRAME_TOO_LONG',
            `${of.length} parts of ${shares.length} shares are more than one peer is told`,
          );
        attempt = ++attempts;
        own = of;
        const answered = answer('summed');
        send(channel, {
          ...{ type: 'sum', round, attempt, shares: shares.map(({ slot, count }) => ({ slot, count })) },
          parts: of.map((part) => ({ part, hashes: shares.flatMap(({ hashes }) => namesOf(hashes, [part])) })),
        });
        const summed = await answered;
        refuseUnless(summed.squares.length === of.length && summed.squares.every((square) => square >= 0));
        return summed;
      },
      async settle(norm) {
        const answered = answer('settled');
        send(channel, { type: 'settle', round, attempt, norm });
        const { hashes } = await answered;
        refuseUnless(hashes.length === own.length);
        await patiently<void>(channel, (done, fail) => {
          haulOf(channel).collect(hashes).then(done, fail);
          return () => undefined;
        });
        for (const [i, hash] of hashes.entries()) {
          const name = toHex(hash);
          const chunk = await found(offers, hash);
          decodeFloats(exchange.format, chunk, parts[own[i]!]![0]!); // nobody could read it otherwise
          await merges.put(name, chunk);
          offered.add(name);
        }
        return hashes;
      },
    };
  }

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

/** @returns names of the chunks of some parts, part after part. */
function namer(parts: Sizes[number]) {
  let chunks = 0;
  const firsts = parts.map(({ length }) => (chunks += length) - length);
  return (hashes: readonly Uint8Array[], of: readonly number[]): Uint8Array[] =>
    of.flatMap((part) => hashes.slice(firsts[part]!, firsts[part]! + parts[part]!.length));
}

/** Hashes of the chunks of contributions that are kept. @throws {Fault} FRAME_INVALID */
export const offeredIn = (kept: readonly { readonly codes: Int8Array }[]): Set<string> =>
  new Set(kept.flatMap(({ codes }) => decodeOffer(codes).hashes.map(toHex)));

const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

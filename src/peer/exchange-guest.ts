/**
 * A peer's part in a run that exchanges vectors: it takes its steps of a round, offers what they came to, and goes on
 * while that is on its way, if the run has it so. It outlives connections.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { isLocal, isMixed, isPipelined } from '../method/exchange.ts';
import type { ChunkMessage, Exchange, Merge, MergeAnswer, MergeOrder } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { Clock, Compressor, Crypto } from '../ports.ts';
import { decodeOffer, encodeOffer } from '../wire/chunks.ts';
import type { ParticipantEvent } from './events.ts';
import { type Haul, memoryChunks, openHaul } from './haul.ts';
import type { Letter, Parcel } from './inbox.ts';
import { isSenseless } from './passing.ts';
import type { Exchanger, MemoryKeeper, Merged } from './replica.ts';

/** Part of a deadline after which what is done is sent: the rest is for the way to the host. */
const SEND_BY = 0.75;
/** What a peer remembers is written so often: it costs twelve bytes a weight. */
const KEEP_MS = 10_000;

const NO_STEPS = { round: -1, slot: -1, steps: 0, losses: 0, norm: 0 };

export interface Assigned {
  readonly slot: number;
  readonly round: number;
  readonly count: number;
  readonly deadlineMs: number;
}

/** What the rest of the peer lets a round know. */
export interface Surroundings {
  /** Reads what has come in. @returns whether there is something else to do than this round. */
  interrupted(): Promise<boolean>;
  /** Ends at the next step, and gives what there is. */
  stopping(): boolean;
}

export interface ExchangeGuest {
  /** A connection begins. @param fail is told why it is of no use any more. */
  connect(send: (message: ChunkMessage | MergeAnswer) => void, fail: (fault: Fault) => void): void;
  hear(message: Parcel): void;
  /** It has ended: what is waited for on it will not come. */
  disconnect(fault: Fault): void;
  /**
   * Whether a round is over for who takes steps meanwhile: its merge is here and not only the news of it, for which it is
   * sent; or it was opened again.
   * @param next message that waits. @param merge if it is in the journal.
   */
  isOver(next: Letter | undefined, round: number, merge: Merge | undefined): boolean;
  /** A merge with its chunks, from the host. @throws {Fault} HOST_UNREACHABLE */
  bring(merge: Merge): Promise<Merged>;
  /** Takes the steps of a round. @returns the octets to be contributed; undefined when something else came up. */
  measure(assigned: Assigned, around: Surroundings): Promise<Int8Array | undefined>;
  /** The contribution has left: steps of the next round, as many as the run allows, until there is something to do. */
  goOn(assigned: Assigned, around: Surroundings): Promise<void>;
  /** Goes on from what an earlier process kept, once. */
  remember(run: Uint8Array): Promise<void>;
  /** Keeps what a later process would need, between two rounds. @param round merged so far. @param now not only if it was long ago. */
  keep(run: Uint8Array, round: number, now: boolean): Promise<void>;
  /** Rounds were taken back: what was made for later ones is of weights that are no more. */
  restart(): void;
  /** The host has the share of a round. */
  received(round: number): void;
}

export interface ExchangeGuestOptions {
  /** undefined in a run that exchanges bytes. */
  readonly exchange: () => Exchange | undefined;
  readonly exchanger: () => Exchanger;
  readonly compressor: Compressor;
  readonly crypto: Pick<Crypto, 'sha256'>;
  readonly clock: Clock;
  readonly emit: (event: ParticipantEvent) => void;
  readonly memory: MemoryKeeper | undefined;
}

export function exchangeGuest({
  exchange,
  exchanger,
  compressor,
  crypto,
  clock,
  emit,
  memory,
}: ExchangeGuestOptions): ExchangeGuest {
  const store = memoryChunks();
  let haul: Haul | undefined;
  let answer: (message: MergeAnswer) => void = () => undefined;
  let blame: (fault: Fault) => void = () => undefined;
  /** Chunks of parts of a merge that were made here last: they are given away, and may be in the journal. */
  let made: readonly string[] = [];
  let makes = false;
  /** Steps taken of a round; survive a connection, and a round that is opened again. */
  let taken = { ...NO_STEPS };
  let offered: { readonly round: number; readonly codes: Int8Array; readonly hashes: readonly string[] } | undefined;
  let sentAt = 0;
  /** The merge that is being fetched, on the present connection. */
  let underway: { readonly round: number; readonly here: Promise<void> } | undefined;
  let remembered = false;
  let keptAt = clock.now();
  /** When steps were taken lately, milliseconds. */
  const busy: { readonly from: number; readonly to: number }[] = [];

  async function step(slot: number, round: number): Promise<void> {
    if (taken.round !== round) taken = { round, slot, steps: 0, losses: 0, norm: 0 };
    const from = clock.now();
    const { loss, grad_norm } = await exchanger().train(slot, round, taken.steps, 1);
    busy.push({ from, to: clock.now() });
    taken = { round, slot, steps: taken.steps + 1, losses: taken.losses + loss, norm: grad_norm };
  }

  /** What went over the line since `from`, and how much of that time steps were taken. */
  function moved(round: number, what: 'share' | 'merge', from: number): void {
    const to = clock.now();
    while (busy.length > 0 && busy[0]!.to < from) busy.shift();
    const hidden_ms = busy.reduce((sum, b) => sum + Math.max(0, Math.min(to, b.to) - Math.max(from, b.from)), 0);
    emit({ event: 'moved', round, what, ms: to - from, hidden_ms });
  }

  function fetchMerge(merge: Merge): Promise<void> {
    const began = clock.now();
    const here = haul!.collect(merge.chunks).then(() => moved(merge.round, 'merge', began));
    underway = { round: merge.round, here };
    return here;
  }

  /** Chunks that are here, and then are not. */
  async function takeAll(hashes: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const names = hashes.map(toHex);
    const chunks = await Promise.all(names.map(async (name) => (await store.get(name))!));
    // The host may still be fetching our own, and somebody else's may be the same.
    for (const name of names) if (!offered?.hashes.includes(name)) await store.drop(name);
    return chunks;
  }

  /** What the others gave to a merge. Whoever is slow finds that some of it is gone, and does without. */
  async function othersOf({ shares }: Merge): Promise<Uint8Array[][]> {
    const found: Uint8Array[][] = [];
    // One after the other: a liar's may be a copy of another's, and is as many chunks.
    for (const { slot, digest } of shares) {
      if (slot === taken.slot) continue;
      try {
        await haul!.collect([digest]);
        const [signed] = await takeAll([digest]);
        const { hashes } = decodeOffer(new Int8Array(signed!.buffer, signed!.byteOffset, signed!.length));
        await haul!.collect(hashes);
        found.push(await takeAll(hashes));
      } catch (error) {
        if (!(error instanceof Fault && error.code === 'FILE_MISSING')) throw error;
      }
    }
    return found;
  }

  /** Makes parts of a merge. What goes wrong with the order itself is of an attempt that is over. */
  async function carryOut(order: MergeOrder): Promise<void> {
    const { round, attempt } = order;
    try {
      if (order.type === 'settle') {
        const chunks = await exchanger().settle(order.norm);
        const hashes = chunks.map((chunk) => crypto.sha256(chunk));
        for (const [i, chunk] of chunks.entries()) await store.put(toHex(hashes[i]!), chunk);
        made = hashes.map(toHex);
        makes = true;
        answer({ type: 'settled', round, attempt, hashes });
        return;
      }
      for (const name of made) await store.drop(name);
      made = [];
      const { shares, parts } = order;
      if (parts.some(({ hashes }) => hashes.length !== shares.length))
        throw new Fault('MESSAGE_UNEXPECTED', `a sum of ${shares.length} shares names other numbers of chunks`);
      await haul!.collect(parts.flatMap(({ hashes }) => hashes));
      const given = shares.map(async (share, i) => ({
        ...share,
        chunks: await Promise.all(parts.map(async ({ hashes }) => (await store.get(toHex(hashes[i]!)))!)),
      }));
      const { squares, refused } = await exchanger().sum(
        await Promise.all(given),
        parts.map(({ part }) => part),
      );
      await takeAll(parts.flatMap(({ hashes }) => hashes));
      answer({ type: 'summed', round, attempt, squares, refused });
    } catch (error) {
      if (!(error instanceof Fault && ['FILE_MISSING', 'HOST_UNREACHABLE'].includes(error.code))) throw error;
    }
  }

  return {
    connect(send, fail) {
      underway = undefined;
      haul = openHaul({ store, compressor, crypto, send });
      answer = send;
      blame = fail;
    },
    hear(message) {
      if (exchange() === undefined)
        throw new Fault('MESSAGE_UNEXPECTED', `the host sent ${message.type} in a run that exchanges no vectors`);
      // Of a chunk that is wrong the host is to blame: another connection may bring the right one.
      const done = message.type === 'want' || message.type === 'chunk' ? haul?.hear(message) : carryOut(message);
      done?.catch((error) => {
        if (error instanceof Fault) blame(new Fault('DOWNLOAD_FAILED', error.detail));
        else if (isSenseless(error))
          blame(new Fault('MESSAGE_UNEXPECTED', `the host's ${message.type} makes no sense`));
        else throw error;
      });
    },
    disconnect: (fault) => haul?.end(fault),

    isOver(next, round, merge) {
      if (next?.type === 'open' && next.round === round) return true;
      if (merge === undefined) return false;
      if (merge.chunks.every((hash) => store.has(toHex(hash)))) return true;
      // Whoever waits for it in `bring` hears of what goes wrong.
      if (underway?.round !== merge.round) fetchMerge(merge).catch(() => undefined);
      return false;
    },

    async bring(merge) {
      if (underway?.round !== merge.round) fetchMerge(merge).catch(() => undefined);
      await underway!.here;
      underway = undefined;
      const chunks = await takeAll(merge.chunks);
      const hears = isMixed(exchange()!) && taken.round === merge.round;
      return hears ? { merge, chunks, others: await othersOf(merge) } : { merge, chunks };
    },

    async measure({ slot, round, count, deadlineMs }, { interrupted, stopping }) {
      if (offered?.round === round && offered.hashes.length > 0) return offered.codes;
      const began = clock.now();
      // Where steps go on all the time, what there is when a round opens is its share.
      const enough = isPipelined(exchange()!) ? 1 : count;
      while (!(taken.round === round && taken.steps >= enough)) {
        const late = clock.now() - began > SEND_BY * deadlineMs || stopping();
        if (late && taken.round === round && taken.steps > 0) break;
        await step(slot, round);
        if (await interrupted()) return undefined;
      }
      const { steps, losses, norm } = taken;
      const chunks = (await exchanger().share(slot, round)) ?? [];
      for (const hash of offered?.hashes ?? []) await store.drop(hash);
      const hashes = chunks.map((chunk) => crypto.sha256(chunk));
      for (const [i, chunk] of chunks.entries()) await store.put(toHex(hashes[i]!), chunk);
      offered = { round, codes: encodeOffer({ count: steps, hashes }), hashes: hashes.map(toHex) };
      sentAt = clock.now();
      emit({ event: 'trained', round, steps, loss: losses / steps, grad_norm: norm, ms: sentAt - began });
      return offered.codes;
    },

    async goOn({ slot, round }, { interrupted, stopping }) {
      const own = exchange()!;
      const most = isPipelined(own) ? own.steps : own.overlap;
      while (most > 0 && !stopping() && !(taken.round === round + 1 && taken.steps >= most)) {
        if (await interrupted()) return;
        await step(slot, round + 1);
      }
    },

    async remember(run) {
      if (remembered || exchange() === undefined) return;
      remembered = true;
      const kept = await memory?.read(run);
      if (kept) await exchanger().recall(kept);
    },
    async keep(run, round, now) {
      // Of gradients nothing stays with the peer but what it keeps of the parts that it makes.
      const own = exchange();
      if (memory === undefined || own === undefined || !(isLocal(own) ? taken.round < round : makes)) return;
      if (!now && clock.now() - keptAt < KEEP_MS) return;
      keptAt = clock.now();
      await memory.write(run, await exchanger().memory());
    },
    restart() {
      for (const name of offered?.hashes ?? []) void store.drop(name);
      offered = undefined;
      taken = { ...NO_STEPS };
    },
    received: (round) => moved(round, 'share', sentAt),
  };
}

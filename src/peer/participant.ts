/**
 * A peer: joins a run, follows its journal, measures what it is assigned, and comes back after every disturbance. Its
 * key is what it is: a new connection continues where the last one broke off.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Hex, HostMessage, Manifest } from '../nouns.ts';
import { equalBytes, toHex } from '../numeric/bytes.ts';
import { printable } from '../numeric/text.ts';
import { headerOf } from '../optimizer/header.ts';
import type { Channel, Clock, Compressor, Crypto, Transport } from '../ports.ts';
import { decodeOffer } from '../wire/chunks.ts';
import { MAX_NAME_BYTES, PROTOCOL_VERSION } from '../wire/limits.ts';
import { encodePeerMessage } from '../wire/messages.ts';
import { challengeMessage, contributionMessage } from '../wire/signed.ts';
import { RETURN_MS, retryMs } from './backoff.ts';
import { addTraffic, type Traffic } from './door.ts';
import type { ParticipantEvent } from './events.ts';
import { exchangeGuest } from './exchange-guest.ts';
import type { Fetcher } from './fetcher.ts';
import { Follower, type FollowerOptions } from './follower.ts';
import { GOODBYE } from './goodbye.ts';
import { expect, Inbox, type Letter } from './inbox.ts';
import { isPassing } from './passing.ts';
import type { MemoryKeeper, Replica } from './replica.ts';

/** Records measured side by side in one call: large enough for a batch, small enough to hear a commit in between. */
export const CHUNK = 16;
/** Part of a deadline after which what is done is sent: the rest is for the way to the host. */
const SEND_BY = 0.75;
/** A round that follows a commit is opened within this, if it is for this peer. */
const WORK_MS = 10;
/** The host answers a handshake within this, or it is not there. */
const HANDSHAKE_MS = 15_000;
/** A host that was never reached is given up after this: the link is wrong more often than the host is slow. */
const FIRST_CONTACT_MS = 20_000;
const NEWS: ReadonlySet<string> = new Set(['commit', 'receipt', 'snapshot'] satisfies Letter['type'][]);
const isNews = (letter: Letter | undefined): boolean => letter !== undefined && NEWS.has(letter.type);
/** A device whose weights drift this often without a good round between cannot do this arithmetic. */
const MAX_DRIFTS = 3;

export interface ParticipantOptions {
  readonly transport: Pick<Transport, 'dial'>;
  /** As `Transport.listen` gave it to the host. */
  readonly address: string;
  readonly fetcher: Fetcher;
  readonly joinCode: string;
  readonly crypto: Crypto;
  /** Ed25519 seed: the peer's identity. */
  readonly secret: Uint8Array;
  /** For people; cut to fit. */
  readonly name: string;
  readonly clock: Clock;
  readonly entropy: (bytes: number) => Uint8Array;
  /** Weights of the base. Called once, and again after a drift. */
  readonly makeReplica: (manifest: Manifest, run: Uint8Array) => Promise<Replica>;
  readonly compressor: Compressor;
  /** Rounds between two checksums that the host compares with its own. */
  readonly checksumSteps: number;
  readonly memory?: MemoryKeeper;
  readonly snapshots?: Omit<FollowerOptions, 'emit'>;
  /** How long a host that was there may stay away. */
  readonly patienceMs: number;
  readonly onEvent?: (event: ParticipantEvent) => void;
}

export interface ParticipantOutcome {
  readonly reason: 'done' | 'stopped';
  readonly slot: number | undefined;
  /** Rounds applied. */
  readonly round: number;
  /** One-byte gradients sent, or inner steps taken. */
  readonly records: number;
  /** Merkle root of the weights, where the run is done: equal to the one in the journal. */
  readonly root: Hex | undefined;
  readonly traffic: Traffic;
}

export interface Participant {
  /** @throws {Fault} what cannot be cured by trying again; HOST_UNREACHABLE when patience has run out */
  readonly finished: Promise<ParticipantOutcome>;
  /** Sends what is measured, and leaves. */
  stop(): void;
}

export function startParticipant(options: ParticipantOptions): Participant {
  const { transport, crypto, secret, clock, fetcher } = options;
  const emit = options.onEvent ?? (() => undefined);
  const key = crypto.publicKey(secret);
  const name = printable(options.name, MAX_NAME_BYTES);

  let follower: Follower | undefined;
  let traffic: Traffic = { payload: 0, wire: 0 };
  let slot: number | undefined;
  let records = 0;
  let stopping = false;
  let interrupt: () => void = () => undefined;
  let drifts = 0;
  /** What was measured of the open round; survives a connection. */
  let measured: { readonly round: number; readonly from: number; readonly codes: readonly number[] } | undefined;
  let msPerRecord: number | undefined;
  /** Revocations and rewinds that were heard of. */
  let revisions = 0;
  /** When the host was last there, and how long it may be away from then on. */
  let contact = clock.now();
  let patienceMs = Math.min(FIRST_CONTACT_MS, options.patienceMs);
  /** Since the last attempt, the host confirmed our weights. */
  let progress = false;

  /** Of a run that exchanges vectors. */
  const guest = exchangeGuest({
    exchange: () => follower?.manifest?.exchange,
    exchanger: () => follower!.replica.exchange!,
    ...{ compressor: options.compressor, crypto, clock, emit, memory: options.memory },
  });

  /** Until the end, or until something breaks. */
  async function session(): Promise<'done' | 'stopped'> {
    const inbox = new Inbox(guest.hear, guest.disconnect);
    interrupt = () => inbox.interrupt();
    let sent = 0;
    const channel = await transport.dial(options.address, inbox);
    let end: 'done' | 'stopped' | undefined;
    try {
      const send = (message: Parameters<typeof encodePeerMessage>[0]): void => {
        const frame = encodePeerMessage(message);
        sent += frame.length;
        channel.send(frame);
      };
      guest.connect(send, (fault) => inbox.fail(fault));
      await handshake(channel, inbox, send);
      end = await follow(inbox, send);
      return end;
    } finally {
      channel.close(end === 'done' ? GOODBYE.done : stopping ? GOODBYE.leaves : '');
      const { received, sent: out } = channel.traffic();
      traffic = addTraffic(traffic, { payload: inbox.received + sent, wire: received + out });
    }
  }

  type Send = (message: Parameters<typeof encodePeerMessage>[0]) => void;

  async function handshake(channel: Channel, inbox: Inbox, send: Send): Promise<void> {
    const cancel = clock.after(HANDSHAKE_MS, () => channel.close('the host did not answer'));
    send({ type: 'hello', version: PROTOCOL_VERSION, key, code: options.joinCode, name });
    const { nonce, run } = await expect(inbox, 'challenge');
    if (follower !== undefined && !equalBytes(follower.run, run))
      throw new Fault('JOURNAL_FOREIGN', 'the host serves another run now; join that one with its own link');
    follower ??= new Follower(crypto, run, options.makeReplica, { ...options.snapshots, emit });
    send({ type: 'prove', signature: crypto.sign(secret, challengeMessage(nonce, run, key)) });
    const admitted = await expect(inbox, 'admitted');
    cancel();
    slot = admitted.slot;
    contact = clock.now();
    patienceMs = options.patienceMs;
    emit({ event: 'connected', slot, head: admitted.head });
  }

  async function follow(inbox: Inbox, send: Send): Promise<'done' | 'stopped'> {
    const self = follower!;
    await self.fetch(fetcher);
    heardRevisions();
    while (!(await self.advance(fetcher, guest.bring)) || isNews(inbox.peek())) {
      if (stopping) return 'stopped';
      emit({ event: 'catchup', round: self.replica.round(), head: self.ledger.round });
      await absorb(inbox);
    }
    await guest.remember(self.run);
    await report(send, 'ready');
    emit({ event: 'ready', round: self.ledger.round });
    /** The round of an assignment that was not answered. */
    let owed: number | undefined;
    /** The host is to hear the checksum of the weights as they are. */
    let due = false;
    let { revisions: told } = self;
    for (;;) {
      contact = clock.now();
      const before = self.replica.round();
      if (!self.isUpToDate) {
        const began = clock.now();
        while (!(await self.advance(fetcher, guest.bring)));
        emit({ event: 'applied', round: self.replica.round(), ms: clock.now() - began });
        await guest.keep(self.run, self.ledger.round, false);
        progress = true;
        drifts = 0;
        const steps = options.checksumSteps;
        due = isFinal() || Math.floor(self.ledger.round / steps) > Math.floor(before / steps);
        // Whoever missed a round asks for work again: the host gives none to a peer that fell silent. So does who went back.
        if (owed !== undefined || self.revisions > told) {
          await report(send, 'ready');
          due = false;
        }
        owed = undefined;
        told = self.revisions;
      }
      if (due && isFinal()) {
        await report(send, 'checksum');
        due = false;
      }
      if (stopping) return 'stopped';
      // Work goes first: the round waits for it, and for a checksum nobody does. What is owed to the weights is then added
      // in the pass over them that measuring makes anyway.
      const cancel = due ? clock.after(WORK_MS, () => inbox.interrupt()) : () => undefined;
      const message = await inbox.next().finally(cancel);
      if (message?.type === 'done') return 'done';
      if (message?.type === 'open') owed = (await measure(inbox, send, message)) ? undefined : message.round;
      else if (message !== undefined) await take(message);
      if (due) await report(send, 'checksum');
      due = false;
    }
  }

  /** What was measured before something was taken back is of weights that are no more. */
  function heardRevisions(): void {
    const { revisions: now, ledger } = follower!;
    if (now === revisions) return;
    measured = undefined;
    guest.restart();
    revisions = now;
    if (follower!.appliedRounds > 0) emit({ event: 'revised', round: ledger.round });
  }

  const isFinal = (): boolean => follower!.ledger.round === follower!.ledger.manifest.max_steps;

  /** News that have come in. Anything else is left for `follow`. */
  async function absorb(inbox: Inbox): Promise<void> {
    while (isNews(inbox.peek())) await take((await inbox.next())!);
  }

  async function take(message: Letter): Promise<void> {
    const self = follower!;
    if (message.type === 'commit') {
      const before = self.ledger.round;
      if (!self.take(message.offset, message.record)) await self.fetch(fetcher);
      const { round } = self.ledger;
      if (round > before) emit({ event: 'round', round });
      heardRevisions();
    } else if (message.type === 'receipt') {
      const { round, from, count, signature } = message;
      if (measured?.round !== round || measured.from !== from || measured.codes.length !== count) return;
      self.takeReceipt({ round, slot: slot!, from, codes: Int8Array.from(measured.codes) }, signature);
      if (self.ledger.manifest.exchange) guest.received(round);
    } else if (message.type === 'snapshot') self.keep(message.round);
    else throw new Fault('MESSAGE_UNEXPECTED', `the host sent ${message.type} at the wrong time`);
  }

  async function report(send: Send, type: 'ready' | 'checksum'): Promise<void> {
    const { replica } = follower!;
    const began = clock.now();
    const checksum = await replica.checksum();
    const ms = clock.now() - began;
    const round = replica.round();
    send({ type, round, checksum });
    emit({ event: 'checksum', round, checksum: toHex(checksum), ms });
  }

  /**
   * Measures a range, or as much of it as fits into the deadline, and sends it.
   * @returns false if the round closed, or anything else came up, before that.
   */
  async function measure(
    inbox: Inbox,
    send: Send,
    open: Extract<HostMessage, { readonly type: 'open' }>,
  ): Promise<boolean> {
    const self = follower!;
    const { round, from, count, deadlineMs } = open;
    const { manifest, scale, round: head } = self.ledger;
    if (round !== head) throw new Fault('MESSAGE_UNEXPECTED', `the host opened round ${round}, the next is ${head}`);
    const most = manifest.exchange?.steps ?? manifest.records_per_round;
    if (count === 0 || from + count > most)
      throw new Fault('MESSAGE_UNEXPECTED', `the host wants ${from}+${count} of the ${most} records of a round`);
    if (manifest.exchange) return exchangeVectors(inbox, send, open);
    const header = headerOf(manifest, scale, round, 0); // gain and usable are known when it closes
    const started = clock.now();
    const chunk = CHUNK * (self.replica.width ?? 1);
    const codes = measured?.round === round && measured.from === from ? measured.codes.slice(0, count) : [];
    while (codes.length < count) {
      const left = SEND_BY * deadlineMs - (clock.now() - started);
      if (codes.length > 0 && left <= 0) break;
      const fits = msPerRecord === undefined ? chunk : Math.max(1, Math.floor(left / msPerRecord));
      const size = Math.min(chunk, fits, count - codes.length);
      const before = clock.now();
      codes.push(...(await self.replica.measure(header, from + codes.length, size)));
      msPerRecord = (clock.now() - before) / size;
      measured = { round, from, codes };
      await absorb(inbox);
      if (!self.isUpToDate || inbox.peek() !== undefined || inbox.ended) return false;
      if (stopping) break;
    }
    contribute(send, round, from, Int8Array.from(codes));
    records += codes.length;
    emit({ event: 'measured', round, records: codes.length, ms: clock.now() - started });
    return true;
  }

  function contribute(send: Send, round: number, from: number, codes: Int8Array): void {
    const { run: id, anchor } = follower!;
    const signature = crypto.sign(secret, contributionMessage(id, round, anchor, from, codes));
    send({ type: 'contribution', round, from, codes, signature });
    measured = { round, from, codes: [...codes] };
  }

  /** The same for a run that exchanges vectors. */
  async function exchangeVectors(
    inbox: Inbox,
    send: Send,
    { round, from, count, deadlineMs }: Extract<HostMessage, { readonly type: 'open' }>,
  ): Promise<boolean> {
    const self = follower!;
    const assigned = { slot: slot!, round, count, deadlineMs };
    const interrupted = (): Promise<boolean> => heard(() => self.ledger.round > round || inbox.peek() !== undefined);
    const heard = (holds: () => boolean): Promise<boolean> => absorb(inbox).then(() => inbox.ended || holds());
    const codes = await guest.measure(assigned, { interrupted, stopping: () => stopping });
    if (codes === undefined) return false;
    contribute(send, round, from, codes);
    records += decodeOffer(codes).count;
    const over = (): Promise<boolean> => heard(() => guest.isOver(inbox.peek(), round, self.mergeAt(round)));
    await guest.goOn(assigned, { interrupted: over, stopping: () => stopping });
    return true;
  }

  /** Sessions, one after another. */
  async function run(): Promise<ParticipantOutcome> {
    for (let attempt = 0; ; attempt++) {
      progress = false;
      try {
        if (stopping) return await outcome('stopped');
        return await outcome(await session());
      } catch (error) {
        if (stopping) return await outcome('stopped');
        if (!(error instanceof Fault) || !(await canRetry(error))) throw error;
        if (follower?.isComplete) return await outcome('done'); // the host may be gone, and is not needed
        if (progress) attempt = 0;
        const eager = follower?.hasAllRounds || clock.now() - contact < RETURN_MS;
        const waitMs = retryMs(attempt, options.entropy, eager);
        emit({ event: 'disconnected', code: error.code, detail: error.detail, retryMs: waitMs });
        await sleep(waitMs);
      }
    }
  }

  async function canRetry(fault: Fault): Promise<boolean> {
    if (!isPassing(fault)) return false;
    if (fault.code === 'DRIFT') {
      if (++drifts >= MAX_DRIFTS) return false;
      if (follower?.manifest !== undefined) emit({ event: 'rebuild', round: follower.ledger.round });
      measured = undefined;
      await follower?.discardReplica();
    }
    return clock.now() - contact < patienceMs;
  }

  const sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(ms, resolve);
      interrupt = () => {
        cancel();
        resolve();
      };
      if (stopping) interrupt();
    });

  async function outcome(reason: 'done' | 'stopped'): Promise<ParticipantOutcome> {
    const root = reason === 'done' ? toHex(await finalRoot(follower!)) : undefined;
    return { reason, slot, round: follower?.appliedRounds ?? 0, records, root, traffic };
  }

  async function leave(): Promise<void> {
    if (follower?.appliedRounds) await guest.keep(follower.run, follower.appliedRounds, true).catch(() => undefined);
    await follower?.discardReplica();
  }

  /** The root that the journal names. The host may be gone by now: weights that differ are rebuilt without it. */
  async function finalRoot(self: Follower): Promise<Uint8Array> {
    const digest = self.ledger.digests.get(self.ledger.round);
    for (let rebuilt = false; ; rebuilt = true) {
      while (!(await self.advance()));
      const root = await self.replica.root();
      if (digest !== undefined && equalBytes(root, digest)) return root;
      if (rebuilt || digest === undefined)
        throw new Fault('DRIFT', `the weights after ${self.ledger.round} rounds are not those of the journal`);
      emit({ event: 'rebuild', round: self.ledger.round });
      await self.discardReplica();
    }
  }

  const finished = run().finally(leave);
  finished.catch(() => undefined); // the caller may look later
  return {
    finished,
    stop() {
      stopping = true;
      interrupt();
    },
  };
}

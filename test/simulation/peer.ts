/**
 * A peer that computes next to nothing and believes as little as a real one: it follows the journal record by record,
 * measures what it is assigned, keeps its receipts, and cries when one is broken.
 */
import type { HostMessage, Round, Segment } from '../../src/nouns.ts';
import { equalBytes } from '../../src/numeric/bytes.ts';
import type { Crypto } from '../../src/ports.ts';
import { PROTOCOL_VERSION } from '../../src/wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { challengeMessage, contributionMessage, receiptMessage } from '../../src/wire/signed.ts';
import { checksumOf, follow, type Known, measure, rootOf } from './chain.ts';
import type { Distance, Line, Network, World } from './world.ts';

export interface Given {
  readonly round: number;
  readonly slot: number;
  readonly from: number;
  readonly codes: Int8Array;
}

/** Whoever watches over all peers. */
export interface Judge {
  /** What must never happen. Throws. */
  accuse(text: string): never;
  opened(round: number, deadlineMs: number): void;
  sent(given: Given): void;
  acknowledged(given: Given): void;
  /** Its slot was evicted: nothing that it was told counts any more. */
  evicted(slot: number): void;
}

export interface Surroundings {
  readonly world: World;
  readonly network: Network;
  readonly crypto: Crypto;
  readonly judge: Judge;
  readonly run: Uint8Array;
  readonly coordinator: Uint8Array;
  readonly joinCode: string;
  /** Where the journal begins. */
  readonly start: Known;
  /** The journal over HTTP: where it ends now; undefined where nobody answers. */
  fetch(known: Known): Known | undefined;
}

export interface Traits {
  readonly number: number;
  readonly secret: Uint8Array;
  readonly distance: Distance;
  readonly msPerRecord: number;
  /** Part of its contributions that it sends twice. */
  readonly twice: number;
  /** Rounds between two checksums. */
  readonly checksumSteps: number;
}

export interface LightPeer {
  readonly number: number;
  connect(): void;
  /** Its line breaks, or its process dies and all it had in memory is gone. */
  cut(hostLearns: number): void;
  crash(awayMs: number, hostLearns: number): void;
  freeze(ms: number): void;
  /** Nothing passes between it and the host for `ms`; its line breaks, or only waits. */
  block(ms: number, breaks: boolean): void;
  leave(): void;
  /** Its weights are not what the journal says. */
  drift(): void;
  /** It breaks the protocol, in one of four ways. */
  offend(kind: number): void;
  known(): Known;
  readonly state: { over: 'done' | 'left' | 'evicted' | undefined; honest: boolean; slot: number | undefined };
}

const BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 10_000;
const HANDSHAKE_MS = 15_000;
/** As `participant.ts`. */
const SEND_BY = 0.75;

/** The same frame comes to all who follow. */
const decoded = new WeakMap<Uint8Array, HostMessage>();
function decode(frame: Uint8Array): HostMessage {
  const known = decoded.get(frame);
  if (known !== undefined) return known;
  const message = decodeHostMessage(frame);
  decoded.set(frame, message);
  return message;
}

const bySlot = new WeakMap<Round, Map<number, Segment>>();
function segmentOf(round: Round, slot: number): Segment | undefined {
  const known = bySlot.get(round) ?? new Map(round.segments.map((segment) => [segment.slot, segment]));
  bySlot.set(round, known);
  return known.get(slot);
}

const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

/** Refusals that an honest peer may hear: it was late, or its own new line had come first, or a handshake took too long. */
const HONEST = new Set(['CONTRIBUTION_STALE', 'REPLACED', 'MESSAGE_UNEXPECTED']);

export function lightPeer(around: Surroundings, traits: Traits): LightPeer {
  const { world, network, crypto, judge, run } = around;
  const { number, secret, distance, msPerRecord } = traits;
  const key = crypto.publicKey(secret);
  const state: LightPeer['state'] = { over: undefined, honest: true, slot: undefined };

  let known = around.start;
  let line: Line | undefined;
  let stage: 'away' | 'hello' | 'joining' | 'ready' = 'away';
  /** Counts connections: what was begun on an earlier one is not finished on another. */
  let session = 0;
  let attempts = 0;
  let fetching = false;
  let measured: Omit<Given, 'slot'> | undefined;
  let receipt: Given | undefined;
  /** The round of an assignment that was not answered. */
  let owed: number | undefined;
  let drifted = false;
  let frozenUntil = 0;
  /** What comes in while it is frozen. */
  const held: (() => void)[] = [];

  const accuse = (text: string): never => judge.accuse(`peer ${number}: ${text}`);

  /** On this connection, not while it is frozen. */
  function later(ms: number, act: () => void): void {
    const mine = session;
    const run = (): void => {
      if (mine !== session || state.over !== undefined) return;
      if (world.now() < frozenUntil) world.later(frozenUntil - world.now(), run);
      else act();
    };
    world.later(ms, run);
  }

  function send(message: Parameters<typeof encodePeerMessage>[0]): void {
    line?.channel.send(encodePeerMessage(message));
  }

  function connect(): void {
    if (state.over !== undefined) return;
    const mine = ++session;
    line = network.dial(distance, {
      frame(bytes) {
        const hearIt = (): void => {
          if (mine === session && state.over === undefined) hear(decode(bytes));
        };
        if (held.length > 0 || world.now() < frozenUntil) held.push(hearIt);
        else hearIt();
      },
      closed() {
        if (mine === session) lost();
      },
    });
    if (line === undefined) {
      lost();
      return;
    }
    stage = 'hello';
    send({ type: 'hello', version: PROTOCOL_VERSION, key, code: around.joinCode, name: `peer ${number}` });
    later(HANDSHAKE_MS, () => {
      if (stage === 'hello') hangUp();
    });
  }

  function hangUp(): void {
    line?.channel.close('');
    lost();
  }

  function lost(): void {
    session++;
    line = undefined;
    stage = 'away';
    fetching = false;
    owed = undefined;
    if (state.over !== undefined) return;
    const ms = Math.min(MAX_BACKOFF_MS, BACKOFF_MS * 2 ** attempts++) * (0.5 + world.random());
    later(ms, connect);
  }

  // ---------------------------------------------------------------------------------------------------- the journal

  function fetch(): void {
    if (fetching) return;
    fetching = true;
    later(2 * distance.latency, () => {
      fetching = false;
      const end = distance.blockedUntil > world.now() ? undefined : around.fetch(known);
      if (end === undefined) {
        hangUp();
        return;
      }
      const before = known.weights.rounds;
      while (known !== end) learn(known.next!.known);
      learned(before);
    });
  }

  function learn(next: Known): void {
    known = next;
    const { entry } = next;
    if (entry?.type === 'evict' && entry.slot === state.slot) {
      receipt = undefined;
      judge.evicted(entry.slot);
    }
    if (entry?.type !== 'round') return;
    const promised = receipt;
    receipt = undefined;
    if (promised?.round !== entry.round.header.round) return;
    const found = segmentOf(entry.round, promised.slot);
    if (found?.from !== promised.from || !equalBytes(octets(found.codes), octets(promised.codes)))
      accuse(`CENSORED: round ${promised.round} is committed without the records it had a receipt for`);
  }

  /** Up to date, perhaps with more rounds than before. */
  function learned(before: number): void {
    if (stage === 'joining') {
      stage = 'ready';
      report('ready');
      return;
    }
    const { rounds } = known.weights;
    if (rounds === before || stage !== 'ready') return;
    attempts = 0;
    const last = known.ledger!.manifest.max_steps;
    if (owed !== undefined && owed < rounds) {
      owed = undefined;
      report('ready');
    } else if (rounds === last || rounds % traits.checksumSteps === number % traits.checksumSteps) report('checksum');
  }

  function report(type: 'ready' | 'checksum'): void {
    const checksum = checksumOf(known.weights);
    if (drifted) checksum[0]! ^= 1;
    send({ type, round: known.weights.rounds, checksum });
  }

  // ------------------------------------------------------------------------------------------------- what it hears

  function hear(message: HostMessage): void {
    if (message.type === 'challenge') {
      send({ type: 'prove', signature: crypto.sign(secret, challengeMessage(message.nonce, run, key)) });
    } else if (message.type === 'admitted') {
      if (state.slot !== undefined && state.slot !== message.slot)
        accuse(`has slot ${state.slot}, got ${message.slot}`);
      state.slot = message.slot;
      stage = 'joining';
      fetch();
    } else if (message.type === 'commit') {
      const { length } = known.position;
      if (message.offset > length) fetch();
      else if (message.offset === length) {
        const before = known.weights.rounds;
        learn(follow(known, message.record, crypto));
        if (!fetching && stage === 'ready') learned(before);
      }
    } else if (message.type === 'open') measureRange(message);
    else if (message.type === 'receipt') takeReceipt(message);
    else if (message.type === 'refused') refused(message.code, message.detail);
    else if (message.type === 'done') {
      state.over = 'done';
      const { ledger, weights } = known;
      const root = ledger!.digests.get(ledger!.manifest.max_steps);
      if (root === undefined || !equalBytes(root, rootOf(weights, crypto)))
        if (!drifted) accuse('the run is done, and its weights are not those of the journal');
      line?.channel.close('');
    } else if (message.type === 'snapshot') {
      const { rounds } = known.weights;
      if (!fetching && stage === 'ready' && message.round > rounds)
        accuse(`a snapshot of round ${message.round} was announced, it stands at ${rounds}`);
    } else accuse(`heard ${message.type}`);
  }

  function measureRange({ round, from, count, deadlineMs }: Extract<HostMessage, { type: 'open' }>): void {
    if (round !== known.weights.rounds) accuse(`round ${round} was opened, it stands at ${known.weights.rounds}`);
    if (count < 1) accuse(`round ${round} was opened for nothing`);
    judge.opened(round, deadlineMs);
    owed = round;
    const most = Math.max(1, Math.floor((SEND_BY * deadlineMs) / msPerRecord));
    const again = measured?.round === round && measured.from === from ? measured.codes.slice(0, count) : undefined;
    const size = again?.length ?? Math.min(count, most);
    later(again ? 0 : Math.min(size * msPerRecord, 1e9), () => {
      if (known.weights.rounds !== round) return; // it is closed, and the next is asked for when the commit comes
      const codes = again ?? measure(known.weights, from, size);
      measured = { round, from, codes };
      contribute(round, from, codes);
      owed = undefined;
      if (world.random() >= traits.twice) return;
      const { anchor } = known.position;
      later(world.random() * 1500, () => contribute(round, from, codes, anchor));
    });
  }

  function contribute(round: number, from: number, codes: Int8Array, anchor = known.position.anchor): void {
    if (state.slot === undefined) return;
    judge.sent({ round, slot: state.slot, from, codes });
    const signature = crypto.sign(secret, contributionMessage(run, round, anchor, from, codes));
    send({ type: 'contribution', round, from, codes, signature });
  }

  function takeReceipt({ round, from, count, signature }: Extract<HostMessage, { type: 'receipt' }>): void {
    if (measured?.round !== round || measured.from !== from || measured.codes.length !== count) return;
    if (known.weights.rounds !== round) return;
    const given: Given = { round, slot: state.slot!, from, codes: measured.codes };
    const signed = receiptMessage(run, round, known.position.anchor, given.slot, from, given.codes);
    if (!crypto.verify(around.coordinator, signed, signature)) {
      if (state.honest) accuse(`the receipt for round ${round} is not signed`);
      return; // a liar may hold one for its other version
    }
    receipt = given;
    judge.acknowledged(given);
  }

  function refused(code: string, detail: string): void {
    if (code === 'EVICTED') state.over = 'evicted';
    else if (code === 'DRIFT' && drifted) {
      drifted = false;
      measured = undefined;
    } else if (state.honest && !HONEST.has(code)) accuse(`is honest and was refused: ${code}, ${detail}`);
  }

  return {
    number,
    state,
    connect,
    known: () => known,
    cut(hostLearns) {
      line?.cut(hostLearns);
    },
    crash(awayMs, hostLearns) {
      line?.cut(hostLearns);
      session++;
      line = undefined;
      stage = 'away';
      [fetching, drifted] = [false, false];
      known = around.start;
      measured = undefined;
      receipt = undefined;
      owed = undefined;
      held.length = 0;
      frozenUntil = 0;
      later(awayMs, connect);
    },
    freeze(ms) {
      frozenUntil = world.now() + ms;
      world.later(ms, () => {
        for (let next = held.shift(); next !== undefined; next = held.shift()) next();
      });
    },
    block(ms, breaks) {
      distance.blockedUntil = Math.max(distance.blockedUntil, world.now() + ms);
      if (breaks) line?.cut(ms);
    },
    leave() {
      if (state.over !== undefined) return;
      state.over = 'left';
      line?.channel.close('the peer leaves');
      line = undefined;
    },
    drift() {
      if (stage === 'ready') drifted = true;
    },
    offend(kind) {
      if (stage !== 'ready' || state.slot === undefined) return;
      state.honest = false;
      const { rounds } = known.weights;
      const codes = Int8Array.of(127, 127, 127);
      const { from } = measured ?? { from: 0 };
      if (kind === 0) send({ type: 'contribution', round: rounds, from, codes, signature: new Uint8Array(64) });
      else if (kind === 1) line?.channel.send(Uint8Array.of(4, 255, 255, 255, 255, 255, 255));
      else if (kind === 2)
        contribute(rounds, from, codes); // another version, if it has delivered already
      else contribute(rounds, from + 1, codes);
    },
  };
}

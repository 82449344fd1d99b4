/**
 * The host of a run: carries out what the sequencer decides. It checks what is signed, puts records on disk before
 * anybody hears of them, keeps a replica of its own, and never lets computing delay an answer.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Journal } from '../journal/journal.ts';
import type { Entry, Hex, Merge, Round, Segment } from '../nouns.ts';
import { fromHex, toHex } from '../numeric/bytes.ts';
import type { Clock, Crypto, Store, Transport } from '../ports.ts';
import { encodeHostMessage } from '../wire/messages.ts';
import { contributionMessage, receiptMessage } from '../wire/signed.ts';
import { begin, type Stepped, step } from './coordinator.ts';
import { addTraffic, openDoor, type Traffic, type Visitor, type Work } from './door.ts';
import { eventOf, type HostEvent } from './events.ts';
import { type ExchangeHost, type ExchangePorts, exchangeHost } from './exchange-host.ts';
import { mergesOf, roundsOf } from './ledger.ts';
import { encodeKept, readKept } from './pending.ts';
import type { Replica } from './replica.ts';
import { type Effect, type Event, type Kept, type Rules, rulesOf, type State, type View, view } from './state.ts';

/** Rounds applied in one call while catching up: progress shows, and nothing waits long. */
const CATCH_UP_ROUNDS = 64;

export interface HostOptions extends Rules {
  /** Open, and begun with its manifest. The host appends; the caller closes. */
  readonly journal: Journal;
  /** Contributions of the open round; contents survive a crash like the journal's. The caller closes it. */
  readonly pending: Store;
  readonly transport: Transport;
  /** Anywhere between the base and the end of the journal. Only the host uses it until the run has ended. */
  readonly replica: Replica;
  readonly crypto: Crypto;
  /** Ed25519 seed whose public key the manifest names. */
  readonly secret: Uint8Array;
  readonly clock: Clock;
  /** Random bytes: challenges. */
  readonly entropy: (bytes: number) => Uint8Array;
  /** What a peer must know to take part. */
  readonly joinCode: string;
  readonly onEvent?: (event: HostEvent) => void;
  /** For a run that exchanges vectors. */
  readonly exchange?: ExchangePorts;
  /** Keeps a checkpoint: the weights after `round` rounds, which `snapshot` writes. */
  readonly save?: (round: number, root: Uint8Array, snapshot: Replica['snapshot']) => Promise<void>;
}

export interface Outcome {
  readonly reason: 'done' | 'stopped' | 'aborted';
  /** Rounds committed. */
  readonly round: number;
  /** Merkle root of the weights after these rounds; undefined if the run was aborted between two digests. */
  readonly root: Hex | undefined;
}

export interface Host {
  /** What a peer dials. */
  readonly address: string;
  /** @throws {Fault} DIVERGED, RANGE, or what disk and device refuse */
  readonly finished: Promise<Outcome>;
  /** Finishes the round, evaluates what is due, saves, tells the peers, closes. */
  stop(): void;
  /** Closes now. The journal is whole; of the open round, what was receipted is committed when the run resumes. */
  abort(): void;
  /** Per peer, bytes by slot; −1: connections that never got one. */
  view(): View & { readonly traffic: ReadonlyMap<number, Traffic> };
  traffic(): Traffic;
}

/** @throws {Fault} what the transport refuses. @throws {RangeError} for an empty journal */
export async function startHost(options: HostOptions): Promise<Host> {
  const { journal, pending, transport, replica, crypto, secret, clock } = options;
  const emit = options.onEvent ?? (() => undefined);
  const { run } = journal.position;
  if (run === null) throw new RangeError('"journal" expected one with a manifest, got an empty one');
  const entries = journal.records.map(({ entry }) => entry);

  let settled = false;
  const { promise: finished, resolve, reject } = settleable<Outcome>();

  /** Everything closed, once; then `settle`. What goes on meanwhile finds it closed. */
  async function close(settle: () => void): Promise<void> {
    if (settled) return;
    settled = true;
    wake?.cancel();
    door.close();
    await transport.close();
    await exchanging?.close();
    settle();
  }
  const fail = (error: unknown): Promise<void> => close(() => reject(error));

  // ------------------------------------------------------------------------------------------------- the sequencer

  const rules = rulesOf(options);
  const [first] = entries;
  const exchange = first?.type === 'manifest' ? first.manifest.exchange : undefined;
  const exchanging: ExchangeHost | undefined =
    options.exchange &&
    exchange &&
    replica.exchange &&
    exchangeHost({
      ...{ ports: options.exchange, exchange, exchanger: replica.exchange, sizes: await replica.exchange.sizes() },
      ...{ crypto, clock, send: (channel, message) => door.send(channel, message) },
      onFailed: (slot, { code, detail }) => emit({ event: 'refused', slot, code, detail }),
    });
  const kept = readKept(await pending.read()).filter(
    (contribution) => isOurs(contribution) && (exchanging?.holds(contribution.codes) ?? true),
  );
  const start = begin(entries, kept, rules, clock.now());
  let state = start.state;
  let openedAt = clock.now();
  /** Spent on stable storage since the last commit. */
  let diskMs = 0;
  let wake: { readonly at: number; readonly cancel: () => void } | undefined;
  const queue: (() => Event | undefined)[] = [];
  let busy = true; // until the effects of the beginning are carried out

  /** Queues an event. It is made when its turn comes: what verifies it moves on with the journal. */
  function post(make: () => Event | undefined): void {
    queue.push(make);
    if (!busy) void pump();
  }

  async function pump(first?: Stepped): Promise<void> {
    busy = true;
    try {
      if (first !== undefined) await carryOut(first);
      for (let make = queue.shift(); make !== undefined && !settled; make = queue.shift()) {
        const event = make();
        if (event !== undefined) await carryOut(step(state, event, clock.now()));
      }
    } catch (error) {
      await fail(error);
    }
    busy = false;
  }

  async function carryOut(next: Stepped): Promise<void> {
    const before = state;
    state = next.state;
    for (const effect of next.effects) {
      if (settled) return;
      await (EXECUTE[effect.type] as (effect: Effect) => unknown)(effect);
    }
    tellChanges(before);
  }

  async function onDisk<T>(write: Promise<T>): Promise<T> {
    const began = clock.now();
    const written = await write;
    diskMs += clock.now() - began;
    return written;
  }

  const EXECUTE: { readonly [T in Effect['type']]: (effect: Extract<Effect, { readonly type: T }>) => unknown } = {
    async append({ entry, followers }) {
      const { offset, bytes } = await onDisk(journal.append(entry));
      const frame = encodeHostMessage({ type: 'commit', offset, record: bytes });
      for (const channel of followers) door.sendFrame(channel, frame);
      tellEntry(entry);
    },
    send({ channel, message }) {
      if (message.type === 'open') {
        openedAt = clock.now();
        diskMs = 0;
      }
      if (message.type === 'admitted') door.assign(channel, message.slot);
      door.send(channel, message);
    },
    async keep({ contribution }) {
      await onDisk(pending.append(encodeKept(contribution)));
      await onDisk(pending.sync());
    },
    async forget() {
      await pending.truncate(0);
      await exchanging?.forget();
    },
    receipt({ channel, round, slot, from, codes }) {
      const signed = receiptMessage(run, round, journal.position.anchor, slot, from, codes);
      door.send(channel, { type: 'receipt', round, from, count: codes.length, signature: crypto.sign(secret, signed) });
    },
    close: ({ channel, code, detail }) => door.refuse(channel, new Fault(code, detail)),
    apply({ round }) {
      compute(() => applyAndReport([round]));
    },
    merge({ round, segments }) {
      compute(async () => {
        const { merge, refused } = await exchanging!.merge(round, segments, makersOf(segments));
        for (const slot of refused)
          post(() => {
            const channel = state.members.get(slot)?.channel;
            const detail = `the share of round ${round} is no vector`;
            return channel === undefined ? undefined : { type: 'violated', channel, code: 'SHARE_INVALID', detail };
          });
        post(() => (merge ? { type: 'merged', merge } : { type: 'unmerged' }));
      });
    },
    applyMerge({ merge }) {
      compute(() => mergeAndReport([merge]));
    },
    evaluate() {
      compute(async () => {
        const round = replica.round();
        const metrics = await replica.evaluate();
        post(() => ({ type: 'evaluated', round, metrics }));
      });
    },
    root() {
      compute(async () => {
        const round = replica.round();
        const root = await replica.root();
        if (options.save) await options.save(round, root, replica.snapshot);
        post(() => ({ type: 'rooted', round, root }));
      });
    },
    wake({ at }) {
      if (wake?.at === at) return;
      wake?.cancel();
      const cancel = clock.after(Math.max(0, at - clock.now()), () => {
        // Timers may fire early by a fraction: the sequencer then asks for the same time once more.
        wake = undefined;
        post(() => ({ type: 'tick' }));
      });
      wake = { at, cancel };
    },
    finish({ reason, detail }) {
      if (reason !== 'done' && reason !== 'stopped') return fail(new Fault(reason, detail));
      return close(() => resolve(outcome(reason)));
    },
  };

  function outcome(reason: Outcome['reason']): Outcome {
    const { round, digests } = state.ledger;
    const root = digests.get(round);
    return { reason, round, root: root && toHex(root) };
  }

  // --------------------------------------------------------------------------------------------------- the replica

  let computing: Promise<void> = Promise.resolve();

  /** One job after the other; nothing that answers the network waits for them. */
  function compute(job: () => Promise<void>): void {
    computing = computing.then(async () => {
      if (!settled) await job().catch(fail);
    });
  }

  async function applyAndReport(rounds: readonly Round[]): Promise<void> {
    if (rounds.length > 0) await replica.apply(rounds);
    await reportChecksum();
  }

  async function mergeAndReport(merges: readonly Merge[]): Promise<void> {
    for (const merge of merges) await replica.exchange!.merge([await exchanging!.merged(merge)]);
    await reportChecksum();
  }

  /** Channels of those that a merge is made by, where peers make them: those whose shares it is made of. */
  function makersOf(segments: readonly Segment[]): Map<number, number> {
    const able = options.exchange!.sharded ? segments : [];
    const channels = able.map(({ slot }) => [slot, state.members.get(slot)?.channel] as const);
    return new Map(channels.flatMap(([slot, channel]) => (channel === undefined ? [] : [[slot, channel]])));
  }

  /** Catches up with the journal, and goes on with the momentum of the host before. */
  async function resumeExchange(merges: readonly Merge[]): Promise<void> {
    await mergeAndReport(merges);
    const kept = options.exchange?.memory;
    if (kept !== undefined) await replica.exchange!.recall(kept);
  }

  async function reportChecksum(): Promise<void> {
    const checksum = toHex(await replica.checksum());
    const round = replica.round();
    post(() => ({ type: 'applied', round, checksum }));
  }

  // ----------------------------------------------------------------------------------------------------- the peers

  const door = openDoor({
    crypto,
    clock,
    entropy: options.entropy,
    run,
    joinCode: options.joinCode,
    events: {
      proved: ({ channel, key, name }) => post(() => ({ type: 'proved', channel, key, name })),
      message: (visitor, message, done) =>
        post(() => {
          done();
          return door.isOpen(visitor.channel) ? heard(visitor, message) : undefined;
        }),
      exchange({ channel }, message) {
        exchanging?.hear(channel, message).catch((error) => post(() => blamed(channel, error)));
        if (message.type === 'want') post(() => ({ type: 'fetching', channel }));
      },
      violated: ({ channel }, { code, detail }) => post(() => ({ type: 'violated', channel, code, detail })),
      left({ channel }) {
        exchanging?.left(channel);
        post(() => ({ type: 'left', channel }));
      },
      refused: ({ code, detail }, slot) =>
        emit({ event: 'refused', ...(slot === undefined ? {} : { slot }), code, detail }),
    },
  });

  /** What the exchange of chunks with a peer came to grief over: its offence, or the end of its channel. */
  function blamed(channel: number, error: unknown): Event | undefined {
    if (!(error instanceof Fault)) throw error;
    // Of a share that is gone, its round is as well.
    if (['HOST_UNREACHABLE', 'FILE_MISSING'].includes(error.code) || !door.isOpen(channel)) return undefined;
    return { type: 'violated', channel, code: error.code, detail: error.detail };
  }

  function heard({ channel, key }: Visitor, message: Work): Event | undefined {
    const { type, round } = message;
    if (type !== 'contribution') return { type, channel, round, checksum: toHex(message.checksum) };
    const { from, codes, signature } = message;
    // What is late is only told so: the anchor that it was signed with has moved on.
    if (round === state.ledger.round && !isSigned(key, message))
      return { type: 'violated', channel, code: 'SIGNATURE_WRONG', detail: `the contribution to round ${round}` };
    const event = { type, channel, round, from, codes, signature } as const;
    if (exchanging === undefined || round !== state.ledger.round) return event;
    try {
      const offer = exchanging.offerOf(round, codes);
      if (offer.hashes.length === 0) return event;
      exchanging.collect(channel, offer).then(
        () => post(() => (door.isOpen(channel) ? event : undefined)),
        (error) => post(() => blamed(channel, error)),
      );
      return undefined;
    } catch (error) {
      return blamed(channel, error);
    }
  }

  function isSigned(key: Uint8Array, { round, from, codes, signature }: Omit<Kept, 'slot'>): boolean {
    const signed = contributionMessage(run!, round, journal.position.anchor, from, codes);
    return crypto.verify(key, signed, signature);
  }

  /** Whether what an earlier host kept belongs to the round that is open now. */
  function isOurs(contribution: Kept): boolean {
    const member = journal.position.state?.members.get(contribution.slot);
    return (
      contribution.round === journal.position.state?.rounds &&
      member !== undefined &&
      isSigned(fromHex(member.key), contribution)
    );
  }

  // ------------------------------------------------------------------------------------------------ what is to tell

  function tellChanges(before: State): void {
    if (before.phase !== state.phase) emit({ event: 'phase', phase: state.phase });
    for (const { slot, name, status } of state.members.values())
      if (before.members.get(slot)?.status !== status) emit({ event: 'peer', slot, name, state: status });
  }

  function tellEntry(entry: Entry): void {
    const event = eventOf(entry, { ms: clock.now() - openedAt, disk_ms: diskMs });
    if (event !== undefined) emit(event);
    if (entry.type === 'round') diskMs = 0;
  }

  const address = await transport.listen(door.accept);
  emit({ event: 'listening', address, run: toHex(run), round: state.ledger.round });
  const merges = mergesOf(entries).slice(replica.round());
  if (exchanging) compute(() => resumeExchange(merges));
  const missed = roundsOf(entries).slice(replica.round());
  for (let from = 0; (from === 0 && exchanging === undefined) || from < missed.length; from += CATCH_UP_ROUNDS)
    compute(() => applyAndReport(missed.slice(from, from + CATCH_UP_ROUNDS)));
  void pump(start);

  return {
    address,
    finished,
    stop: () => post(() => ({ type: 'stop' })),
    abort: () => void close(() => resolve(outcome('aborted'))),
    view: () => ({ ...view(state), traffic: door.traffic() }),
    traffic: () => [...door.traffic().values()].reduce(addTraffic, { payload: 0, wire: 0 }),
  };
}

/** A promise and its ends. A rejection that nobody awaits is not an accident: the caller may look later. */
function settleable<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...ends) => {
    [resolve, reject] = ends;
  });
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

/**
 * The host of a run: carries out what the sequencer decides. It checks what is signed, puts records on disk before
 * anybody hears of them, keeps a replica of its own, and never lets computing delay an answer.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Journal } from '../journal/journal.ts';
import type { Entry, Merge, Round, Segment } from '../nouns.ts';
import { fromHex, toHex } from '../numeric/bytes.ts';
import type { Clock, Crypto, Store, Transport } from '../ports.ts';
import { encodeHostMessage } from '../wire/messages.ts';
import { contributionMessage, receiptMessage } from '../wire/signed.ts';
import { type Admission, oneCode } from './admission.ts';
import { begin } from './coordinator.ts';
import { addTraffic, openDoor, type Traffic, type Visitor, type Work } from './door.ts';
import { eventOf, type HostEvent, type Outcome, refusalOf } from './events.ts';
import { type ExchangeHost, type ExchangePorts, exchangeHost } from './exchange-host.ts';
import { isGoodbye } from './goodbye.ts';
import { hostSnapshots, type SnapshotOptions } from './host-snapshots.ts';
import { mergesOf, roundsOf } from './ledger.ts';
import { isSenseless } from './passing.ts';
import { damaged, readKept } from './pending.ts';
import type { Replica } from './replica.ts';
import { type Durable, openSequence } from './sequence.ts';
import { settleable } from './settleable.ts';
import { type Effect, type Event, type Kept, type Rules, rulesOf, type State, type View, view } from './state.ts';
import { memberOn } from './turn.ts';
import { type Granted, openWishes, type Wish } from './wishes.ts';

/** Rounds applied in one call while catching up: progress shows, and nothing waits long. */
const CATCH_UP_ROUNDS = 64;

export interface HostOptions extends Rules, SnapshotOptions {
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
  /** Who else may, or may not. Default: whoever knows the join code. */
  readonly admission?: Admission;
  readonly onEvent?: (event: HostEvent) => void;
  /** For a run that exchanges vectors. */
  readonly exchange?: ExchangePorts;
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
  /** When the round is over; all peers follow. @throws {Fault} NOT_REVOCABLE, NOT_NOW, CONFIG_INVALID */
  takeBack(wish: Wish): Promise<Granted>;
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
    wishes.end();
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
      onFailed: (slot, fault) => emit(refusalOf(fault, slot)),
    });
  const kept = ours(readKept(await pending.read())).filter(({ codes }) => exchanging?.holds(codes) ?? true);
  let openedAt = clock.now();
  /** Spent on stable storage since the last commit. */
  let diskMs = 0;
  const wishes = openWishes();
  /** Times that the replica has taken something back. */
  let revisions = 0;
  let wake: { readonly at: number; readonly cancel: () => void } | undefined;
  const { post, state, start } = openSequence({
    ...{ journal, pending, clock, failed: fail, isClosed: () => settled },
    first: begin(entries, kept, rules, clock.now()),
    execute: (effect, durable) => (EXECUTE[effect.type] as Execute)(effect, durable),
    stepped: tellChanges,
    waited(ms) {
      diskMs += ms;
    },
  });

  type Execute<T extends Effect = Effect> = (effect: T, durable: Durable) => unknown;
  const EXECUTE: { readonly [T in Effect['type']]: Execute<Extract<Effect, { readonly type: T }>> } = {
    append({ entry, followers }, { record }) {
      const { offset, bytes } = record!;
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
      if (message.type === 'refused') emit(refusalOf(message, memberOn(state(), channel)?.slot));
      door.send(channel, message);
    },
    keep() {}, // it is
    async forget() {
      await pending.truncate(0);
      await exchanging?.forget();
    },
    receipt({ channel, round, slot, from, codes }, { anchor }) {
      const signed = receiptMessage(run, round, anchor, slot, from, codes);
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
            const channel = state().members.get(slot)?.channel;
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
        report({ type: 'evaluated', round, metrics: await replica.evaluate() });
      });
    },
    root() {
      compute(async () => {
        report(await snapshots.take());
      });
    },
    revise({ revision }) {
      compute(async () => {
        await replica.revise(revision);
        revisions++;
        await applyAndReport([]);
      });
    },
    answer: ({ answered }) => wishes.answer(answered),
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
    const { round, digests } = state().ledger;
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

  const snapshots = hostSnapshots(options);

  /** What the replica found out, of weights from which so much had been taken back by then. */
  function report(found: Extract<Event, { readonly type: 'applied' | 'evaluated' | 'rooted' }>): void {
    const of = revisions;
    post(() => ({ ...found, revisions: of }));
  }

  async function applyAndReport(rounds: readonly Round[]): Promise<void> {
    const applied = await snapshots.moving(rounds.length, [], async () => rounds.length > 0 && replica.apply(rounds));
    report(applied);
  }

  async function mergeAndReport(merges: readonly Merge[]): Promise<void> {
    const applied = await snapshots.moving(merges.length, merges, async () => {
      for (const merge of merges) await replica.exchange!.merge([await exchanging!.merged(merge)]);
    });
    report(applied);
  }

  /** Channels of those that a merge is made by, where peers make them: those whose shares it is made of. */
  function makersOf(segments: readonly Segment[]): Map<number, number> {
    const able = options.exchange!.sharded ? segments : [];
    const channels = able.map(({ slot }) => [slot, state().members.get(slot)?.channel] as const);
    return new Map(channels.flatMap(([slot, channel]) => (channel === undefined ? [] : [[slot, channel]])));
  }

  /** Catches up with the journal, and goes on with the momentum of the host before. */
  async function resumeExchange(merges: readonly Merge[]): Promise<void> {
    await mergeAndReport(merges);
    const kept = options.exchange?.memory;
    if (kept !== undefined) await replica.exchange!.recall(kept);
  }

  // ----------------------------------------------------------------------------------------------------- the peers

  const door = openDoor({
    crypto,
    clock,
    entropy: options.entropy,
    run,
    admission: options.admission ?? oneCode(options.joinCode, crypto),
    events: {
      proved: ({ channel, key, name, invite }) => post(() => ({ type: 'proved', channel, key, name, invite })),
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
      left({ channel }, reason) {
        exchanging?.left(channel);
        post(() => ({ type: 'left', channel, goodbye: isGoodbye(reason) }));
      },
      refused: (fault, slot) => emit(refusalOf(fault, slot)),
    },
  });

  /** What the exchange of chunks with a peer came to grief over: its offence, or the end of its channel. */
  function blamed(channel: number, error: unknown): Event | undefined {
    if (isSenseless(error) && door.isOpen(channel))
      return {
        type: 'violated',
        channel,
        code: 'MESSAGE_UNEXPECTED',
        detail: 'what it says of vectors makes no sense',
      };
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
    if (round === state().ledger.round && !isSigned(key, message))
      return { type: 'violated', channel, code: 'SIGNATURE_WRONG', detail: `the contribution to round ${round}` };
    const event = { type, channel, round, from, codes, signature } as const;
    if (exchanging === undefined || round !== state().ledger.round) return event;
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

  /**
   * Of what an earlier host kept, that which belongs to the round that is open now. Where none verifies, the round is
   * another one of the same number: it was rewound.
   * @throws {Fault} JOURNAL_CORRUPT for one with others behind it: it was whole
   */
  function ours(all: readonly Kept[]): Kept[] {
    const { state: past } = journal.position;
    const open = all.filter(({ round, slot }) => round === past?.rounds && past.members.has(slot));
    const sound = open.map((one) => isSigned(fromHex(past!.members.get(one.slot)!.key), one));
    const first = sound.indexOf(false);
    if (sound.includes(true) && first >= 0 && first < open.length - 1) throw damaged(first);
    return open.filter((_, i) => sound[i]);
  }

  // ------------------------------------------------------------------------------------------------ what is to tell

  function tellChanges(before: State, { phase, members }: State): void {
    if (before.phase !== phase) emit({ event: 'phase', phase });
    for (const slot of members.changedSince(before.members)) {
      const { name, status } = members.get(slot)!;
      if (before.members.get(slot)?.status !== status) emit({ event: 'peer', slot, name, state: status });
    }
  }

  function tellEntry(entry: Entry): void {
    const event = eventOf(entry, { ms: clock.now() - openedAt, disk_ms: diskMs });
    if (event !== undefined) emit(event);
    if (entry.type === 'round') diskMs = 0;
  }

  const address = await transport.listen(door.accept);
  emit({ event: 'listening', address, run: toHex(run), round: state().ledger.round });
  const merges = mergesOf(entries).slice(replica.round());
  if (exchanging) compute(() => resumeExchange(merges));
  const missed = roundsOf(entries).slice(replica.round());
  for (let from = 0; (from === 0 && exchanging === undefined) || from < missed.length; from += CATCH_UP_ROUNDS)
    compute(() => applyAndReport(missed.slice(from, from + CATCH_UP_ROUNDS)));
  start();

  return {
    address,
    finished,
    stop: () => post(() => ({ type: 'stop' })),
    takeBack: (wish) => wishes.put(wish, (asked) => post(() => asked)),
    abort: () => void close(() => resolve(outcome('aborted'))),
    view: () => ({ ...view(state()), traffic: door.traffic() }),
    traffic: () => [...door.traffic().values()].reduce(addTraffic, { payload: 0, wire: 0 }),
  };
}

/**
 * A peer's stay in a run: one participant after another, with the same key and the same weights. It leaves for every pause
 * and comes back after it, so nobody waits for a tab that sleeps; and it goes on without a GPU that was taken away.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import { Fault } from '../../faults.ts';
import type { Manifest } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import { promisesOf } from '../../optimizer/algebra.ts';
import type { Transport } from '../../ports.ts';
import { addTraffic } from '../door.ts';
import type { Fetcher } from '../fetcher.ts';
import type { JoinLink } from '../link.ts';
import { type InTurn, inTurn } from '../local-replica.ts';
import { type Participant, type ParticipantOutcome, startParticipant } from '../participant.ts';
import type { ExchangeMemory, Replica } from '../replica.ts';
import { webCompressor } from './compressor.ts';
import { webCrypto } from './crypto.ts';
import type { Database } from './database.ts';
import type { PauseReason, WebPeerEvent } from './events.ts';
import { openInBrowser } from './open.ts';
import { firstOffer, type Snapshots, snapshotsOf } from './snapshots.ts';
import { webClock, webEntropy } from './system.ts';

/** How long a host may stay away. */
const PATIENCE_MS = 600_000;
/** The host compares checksums with its own so often: cheap, and drift is found within a few rounds. */
const CHECKSUM_STEPS = 1;
/** Rounds after which the browser keeps the weights anew, while they come one by one and after catching up. */
const KEEP_ROUNDS = { applied: 64, ready: 16 } as const;

export interface StayOptions {
  readonly link: Pick<JoinLink, 'address' | 'joinCode'>;
  /** What is not here is fetched with it. */
  readonly host: Fetcher;
  readonly secret: Uint8Array;
  readonly name: string;
  readonly backend: Backend | undefined;
  readonly threads: number;
  readonly db: Database;
  readonly transport: Pick<Transport, 'dial'>;
  readonly emit: (event: WebPeerEvent) => void;
}

export interface Stay {
  /** @throws {Fault} as `Participant.finished` */
  readonly finished: Promise<ParticipantOutcome>;
  pause(why: PauseReason): void;
  resume(): void;
  /** Sends what is measured, and leaves. */
  leave(): void;
}

/** Weights that outlive a participant, and a lock on what changes them. */
interface Held {
  readonly replica: Replica;
  readonly turn: InTurn;
}

export function beginStay(options: StayOptions): Stay {
  const { link, host, secret, db, emit } = options;
  const me = toHex(webCrypto.publicKey(secret)).slice(0, 16);
  let participant: Participant | undefined;
  let held: Held | undefined;
  let snapshots: Snapshots | undefined;
  /** Rounds of the run, as far as they are known here. */
  let head = 0;
  let why: PauseReason | undefined;
  let leaving = false;
  /** The participant was told to stop, by a pause or for good. */
  let parting = false;
  let wake: () => void = () => undefined;
  let { backend } = options;
  let computing: Backend | undefined;
  let before: Pick<ParticipantOutcome, 'records' | 'traffic'> = { records: 0, traffic: { payload: 0, wire: 0 } };

  const fetcher: Fetcher = {
    journal: host.journal,
    blob: fetchPart,
    snapshot: () => snapshots?.before(host, () => head).snapshot() ?? firstOffer(db, me, host),
  };

  async function makeReplica(manifest: Manifest, run: Uint8Array): Promise<Replica> {
    const holds = promisesOf(manifest).snapshots.holds;
    snapshots ??= holds ? await snapshotsOf(db, me, toHex(run)) : undefined;
    held ??= {
      replica: await openInBrowser(manifest, { db, fetcher, backend, threads: options.threads, emit: hear }),
      turn: inTurn(),
    };
    const { replica, turn } = held;
    const { exchange } = replica;
    return {
      ...replica,
      apply: (rounds) => turn(() => replica.apply(rounds)),
      restore: (...given) => turn(() => replica.restore(...given)),
      ...(exchange && { exchange: { ...exchange, merge: (merges) => turn(() => exchange.merge(merges)) } }),
      async close() {
        if (parting) return; // they are kept first, and after a pause gone on with
        held = undefined;
        await replica.close();
      },
    };
  }

  /** Keeps the weights in the browser if so many rounds have passed since it last did. */
  async function keep(rounds: number): Promise<void> {
    const own = held;
    const into = snapshots;
    if (own === undefined || into === undefined) return;
    const work = own.turn(async () => {
      if (own.replica.round() - into.round() < rounds) return;
      await into.keep(own.replica);
      emit({ event: 'kept', round: into.round() });
    });
    await work.catch(() => undefined); // what cannot be kept is fetched again: no reason to stop
  }

  function hear(event: WebPeerEvent): void {
    if (event.event === 'connected') head = event.head;
    if (event.event === 'round') head = event.round;
    if (event.event === 'device') computing = event.backend;
    if (event.event === 'ready' || event.event === 'applied') void keep(KEEP_ROUNDS[event.event]);
    emit(event);
  }

  const begin = (): Participant =>
    startParticipant({
      transport: options.transport,
      address: link.address,
      fetcher,
      joinCode: link.joinCode,
      crypto: webCrypto,
      compressor: webCompressor,
      secret,
      name: options.name,
      clock: webClock,
      entropy: webEntropy,
      checksumSteps: CHECKSUM_STEPS,
      patienceMs: PATIENCE_MS,
      memory: {
        read: (run) => db.get<ExchangeMemory>('memories', `${toHex(run)} ${me}`),
        write: (run, memory) => db.put('memories', `${toHex(run)} ${me}`, memory),
      },
      makeReplica,
      // Asked for once there is a replica, and with it what is kept.
      snapshots: { chunks: (wanted) => snapshots!.chunks(wanted) },
      onEvent: hear,
    });

  /** A GPU that passed its test and failed later: it was taken away. */
  const isLost = (error: unknown): boolean =>
    error instanceof Fault && error.code === 'ENGINE_FAILED' && computing === 'webgpu';

  /** Whoever leaves in the middle of a download need not wait for its end: what came is kept. */
  async function fetchPart(...part: Parameters<Fetcher['blob']>): Promise<Uint8Array> {
    if (parting) throw new Fault('INTERRUPTED', 'left while files were fetched');
    return host.blob(...part);
  }

  /** Until the next pause, or the end. */
  async function part(): Promise<ParticipantOutcome> {
    try {
      participant = begin();
      parting = why !== undefined || leaving;
      if (parting) participant.stop();
      return await participant.finished;
    } catch (error) {
      if (!isLost(error)) throw error;
      backend = computing = 'wasm';
      return part();
    }
  }

  async function run(): Promise<ParticipantOutcome> {
    for (;;) {
      const outcome = await part();
      const { records, traffic } = outcome;
      before = { records: before.records + records, traffic: addTraffic(before.traffic, traffic) };
      if (outcome.reason === 'done') return { ...outcome, ...before };
      await keep(1);
      if (leaving) return { ...outcome, ...before };
      if (why === undefined) continue; // it went on before it had paused
      emit({ event: 'paused', why });
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (why === undefined || leaving) resolve();
      });
      if (leaving) return { ...outcome, ...before };
      emit({ event: 'resumed' });
    }
  }

  return {
    finished: run().finally(() => held?.replica.close()),
    pause(reason) {
      why ??= reason;
      parting = true;
      participant?.stop();
    },
    resume() {
      why = undefined;
      wake();
    },
    leave() {
      leaving = parting = true;
      participant?.stop();
      wake();
    },
  };
}

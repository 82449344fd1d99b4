/**
 * One of several coordinators of a run. All have the run's key and the same settings; one leads, the others keep a copy
 * of the journal and wait. Whoever takes over writes a fence first, then reads everything before it, then goes on.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { Crypto, Store, Transport } from '../../ports.ts';
import type { Ledger } from '../ledger.ts';
import { answerAsks, type Sources } from './ask.ts';
import { openFiles } from './files.ts';
import { kvLease } from './kv-lease.ts';
import type { Term } from './lease.ts';
import { ensureStream, type Log, openLog } from './log.ts';
import { mirrored, openMirror } from './mirror.ts';
import { type Nats, partBytes, persist } from './nats.ts';
import { takeSeat } from './seat.ts';
import { streamStore } from './store.ts';
import { natsListener } from './transport.ts';

/** How far a copy may be behind while another leads. */
const FOLLOW_MS = 1000;

export interface CoordinatorOptions {
  readonly nats: Nats;
  /** The journal in this coordinator's folder. */
  readonly file: Store;
  readonly crypto: Crypto;
  /** For people: this machine. */
  readonly name: string;
  readonly onEvent: (event: LeaseEvent) => void;
}

export interface LeaseEvent {
  readonly event: 'lease';
  /** `ended`: it led, and another may now. */
  readonly state: 'leading' | 'following' | 'ended';
  readonly epoch: number;
  /** Machine of whoever leads. */
  readonly leader: string;
}

/** While it leads. */
export interface Leadership {
  readonly journal: Store;
  readonly pending: Store;
  /** What it listens with. @param sources what it gives peers that ask. */
  transport(sources: Sources): Pick<Transport, 'listen' | 'close'>;
  /** Calls back when it does not lead any more; at once if that has come to pass. */
  onLost(act: () => void): void;
}

export interface Coordinator {
  /** What the journal says, as far as it is here. */
  ledger(): Ledger | undefined;
  /**
   * Waits to lead.
   * @returns undefined if the run came to its end under another, or `stop` was called.
   * @throws {Fault} STORE_UNREACHABLE, JOURNAL_*
   */
  lead(): Promise<Leadership | undefined>;
  /** Ends the waiting. */
  stop(): void;
  /** Leaves, so that others need not wait for the end of the term. The connection stays open. */
  close(): Promise<void>;
}

/** @throws {Fault} STORE_UNREACHABLE, JOURNAL_* */
export async function openCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  const { nats, file, crypto, name, onEvent } = options;
  const { names, clock } = nats;
  const me = [...nats.entropy(8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  await ensureStream(nats);
  let mirror = await openMirror(nats, file, crypto);

  let held: Term | undefined;
  /** Whether who led before us left of its own accord. */
  let wasReleased = false;
  let log: Log | undefined;
  let hasLed = false;
  let onLost: (() => void) | undefined;
  let stopped = false;
  let wake = (): void => undefined;

  const seat = takeSeat({
    ...{ store: await kvLease(nats), clock, me, name },
    events: {
      leading(term, before) {
        held = term;
        wasReleased = before?.released === true;
        onEvent({ event: 'lease', state: 'leading', epoch: term.epoch, leader: name });
        wake();
      },
      lost() {
        onEvent({ event: 'lease', state: 'ended', epoch: held?.epoch ?? 0, leader: name });
        held = undefined;
        end();
      },
      following: ({ epoch, name: leader }) => onEvent({ event: 'lease', state: 'following', epoch, leader }),
    },
  });

  /** Nothing more is written by this leadership. */
  function end(): void {
    log?.stop(new Fault('LEASE_LOST', `the lease of ${names.run} has run out; another coordinator may lead`));
    log = undefined;
    const act = onLost;
    onLost = undefined;
    act?.();
  }

  const isComplete = (): boolean => {
    const ledger = mirror.ledger();
    return ledger?.digests.has(ledger.manifest.max_steps) === true;
  };

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(FOLLOW_MS, resolve);
      wake = () => {
        cancel();
        resolve();
      };
    });

  async function begin(): Promise<Leadership> {
    const own = await openLog(nats, me);
    log = own;
    hasLed = true;
    await persist(nats, 'reading the stream', () => mirror.follow());
    const journal = streamStore(own, names.log.journal, partBytes(nats));
    if (mirror.ahead.length > 0) {
      await journal.append(mirror.ahead);
      await journal.sync();
    }
    return {
      journal: mirrored(journal, file),
      pending: streamStore(own, names.log.pending, partBytes(nats)),
      transport(sources) {
        const listener = natsListener(nats, { me, leads: seat.leads });
        let quiet = (): void => undefined;
        return {
          async listen(accept) {
            quiet = answerAsks(nats, { me, crypto, sources, leads: seat.leads });
            // Peers that come before it is through are given files by this coordinator itself.
            void upload(sources, () => log === own).catch(() => undefined);
            return listener.listen(accept);
          },
          async close() {
            quiet();
            await listener.close();
          },
        };
      },
      onLost(act) {
        if (log === own) onLost = act;
        else act();
      },
    };
  }

  /** The base and the data into the object store, what is there already excepted. */
  async function upload({ files, blob }: Sources, goesOn: () => boolean): Promise<void> {
    const bucket = await openFiles(nats, true);
    for (const file of files) {
      const source = await blob(file.sha256);
      if (source && goesOn()) await bucket.put(file, (at, length) => source.read(at, length));
    }
  }

  return {
    ledger: () => mirror.ledger(),
    async lead() {
      log?.stop(new Fault('LEASE_LOST', 'this coordinator begins again'));
      log = undefined;
      if (hasLed) mirror = await openMirror(nats, file, crypto); // what it wrote while it led went around the copy
      hasLed = false;
      while (!stopped) {
        if (!seat.leads()) {
          await mirror.follow().catch(onlyAway);
          if (!seat.leads()) await pause();
          continue;
        }
        await mirror.follow().catch(onlyAway);
        if (isComplete() && wasReleased) return undefined; // its peers have all they need
        try {
          return await begin();
        } catch (error) {
          if (!(error instanceof Fault) || !['LEASE_LOST', 'STORE_UNREACHABLE'].includes(error.code)) throw error;
          await pause();
        }
      }
      return undefined;
    },
    stop() {
      stopped = true;
      wake();
    },
    async close() {
      end();
      await seat.leave(true);
    },
  };
}

/** The servers are away for a moment: the copy is brought up to date later. A journal that is wrong stays wrong. */
function onlyAway(error: unknown): void {
  if (error instanceof Fault && error.code !== 'STORE_UNREACHABLE') throw error;
}

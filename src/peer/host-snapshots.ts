/**
 * Snapshots of a host: when one is worth writing, and what it is kept with.
 *
 * @module
 */
import type { Journal } from '../journal/journal.ts';
import { CHUNK_WEIGHTS, type Merge, type Round } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import type { Leaf } from '../numeric/merkle.ts';
import { poolOf } from '../numeric/names.ts';
import type { Clock, Crypto } from '../ports.ts';
import { rootOfLeaves } from './chunks.ts';
import { roundsOf } from './ledger.ts';
import type { Replica } from './replica.ts';
import { downloadMs, measured, type Pace, roundsBetween } from './snapshot-pace.ts';
import { encodeStanding, type Standing, standingAfter, standingAt } from './standing.ts';
import type { Event } from './state.ts';

/** What a host keeps of its weights after `round` rounds. */
export interface SavedSnapshot {
  readonly round: number;
  readonly root: Uint8Array;
  readonly leaves: readonly Leaf[];
  /** `Replica.sums`, where they are worth having. */
  readonly sums?: Uint8Array;
  /** `encodeStanding` of the journal after that many rounds; absent after the last: nobody joins any more. */
  readonly standing?: Uint8Array;
}

export interface SnapshotOptions {
  /** Keeps a snapshot, whose chunks `write` gives. */
  readonly save?: (snapshot: SavedSnapshot, write: Replica['snapshot']) => Promise<void>;
  /** What a joiner downloads of one. Default: unknown; they are then written after `saveSteps` and at the end. */
  readonly snapshotBytes?: number;
}

interface Parts extends SnapshotOptions {
  readonly journal: Pick<Journal, 'records'>;
  readonly replica: Replica;
  readonly crypto: Crypto;
  readonly clock: Clock;
}

export interface HostSnapshots {
  /** Brings the weights on with `work`, which is of so many rounds, or of these merges. @returns what the sequencer hears. */
  moving(
    rounds: number,
    merges: readonly Merge[],
    work: () => Promise<unknown>,
  ): Promise<Extract<Event, { type: 'applied' }>>;
  /** Takes one of the weights as they are. @returns what the sequencer hears. */
  take(): Promise<Extract<Event, { type: 'rooted' }>>;
}

/** Of a chunk of a merge, in the widest format. */
const MERGE_BYTES = 4 * CHUNK_WEIGHTS;

export function hostSnapshots({ journal, replica, crypto, clock, save, snapshotBytes }: Parts): HostSnapshots {
  /** Of the journal at the last snapshot: the next is reached from there. */
  let stood: Standing | undefined;
  let pace: Pace = {};
  /** When the weights were last brought on, and how long a checksum takes of weights that are owed nothing. */
  let movedAt: number | undefined;
  let idleMs = 0;
  /** What a joiner downloads of the last one. */
  let bytes = snapshotBytes;

  function standingOf(round: number): Uint8Array {
    stood ??= standingAt(journal.records[0]!, crypto);
    stood = standingAfter(stood, journal.records.slice(stood.position.index), round);
    return encodeStanding(stood);
  }

  const countedUpTo = (round: number): Round[] => roundsOf(journal.records.map(({ entry }) => entry)).slice(0, round);

  return {
    async moving(rounds, merges, work) {
      const began = clock.now();
      await work();
      const checksum = toHex(await replica.checksum());
      const now = clock.now();
      const chunks = merges.reduce((sum, merge) => sum + merge.chunks.length, 0);
      if (rounds === 0) idleMs = now - began;
      else {
        const replayMs = (now - began - idleMs + downloadMs(MERGE_BYTES * chunks)) / rounds;
        pace = measured(pace, { replayMs, ...(movedAt === undefined ? {} : { roundMs: (now - movedAt) / rounds }) });
        movedAt = now;
      }
      const round = replica.round();
      const snapshotRounds = bytes === undefined ? undefined : roundsBetween(bytes, pace);
      return { type: 'applied', round, checksum, ...(snapshotRounds === undefined ? {} : { snapshotRounds }) };
    },

    async take() {
      const began = clock.now();
      const round = replica.round();
      const leaves = await replica.leaves();
      const root = rootOfLeaves(leaves, crypto.sha256);
      const first = journal.records[0]!.entry;
      const manifest = first.type === 'manifest' ? first.manifest : undefined;
      const standing = save === undefined || manifest?.max_steps === round ? undefined : standingOf(round);
      const pool = poolOf(manifest?.directions);
      const sums = standing && pool && (await replica.sums?.(async () => countedUpTo(round)));
      bytes = sums ? sums.length : snapshotBytes;
      await save?.({ round, root, leaves, ...(sums && { sums }), ...(standing && { standing }) }, replica.snapshot);
      pace = measured(pace, { writeMs: clock.now() - began });
      return { type: 'rooted', round, root, ...(standing && { standing: crypto.sha256(standing) }) };
    },
  };
}

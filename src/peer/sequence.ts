/**
 * Events of a run, one after the other, through the sequencer to their effects. Group commit: what has come in meanwhile
 * is stepped through together, and one sync serves all of it. A disk takes milliseconds to sync, whether one contribution
 * waits for it or a thousand; nothing is said before it is done.
 *
 * @module
 */
import type { Journal } from '../journal/journal.ts';
import { type JournalRecord, MOVES_WEIGHTS } from '../journal/reader.ts';
import { concatBytes } from '../numeric/bytes.ts';
import type { Clock, Store } from '../ports.ts';
import { type Stepped, step } from './coordinator.ts';
import { encodeKept } from './pending.ts';
import type { Effect, Event, State } from './state.ts';

/** Events at a time: to verify and receipt so many contributions takes 40 ms, and no socket is read meanwhile. */
const MAX_BATCH = 256;

/** What was put on stable storage, for an effect that comes after it. */
export interface Durable {
  /** What contributions of the batch were signed with: the journal may have gone on. */
  readonly anchor: Uint8Array;
  /** The record that an `append` has become. */
  readonly record: JournalRecord | undefined;
}

export interface SequenceOptions {
  readonly journal: Journal;
  /** Contributions of the open round. */
  readonly pending: Store;
  readonly clock: Clock;
  /** The beginning, whose effects come first. */
  readonly first: Stepped;
  /** Carries an effect out. What it keeps and appends is on stable storage. */
  readonly execute: (effect: Effect, durable: Durable) => unknown;
  /** Hears of an event whose effects have been carried out. */
  readonly stepped: (before: State, after: State) => void;
  /** Hears how many milliseconds stable storage has taken. */
  readonly waited: (ms: number) => void;
  /** Nothing goes on after this. */
  readonly failed: (error: unknown) => void;
  /** Whether all is over. */
  readonly isClosed: () => boolean;
}

export interface Sequence {
  /** After the newest event. Its effects may be under way. */
  state(): State;
  /** Queues an event. It is made when its turn comes: what verifies it moves on with the journal. */
  post(make: () => Event | undefined): void;
  /** Effects of the beginning, then whatever was posted. */
  start(): void;
}

/**
 * Whether a batch ends with the event of these effects: contributions are verified with the head of the journal, and are
 * kept until the next `forget`.
 */
const endsBatch = (effects: readonly Effect[]): boolean =>
  effects.some(
    (effect) =>
      effect.type === 'forget' ||
      effect.type === 'finish' ||
      (effect.type === 'append' && MOVES_WEIGHTS.has(effect.entry.type)),
  );

/**
 * Puts on stable storage what a batch keeps and appends.
 * @returns the records of its entries, in order.
 */
async function makeDurable(
  { journal, pending }: Pick<SequenceOptions, 'journal' | 'pending'>,
  effects: readonly Effect[],
): Promise<readonly JournalRecord[]> {
  const entries = effects.flatMap((effect) => (effect.type === 'append' ? [effect.entry] : []));
  // What the round takes in that ends this batch is as good as kept: nobody has a receipt before it is in the journal.
  const isTaken = entries.some(({ type }) => type === 'round');
  const kept = effects.flatMap((effect) =>
    effect.type === 'keep' && !isTaken ? [encodeKept(effect.contribution)] : [],
  );
  if (kept.length > 0) {
    await pending.append(concatBytes(...kept));
    await pending.sync();
  }
  return entries.length === 0 ? [] : journal.appendAll(entries);
}

export function openSequence(options: SequenceOptions): Sequence {
  const { journal, clock, first, execute, isClosed } = options;
  let { state } = first;
  const queue: (() => Event | undefined)[] = [];
  let busy = true; // until the effects of the beginning are carried out

  async function pump(start?: Stepped): Promise<void> {
    busy = true;
    try {
      if (start !== undefined) await carryOut(state, [start]);
      while (queue.length > 0 && !isClosed()) await carryOut(state, batch());
    } catch (error) {
      options.failed(error);
    }
    busy = false;
  }

  /** Steps through what waits, as far as one sync serves it all. */
  function batch(): Stepped[] {
    const steps: Stepped[] = [];
    while (queue.length > 0 && steps.length < MAX_BATCH) {
      const event = queue.shift()!();
      if (event === undefined) continue;
      const next = step(state, event, clock.now());
      state = next.state;
      steps.push(next);
      if (endsBatch(next.effects)) break;
    }
    return steps;
  }

  async function carryOut(before: State, steps: readonly Stepped[]): Promise<void> {
    const { anchor } = journal.position;
    const began = clock.now();
    const effects = steps.flatMap((next) => next.effects);
    const records = (await makeDurable(options, effects)).values();
    options.waited(clock.now() - began);
    for (const next of steps) {
      for (const effect of next.effects) {
        if (isClosed()) return;
        await execute(effect, { anchor, record: effect.type === 'append' ? records.next().value : undefined });
      }
      options.stepped(before, next.state);
      before = next.state;
    }
  }

  return {
    state: () => state,
    post(make) {
      queue.push(make);
      if (!busy) void pump();
    },
    start: () => void pump(first),
  };
}

/**
 * How a run stands now, for those who watch it: what its journal does not hold. The page and other people's programs
 * read it from `/<code>/status`, and as it changes from `/<code>/events` (docs/WIRE.md 6).
 *
 * @module
 */
import type { Traffic } from './door.ts';
import type { Phase, View } from './state.ts';

/** What a code lets its holder do besides looking. */
export type Right = 'join' | 'try';

export interface PeerStatus {
  readonly slot: number;
  readonly name: string;
  readonly state: View['peers'][number]['state'];
  /** Gradients a second, the way to the host included; absent before the first delivery. */
  readonly rate?: number;
  /** Gradients (or inner steps) in committed rounds. */
  readonly records: number;
  /** Provable offences since the host began; three evict. */
  readonly strikes: number;
  /** Why it was evicted, as the journal has it. */
  readonly reason?: string;
  /** Since its last message. */
  readonly seen_ms: number;
  /** Rounds after which it last said what its weights are; absent: never. */
  readonly applied?: number;
  readonly bytes: Traffic;
}

export interface RunStatus {
  /** `past`: nobody hosts it here; what is shown is the journal. */
  readonly kind: 'live' | 'past';
  readonly may: readonly Right[];
  readonly phase: Phase | 'stopped';
  /** Rounds committed. */
  readonly round: number;
  /** Of the whole run. */
  readonly max_steps: number;
  /** Seconds left, from the pace of the latest rounds. */
  readonly eta_s?: number;
  /** The latest of the host's replica. */
  readonly evaluation?: { readonly round: number; readonly metrics: Readonly<Record<string, number>> };
  /** Since the open round was opened; absent where none is. */
  readonly open_ms?: number;
  /** Bytes of the journal. */
  readonly journal_bytes: number;
  /** Weights that the run trains: a full gradient has as many numbers. Absent where the base is not at hand. */
  readonly weights?: number;
  readonly peers: readonly PeerStatus[];
  readonly bytes: Traffic;
  /** Where others join, for those who may. */
  readonly links?: readonly string[];
}

/** What one model makes of a text. */
export interface Made {
  /** What it writes after the prompt; absent for a masked model, which writes nothing. */
  readonly text?: string;
  /** In the order of the task's labels. */
  readonly labels?: readonly { readonly value: string; readonly word: string; readonly probability: number }[];
}

/** What both models make of it. */
export interface TriedOut {
  readonly prompt: string;
  /** Rounds that the tuned model has behind it. */
  readonly round: number;
  readonly base: Made;
  readonly tuned: Made;
}

/** When a round was committed, and what the sockets had counted by then. */
export interface Pace {
  readonly round: number;
  /** Milliseconds since the host began. */
  readonly at: number;
  readonly wire: number;
}

/**
 * What the host knows of a run, as `status` tells it.
 * @param now of the clock that the view was made with. @param reasons why slots were evicted.
 */
export function liveStatus(
  { phase, round, peers, openedAt, traffic }: View & { readonly traffic: ReadonlyMap<number, Traffic> },
  total: Traffic,
  now: number,
  reasons: ReadonlyMap<number, string> = new Map(),
): Pick<RunStatus, 'phase' | 'round' | 'open_ms' | 'peers' | 'bytes'> {
  return {
    phase,
    round,
    ...(openedAt === undefined ? {} : { open_ms: now - openedAt }),
    peers: peers.map(({ slot, name, state, records, strikes, rate, seen, applied }) => ({
      ...{ slot, name, state, records, strikes, seen_ms: now - seen },
      ...(reasons.has(slot) ? { reason: reasons.get(slot)! } : {}),
      ...(rate === undefined ? {} : { rate: rate * 1000 }),
      ...(applied < 0 ? {} : { applied }),
      bytes: traffic.get(slot) ?? { payload: 0, wire: 0 },
    })),
    bytes: total,
  };
}

/** Paces with more of them; a round that is made once more, after a rewind, takes the place of those from it on. */
export function withPaces(paces: readonly Pace[], more: readonly Pace[]): readonly Pace[] {
  const all = [...paces];
  for (const pace of more) {
    while (all.length > 0 && all.at(-1)!.round >= pace.round) all.pop();
    all.push(pace);
  }
  return all;
}

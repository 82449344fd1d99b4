/**
 * A coordinator's place in the queue for the lease: looks at it again and again, takes it when it may, renews it while
 * it leads, and says when it no longer does.
 *
 * @module
 */
import type { Clock } from '../../ports.ts';
import { type Candidate, candidate, isLeading, type LeaseStore, next, observed, type Term, written } from './lease.ts';

/** The term: longer than servers take to elect (about four seconds), or a leader would fall with each of them. */
export const TERM_MS = 10_000;
const RENEW_MS = 2000;

export interface SeatEvents {
  /** It leads. @param before whose term it took over, if there was one. */
  leading(term: Term, before: Term | undefined): void;
  /** It led, and does not any more. */
  lost(): void;
  /** Somebody else leads. */
  following(term: Term): void;
}

export interface Seat {
  /** Whether it leads, as far as it can know. */
  leads(): boolean;
  /** Stops renewing. `release`: lets others take over at once. */
  leave(release: boolean): Promise<void>;
}

export interface SeatOptions {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly me: string;
  readonly name: string;
  readonly events: SeatEvents;
  readonly termMs?: number;
  readonly renewMs?: number;
}

export function takeSeat({ store, clock, me, name, events, termMs = TERM_MS, renewMs = RENEW_MS }: SeatOptions): Seat {
  let self: Candidate = candidate(me, name);
  let led = false;
  let left = false;
  let leader: string | undefined;
  /** Of the terms of others, the last that was seen. */
  let before: Term | undefined;
  let cancel = (): void => undefined;
  let turn: Promise<void> = Promise.resolve();

  function tell(): void {
    const leads = isLeading(self, clock.now());
    const term = self.entry?.term;
    if (leads !== led) {
      led = leads;
      if (leads) events.leading(term!, before);
      else events.lost();
    }
    if (!leads && term && term.id !== me && term.id !== leader) events.following(term);
    leader = term?.id;
  }

  async function look(): Promise<void> {
    const began = clock.now();
    try {
      self = observed(self, await store.read(), clock.now());
      if (self.entry && self.entry.term.id !== me) before = self.entry.term;
      const term = left ? undefined : next(self, clock.now(), termMs);
      if (term) {
        const writing = clock.now();
        const revision = await store.write(term, self.entry?.revision ?? 0);
        if (revision !== undefined) self = written(self, { revision, term }, writing, termMs);
      }
    } catch {
      // The servers are away: what was last known holds until the term is over.
    }
    if (left) return;
    tell();
    const wait = Math.max(0, renewMs - (clock.now() - began));
    cancel = clock.after(wait, () => {
      turn = look();
    });
  }

  /** The end of a term is noticed when it comes, whatever a request is waiting for. */
  let watched = (): void => undefined;
  function watch(): void {
    watched = clock.after(renewMs / 4, () => {
      if (led) tell();
      watch();
    });
  }
  watch();
  turn = look();

  return {
    leads: () => !left && isLeading(self, clock.now()),
    async leave(release) {
      left = true;
      cancel();
      watched();
      await turn;
      const entry = self.entry;
      if (release && entry?.term.id === me)
        await store.write({ ...entry.term, released: true }, entry.revision).catch(() => undefined);
      self = { ...self, until: Number.NEGATIVE_INFINITY };
    },
  };
}

/**
 * Who leads: a lease that is renewed, kept where a write can name the revision it replaces. No two clocks are compared: a
 * candidate takes over when it has seen one revision unchanged for the whole term by its own clock, and a leader stops
 * when its last renewal was *begun* that long ago. Between machines whose clocks run at the same speed no two lead at
 * once; where one was frozen and does not know yet, the fence in the log (`log.ts`) refuses it.
 *
 * @module
 */

/** What the lease says. */
export interface Term {
  /** Of this process, and no other, ever. */
  readonly id: string;
  /** Terms before this one. */
  readonly epoch: number;
  /** For people: the machine. */
  readonly name: string;
  /** It left of its own accord: nobody need wait. */
  readonly released?: true;
}

/** The lease as it was read. */
export interface Entry {
  readonly revision: number;
  readonly term: Term;
}

/** Where leases are kept. */
export interface LeaseStore {
  read(): Promise<Entry | undefined>;
  /**
   * @param revision that it replaces; 0 where there is none.
   * @returns the new revision, or undefined if another was there first.
   */
  write(term: Term, revision: number): Promise<number | undefined>;
}

/** What a candidate knows. */
export interface Candidate {
  readonly me: string;
  readonly name: string;
  readonly entry: Entry | undefined;
  /** When it first saw this revision. */
  readonly seenAt: number;
  /** Leads until then, unless it renews. */
  readonly until: number;
}

export const candidate = (me: string, name: string): Candidate => ({
  ...{ me, name, entry: undefined },
  ...{ seenAt: Number.NEGATIVE_INFINITY, until: Number.NEGATIVE_INFINITY },
});

export const isLeading = ({ until }: Candidate, now: number): boolean => now < until;

/** After a read. Another's term ends ours. */
export function observed(self: Candidate, entry: Entry | undefined, now: number): Candidate {
  const same = entry?.revision === self.entry?.revision;
  const ours = entry?.term.id === self.me;
  return { ...self, entry, seenAt: same ? self.seenAt : now, until: ours ? self.until : Number.NEGATIVE_INFINITY };
}

/** What to write now, if anything: a renewal, or a new term where there is none, it was released, or it has run out. */
export function next({ me, name, entry, seenAt }: Candidate, now: number, termMs: number): Term | undefined {
  if (entry === undefined) return { id: me, epoch: 1, name };
  const { term } = entry;
  if (term.id === me && !term.released) return term;
  return term.released || now - seenAt >= termMs ? { id: me, epoch: term.epoch + 1, name } : undefined;
}

/** After a write that succeeded. @param began when it was begun. */
export const written = (self: Candidate, entry: Entry, began: number, termMs: number): Candidate => ({
  ...self,
  ...{ entry, seenAt: began, until: entry.term.released ? Number.NEGATIVE_INFINITY : began + termMs },
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Candidate,
  candidate,
  type Entry,
  isLeading,
  type LeaseStore,
  next,
  observed,
  type Term,
  written,
} from '../../src/peer/nats/lease.ts';
import { takeSeat } from '../../src/peer/nats/seat.ts';
import type { Clock } from '../../src/ports.ts';

const TERM = 1000;

/** What a candidate does at one instant. `lost`: the write happens, and its answer does not arrive. */
type Act = 'read' | 'write' | 'write lost' | 'freeze' | 'leave';
interface Step {
  readonly who: number;
  readonly act: Act;
  readonly after: number;
}

const steps = fc.array(
  fc.record({
    who: fc.nat(2),
    act: fc.oneof(
      { weight: 4, arbitrary: fc.constant<Act>('read') },
      { weight: 6, arbitrary: fc.constant<Act>('write') },
      fc.constantFrom<Act>('write lost', 'freeze', 'leave'),
    ),
    after: fc.nat(TERM / 2),
  }),
  { minLength: 40, maxLength: 200, size: 'max' },
);

/** Plays steps on one lease. @param check is told who leads at each of them, and every term that was written. */
function play(list: readonly Step[], check: (leading: readonly Candidate[], wrote: Term | undefined) => void): void {
  let now = 0;
  let lease: Entry | undefined;
  const clocks = [0, 7_000_000, -3]; // they need not agree on what time it is, only on how fast it goes
  const all = clocks.map((_, i) => candidate(`c${i}`, `machine ${i}`));
  /** Frozen until then: whoever is frozen neither reads nor writes, and does not ask whether it leads. */
  const frozen = clocks.map(() => 0);
  for (const { who, act, after } of list) {
    now += after;
    const own = now + clocks[who]!;
    const self = all[who]!;
    let wrote: Term | undefined;
    if (frozen[who]! <= now) {
      if (act === 'read') all[who] = observed(self, lease, own);
      if (act === 'freeze') frozen[who] = now + 3 * TERM;
      const term = act === 'leave' ? released(self) : next(self, own, TERM);
      if ((act === 'write' || act === 'write lost' || act === 'leave') && term) {
        if ((lease?.revision ?? 0) === (self.entry?.revision ?? 0)) {
          wrote = term;
          lease = { revision: (lease?.revision ?? 0) + 1, term };
          if (act !== 'write lost') all[who] = written(self, lease, own, TERM);
        }
      }
    }
    check(
      all.filter((each, i) => frozen[i]! <= now && isLeading(each, now + clocks[i]!)),
      wrote,
    );
  }
}

const released = ({ me, entry }: Candidate): Term | undefined =>
  entry?.term.id === me && !entry.term.released ? { ...entry.term, released: true } : undefined;

describe('the lease', () => {
  test('two never lead at once, whatever is lost, frozen, or read late', () => {
    let led = 0;
    fc.assert(
      fc.property(steps, (list) => {
        play(list, (leading) => {
          led += leading.length;
          expect(leading.map(({ me }) => me).slice(1)).toEqual([]);
        });
      }),
      { numRuns: 300 },
    );
    expect(led).toBeGreaterThan(1000); // they did lead
  });

  test('the epoch grows with every change of hands, and only then', () => {
    fc.assert(
      fc.property(steps, (list) => {
        let last: Term | undefined;
        play(list, (_, wrote) => {
          if (wrote && last) {
            const renewed = wrote.id === last.id && !last.released;
            expect(wrote.epoch).toBe(renewed ? last.epoch : last.epoch + 1);
          }
          last = wrote ?? last;
        });
      }),
    );
  });

  test('nobody takes a term that is renewed; anybody takes one that is not, or was released', () => {
    const term: Term = { id: 'a', epoch: 4, name: 'machine a' };
    let self = observed(candidate('b', 'machine b'), { revision: 7, term }, 0);
    self = observed(self, { revision: 8, term }, TERM - 1);
    expect(next(self, 2 * TERM - 2, TERM)).toBeUndefined();
    expect(next(self, 2 * TERM - 1, TERM)).toEqual({ id: 'b', epoch: 5, name: 'machine b' });
    self = observed(self, { revision: 9, term: { ...term, released: true } }, 2 * TERM);
    expect(next(self, 2 * TERM, TERM)).toEqual({ id: 'b', epoch: 5, name: 'machine b' });
  });

  test('a leader that cannot renew stops at the end of its term, and others follow', async () => {
    const clock = fakeClock();
    let lease: Entry | undefined;
    const away = new Set<string>();
    const store = (me: string): LeaseStore => ({
      async read() {
        if (away.has(me)) throw new TypeError('away');
        return lease;
      },
      async write(term, revision) {
        if (away.has(me)) throw new TypeError('away');
        if ((lease?.revision ?? 0) !== revision) return undefined;
        lease = { revision: revision + 1, term };
        return lease.revision;
      },
    });
    const told: string[] = [];
    const sit = (me: string) =>
      takeSeat({
        ...{ store: store(me), clock, me, name: me, termMs: TERM, renewMs: 200 },
        events: {
          leading: ({ epoch }, before) => told.push(`${me} leads ${epoch} after ${before?.id}`),
          lost: () => told.push(`${me} lost at ${clock.now()}`),
          following: ({ id }) => told.push(`${me} follows ${id}`),
        },
      });
    const [a, b] = [sit('a'), sit('b')];
    await clock.pass(1000);
    expect(told).toEqual(['a leads 1 after undefined', 'b follows a']);
    away.add('a');
    await clock.pass(TERM + 400);
    expect(a.leads()).toBe(false);
    expect(b.leads()).toBe(true);
    expect(told.slice(2).map((line) => line.replace(/ at .*/, ''))).toEqual(['a lost', 'b leads 2 after a']);
    away.delete('a');
    await clock.pass(400);
    expect(told.slice(4)).toEqual(['a follows b']);
    await b.leave(true);
    await clock.pass(400);
    expect(told.slice(5)).toEqual(['a leads 3 after b']);
    await a.leave(false);
  });
});

/** Time that passes when it is told to. */
function fakeClock(): Clock & { pass(ms: number): Promise<void> } {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly act: () => void }>();
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };
  return {
    now: () => now,
    after(ms, act) {
      const timer = { at: now + ms, act };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async pass(ms) {
      const end = now + ms;
      await settle();
      for (;;) {
        const [first] = [...timers].filter(({ at }) => at <= end).sort((x, y) => x.at - y.at);
        if (first === undefined) break;
        timers.delete(first);
        now = Math.max(now, first.at);
        first.act();
        await settle();
      }
      now = end;
    },
  };
}

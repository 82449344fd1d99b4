/** What happens in a simulated run: drawn from its seed, or made by hand, or by fast-check, which makes it smaller. */
import { seeded } from '../peer/fake.ts';

/** At `at` ms. `peer` is a number of any size: the remainder counts. `learns`: ms until the host hears of a broken line. */
export type Trouble =
  | { readonly kind: 'cut'; readonly at: number; readonly peer: number; readonly learns: number }
  | {
      readonly kind: 'crash';
      readonly at: number;
      readonly peer: number;
      readonly away: number;
      readonly learns: number;
    }
  | { readonly kind: 'freeze'; readonly at: number; readonly peer: number; readonly ms: number }
  | { readonly kind: 'leave' | 'drift'; readonly at: number; readonly peer: number }
  | { readonly kind: 'offend'; readonly at: number; readonly peer: number; readonly how: number }
  /** Peers from number `first` on, `part` of all, do not reach the host for `ms`; their lines break, or only wait. */
  | {
      readonly kind: 'partition';
      readonly at: number;
      readonly first: number;
      readonly part: number;
      readonly ms: number;
      readonly breaks: boolean;
    }
  /** The host dies, and another takes its place after `down` ms. */
  | { readonly kind: 'host'; readonly at: number; readonly down: number };

export interface Plan {
  /** Of everything that is not in the plan. */
  readonly seed: number;
  readonly peers: number;
  /** Of these, so many are in the journal already, as those of a run that goes on. */
  readonly admitted: number;
  readonly rounds: number;
  readonly records_per_round: number;
  readonly minPeers: number;
  readonly evalSteps: number;
  readonly saveSteps: number;
  /** A sync takes so many ms at most. */
  readonly disk: number;
  /** Ms of a frame at most: half of the peers are nearer than a tenth of that. */
  readonly far: number;
  /** Part of the contributions that are sent twice. */
  readonly twice: number;
  readonly troubles: readonly Trouble[];
}

/** Troubles happen within this: a run of a few rounds takes about so long. */
const SPAN_MS = 14_000;

export function planOf(seed: number, peers: number): Plan {
  const random = seeded(seed ^ 0x5eed);
  const pick = (n: number): number => Math.floor(random() * n);
  const at = (): number => pick(SPAN_MS);
  const peer = (): number => pick(peers);
  const learns = (): number => (pick(3) === 0 ? pick(8000) : pick(300));
  const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
  const some = (part: number): number => pick(Math.ceil(part * peers) + 1);
  return {
    ...{ seed, peers },
    admitted: pick(10) === 0 ? 0.9 * peers : peers - some(0.01),
    rounds: 3 + pick(5),
    records_per_round: Math.ceil(peers * [0.5, 1, 1, 2][pick(4)]!),
    minPeers: Math.ceil(peers * (0.2 + 0.6 * random())),
    ...{ evalSteps: 1 + pick(4), saveSteps: 1 + pick(4) },
    ...{ disk: pick(120), far: 50 + pick(1500), twice: pick(3) === 0 ? 0.2 : 0.02 },
    troubles: [
      ...times(some(0.15), (): Trouble => ({ kind: 'cut', at: at(), peer: peer(), learns: learns() })),
      ...times(some(0.05), (): Trouble => {
        return { kind: 'crash', at: at(), peer: peer(), away: pick(6000), learns: learns() };
      }),
      ...times(some(0.03), (): Trouble => ({ kind: 'freeze', at: at(), peer: peer(), ms: pick(2) ? 1e9 : pick(9000) })),
      ...times(some(0.02), (): Trouble => ({ kind: 'leave', at: at(), peer: peer() })),
      ...times(some(0.01), (): Trouble => ({ kind: 'drift', at: at(), peer: peer() })),
      ...times(pick(8) + some(0.01), (): Trouble => ({ kind: 'offend', at: at(), peer: peer() % 5, how: pick(4) })),
      ...times(pick(3), (): Trouble => {
        const breaks = pick(2) === 0;
        return { kind: 'partition', at: at(), first: peer(), part: 0.7 * random(), ms: pick(9000), breaks };
      }),
      ...times(pick(4), (): Trouble => ({ kind: 'host', at: at(), down: pick(4000) })),
    ],
  };
}

/**
 * What a run keeps of the promises that integers make (docs/NUMBERS.md 6), by its optimizer: one table that refusals and
 * `murmur inspect` read.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';

export type PromiseName = 'order_free' | 'revocable' | 'snapshots';

/** Promise → what it means. */
export const PROMISES: Readonly<Record<PromiseName, string>> = {
  order_free: 'rounds may be added in any order, to the same bits',
  revocable: 'a record can be taken back exactly',
  snapshots: 'weights and the last rounds are all that a peer must have to go on',
};

export interface Verdict {
  readonly holds: boolean;
  readonly why: string;
}

type Verdicts = Readonly<Record<PromiseName, Verdict>>;
type Kind = NonNullable<Manifest['optimizer']>['kind'] | 'sgd';

const yes = (why: string): Verdict => ({ holds: true, why });
const no = (why: string): Verdict => ({ holds: false, why });

const SUM: Verdicts = {
  order_free: yes('what a record adds follows from its byte and a committed header'),
  revocable: yes('adding the opposite takes it back'),
  snapshots: yes('nothing else is remembered'),
};

const HISTORY: Verdicts = {
  order_free: yes('what a record adds in each round of its window follows from its byte and committed headers'),
  revocable: yes('adding the opposite in each round of its window takes it back'),
  snapshots: yes('with the rounds of one window before it, which are in the journal'),
};

const VERDICTS: Readonly<Record<Kind, Verdicts>> = {
  sgd: SUM,
  sign: SUM,
  normalised: SUM,
  momentum: HISTORY,
  scalar_adam: HISTORY,
  adam: {
    order_free: no('each round divides by moments that the rounds before it have moved'),
    revocable: no('a record is in the moments of every later round'),
    snapshots: no('they hold no moments; a peer that joins or restarts replays the journal from the base'),
  },
};

const VECTORS: Verdicts = {
  order_free: yes('a merge is a change in integers, whatever it was made of'),
  revocable: no('a share is in the momentum of every later merge; only whole merges can be taken back'),
  snapshots: yes('weights are all that a peer needs to follow; whoever merges keeps the momentum'),
};

/** What others said of a direction is in what a vote adds. */
const VOTES: Pick<Verdicts, 'revocable'> = {
  revocable: yes('its rounds are taken back whole, and added again without it'),
};

type Kept = Partial<Pick<Manifest, 'optimizer' | 'exchange' | 'scalar_aggregation'>>;

export const promisesOf = ({
  optimizer,
  exchange,
  scalar_aggregation,
}: {
  readonly [K in keyof Kept]: Kept[K] | undefined;
}): Verdicts => (exchange ? VECTORS : { ...VERDICTS[optimizer?.kind ?? 'sgd'], ...(scalar_aggregation ? VOTES : {}) });

/** @throws {Fault} NOT_REVOCABLE naming the method */
export function checkRevocable(manifest: Parameters<typeof promisesOf>[0]): void {
  const { holds, why } = promisesOf(manifest).revocable;
  if (holds) return;
  const { exchange, optimizer } = manifest;
  const method = exchange ? `method ${exchange.kind}` : `optimizer ${optimizer?.kind}`;
  throw new Fault('NOT_REVOCABLE', `${method}: ${why}; "murmur rewind" takes whole rounds back`);
}

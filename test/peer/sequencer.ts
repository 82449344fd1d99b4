import type { Entry, Manifest } from '../../src/nouns.ts';
import { begin, step } from '../../src/peer/coordinator.ts';
import type { Effect, Event, Kept, Rules, State } from '../../src/peer/state.ts';
import { secretOf } from './fake.ts';

/** The checksum that the host's replica and every honest peer come to. */
export const RIGHT: string = 'aa'.repeat(8);
export const SIGNATURE: Uint8Array = new Uint8Array(64);

export interface Sequencer {
  now: number;
  readonly journal: Entry[];
  readonly state: State;
  /** Effects of the events given last. */
  effects: Effect[];
  send(...events: readonly Event[]): readonly Effect[];
  of<T extends Effect['type']>(type: T): Extract<Effect, { readonly type: T }>[];
  connect(number: number, channel?: number): readonly Effect[];
  ready(...channels: readonly number[]): readonly Effect[];
  /** Connected, confirmed and ready: numbers are channels and, in order of first arrival, slots. */
  join(...numbers: readonly number[]): readonly Effect[];
  /** The host's replica catches up. */
  applied(): readonly Effect[];
}

/** A sequencer under the hand of a test: time stands still unless a test moves it. */
export function sequencer(
  manifest: Manifest,
  rules: Partial<Rules>,
  entries: readonly Entry[] = [],
  kept: readonly Kept[] = [],
): Sequencer {
  const journal: Entry[] = [{ type: 'manifest', manifest }, ...entries];
  let state: State;
  const self: Sequencer = {
    now: 0,
    journal,
    get state(): State {
      return state;
    },
    effects: [],
    send(...events) {
      self.effects = [];
      for (const event of events) take(step(state, event, self.now));
      return self.effects;
    },
    of<T extends Effect['type']>(type: T) {
      return self.effects.filter((effect): effect is Extract<Effect, { readonly type: T }> => effect.type === type);
    },
    connect: (number, channel = number) =>
      self.send({ type: 'proved', channel, key: secretOf(number), name: `peer ${number}` }),
    ready: (...channels) =>
      self.send(
        ...channels.map((channel): Event => ({ type: 'ready', channel, round: state.ledger.round, checksum: RIGHT })),
      ),
    join(...numbers) {
      for (const number of numbers) self.connect(number);
      return self.ready(...numbers);
    },
    applied: () => self.send({ type: 'applied', round: state.ledger.round, checksum: RIGHT }),
  };
  function take({ state: next, effects }: { readonly state: State; readonly effects: readonly Effect[] }): void {
    state = next;
    self.effects.push(...effects);
    for (const effect of effects) if (effect.type === 'append') journal.push(effect.entry);
  }
  take(begin(journal, kept, { minPeers: 1, evalSteps: 100, ...rules }, 0));
  return self;
}

/**
 * What the owner of a run wants taken back, and who waits for the answer.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';
import { type Settleable, settleable } from './settleable.ts';

/** Whose records are to count no more, in which rounds: all by default. The peer is excluded from the run as well. */
export interface Revoking {
  readonly slot: number;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly reason: string;
}

export type Wish =
  | ({ readonly type: 'revoke' } & Revoking)
  /** Rounds that are to stay. */
  | { readonly type: 'rewind'; readonly round: number };

/** A wish, with the host's number of it. */
export type Asked = Wish & { readonly id: number };

/** What became of a wish: rounds there are now, and records that count no more. */
export interface Granted {
  readonly round: number;
  readonly records: number;
}

/** An answer to wish `id`. */
export type Answered = { readonly id: number } & (
  | { readonly granted: Granted }
  | { readonly refusal: { readonly code: FaultCode; readonly detail: string } }
);

export interface Wishes {
  /** @param ask hears the wish with its number. */
  put(wish: Wish, ask: (asked: Asked) => void): Promise<Granted>;
  answer(answered: Answered): void;
  /** No answer will come, to these and to later ones. */
  end(): void;
}

export function openWishes(): Wishes {
  const waiting = new Map<number, Settleable<Granted>>();
  let count = 0;
  let ended = false;
  const gone = (): Fault => new Fault('NOT_NOW', 'the host has ended; repeat it');
  return {
    put(wish, ask) {
      const granted = settleable<Granted>();
      const asked = { ...wish, id: count++ };
      waiting.set(asked.id, granted);
      if (ended) granted.reject(gone());
      else ask(asked);
      return granted.promise;
    },
    answer({ id, ...became }) {
      if ('granted' in became) waiting.get(id)?.resolve(became.granted);
      else waiting.get(id)?.reject(new Fault(became.refusal.code, became.refusal.detail));
      waiting.delete(id);
    },
    end() {
      ended = true;
      for (const { reject } of waiting.values()) reject(gone());
    },
  };
}

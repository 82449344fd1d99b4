/**
 * What the owner of a run wants taken back, and who waits for the answer.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';
import { MAX_REASON_BYTES } from '../journal/entries.ts';
import { printable } from '../numeric/text.ts';
import type { Ledger } from './ledger.ts';
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

/** A wish as a person says it: the peer by its name or its slot. */
export type Order =
  | {
      readonly type: 'revoke';
      readonly peer: string;
      readonly from?: number | undefined;
      readonly to?: number | undefined;
      readonly reason?: string | undefined;
    }
  | Extract<Wish, { readonly type: 'rewind' }>;

/** @throws {Fault} CONFIG_INVALID for a peer that is not there, or is two */
export function wishOf({ admitted }: Pick<Ledger, 'admitted'>, order: Order): Wish {
  if (order.type === 'rewind') return order;
  const { peer, from, to, reason = 'revoked' } = order;
  const named = [...admitted.values()].filter(({ slot, name }) => name === peer || String(slot) === peer);
  const [found, another] = named;
  if (found === undefined) throw new Fault('CONFIG_INVALID', `"${peer}": no such peer; "murmur inspect" lists them`);
  if (another !== undefined) {
    const slots = named.map(({ slot }) => slot).join(' or ');
    throw new Fault('CONFIG_INVALID', `"${peer}": there are several; name one by its slot, ${slots}`);
  }
  return { type: 'revoke', slot: found.slot, from, to, reason: printable(reason, MAX_REASON_BYTES) };
}

/** A wish, with the host's number of it. */
export type Asked = Wish & { readonly id: number };

/** What became of a wish: rounds there are now, and records that count no more. */
export interface Granted {
  readonly round: number;
  readonly records: number;
  /** Of the peer whose records they were. */
  readonly slot?: number;
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

/**
 * Who may come: by which codes, with which keys, and how many. Pure: `node/invites.ts` keeps the invites on disk.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Hex } from '../nouns.ts';
import { fromHex, toHex } from '../numeric/bytes.ts';
import { toUtf8 } from '../numeric/text.ts';
import type { Crypto } from '../ports.ts';
import type { Pass } from './state.ts';

/**
 * `open`: the code is no secret, and nothing bounds how many keys one person brings. `invite`: whoever holds a code.
 * `allow-list`: whoever holds a code and a key that is listed.
 */
export const POLICIES = ['open', 'invite', 'allow-list'] as const;
export type Policy = (typeof POLICIES)[number];

/** The code of an open run: a link that anybody may have, and guess. */
export const OPEN_CODE = 'open';
/** The invite that the code of the run itself is: as many as like, and no part of a round is too large. */
export const MAIN_INVITE = 'main';

export interface Invite {
  readonly name: string;
  /** SHA-256 of its code: who reads the file cannot come by it. */
  readonly hash: Hex;
  /** Part of a round's records that all who came by it may have together. */
  readonly maxShare: number;
  /** Keys that may come by it; undefined: as many as like. */
  readonly uses?: number | undefined;
  /** Nobody new may come by it. */
  readonly withdrawn: boolean;
}

/** What is decided by. */
export interface Book {
  /** Keys that came by an invite, by its hash. */
  readonly guests: ReadonlyMap<Hex, ReadonlySet<Hex>>;
  /** Public keys that may come; undefined where all may. */
  readonly allowed: ReadonlySet<Hex> | undefined;
}

/** What a code opens of HTTP: all of it, what viewers may have, or nothing. */
export type Opens = 'join' | 'view' | undefined;

/** What a door and the routes ask. Both take the code as it was sent. */
export interface Admission {
  /** @throws {Fault} CODE_WRONG, INVITE_WITHDRAWN, INVITE_USED, NOT_ALLOWED */
  check(code: string, key: Uint8Array): Pass;
  /** As `check`, of a key that was proved: it is counted from now on. */
  enter(code: string, key: Uint8Array): Pass;
  opens(code: string): Opens;
}

/** In a time that does not depend on where they differ: a code is a secret. */
export function equalSlowly(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0);
  return difference === 0;
}

/** Whether a text is a code, known by its hash. */
export const isCode = (text: string, hash: Uint8Array, crypto: Pick<Crypto, 'sha256'>): boolean =>
  equalSlowly(crypto.sha256(toUtf8(text)), hash);

/** The invite of a code. Looks at all of them, so that its time does not tell which was nearly right. */
export function inviteOf(invites: readonly Invite[], code: string, crypto: Pick<Crypto, 'sha256'>): Invite | undefined {
  const hash = crypto.sha256(toUtf8(code));
  let found: Invite | undefined;
  for (const invite of invites) if (equalSlowly(fromHex(invite.hash), hash)) found = invite;
  return found;
}

/**
 * Whether a key may come by an invite. Who came by it before may come again, also when it was withdrawn or is used up.
 * @throws {Fault} CODE_WRONG, INVITE_WITHDRAWN, INVITE_USED, NOT_ALLOWED
 */
export function admit({ guests, allowed }: Book, invite: Invite | undefined, key: Hex): Invite {
  if (invite === undefined)
    throw new Fault('CODE_WRONG', 'the join code is not the one of this run; copy the whole link');
  if (allowed !== undefined && !allowed.has(key))
    throw new Fault(
      'NOT_ALLOWED',
      `the key ${key} is not on the list of this run; send it ("murmur key") to whoever hosts it`,
    );
  const came = guests.get(invite.hash);
  if (came?.has(key)) return invite;
  if (invite.withdrawn)
    throw new Fault('INVITE_WITHDRAWN', `the invite "${invite.name}" was withdrawn; ask the host for another`);
  if (invite.uses !== undefined && (came?.size ?? 0) >= invite.uses)
    throw new Fault(
      'INVITE_USED',
      `the invite "${invite.name}" has let in as many as it may; ask the host for another`,
    );
  return invite;
}

/** What an invite's code opens: a withdrawn one lets its members, if it has any, read on, and nobody have the data. */
export function opened({ guests }: Pick<Book, 'guests'>, invite: Invite | undefined): Opens {
  if (invite === undefined) return undefined;
  if (!invite.withdrawn) return 'join';
  return guests.get(invite.hash)?.size ? 'view' : undefined;
}

export const mainInvite = (joinCode: string, crypto: Pick<Crypto, 'sha256'>): Invite => ({
  name: MAIN_INVITE,
  hash: toHex(crypto.sha256(toUtf8(joinCode))),
  maxShare: 1,
  withdrawn: false,
});

/** A run with one code and nothing else. */
export function oneCode(joinCode: string, crypto: Pick<Crypto, 'sha256'>): Admission {
  const invites = [mainInvite(joinCode, crypto)];
  const book: Book = { guests: new Map(), allowed: undefined };
  const check = (code: string, key: Uint8Array): Pass => admit(book, inviteOf(invites, code, crypto), toHex(key));
  return { check, enter: check, opens: (code) => opened(book, inviteOf(invites, code, crypto)) };
}

/** Public keys of a text: 64 hexadecimal digits each, by lines or commas; what follows a # is a remark. */
export function keysOf(text: string, name: string): Set<Hex> {
  const words = text
    .split('\n')
    .map((line) => line.replace(/#.*/, ''))
    .join(',')
    .split(/[\s,]+/)
    .filter((word) => word !== '');
  for (const word of words)
    if (!/^[0-9a-f]{64}$/i.test(word))
      throw new Fault(
        'CONFIG_INVALID',
        `${name}: "${word.slice(0, 80)}" is no public key; it has 64 hexadecimal digits, as "murmur key" prints them`,
      );
  return new Set(words.map((word) => word.toLowerCase()));
}

/**
 * The invites of a run on disk. `invites.json` is written by `murmur invite`, and `guests.json`, the keys that came by
 * them, by the host: each file has one writer, so neither waits for the other. A host looks at the files whenever
 * somebody comes, so that an invite is good, or withdrawn, at once.
 *
 * @module
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../faults.ts';
import type { Hex } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import { type Admission, admit, type Invite, inviteOf, keysOf, mainInvite, opened, type Policy } from '../admission.ts';
import { nodeCrypto } from './crypto.ts';
import { fileRefusal } from './file-refusal.ts';
import { writeWhole } from './write-file.ts';

export const INVITES_FILE = 'invites.json';
export const GUESTS_FILE = 'guests.json';

const HASH = /^[0-9a-f]{64}$/;

const isInvite = (value: Partial<Invite>): value is Invite =>
  typeof value.name === 'string' &&
  HASH.test(value.hash ?? '') &&
  typeof value.maxShare === 'number' &&
  value.maxShare > 0 &&
  value.maxShare <= 1 &&
  (value.uses === undefined || (Number.isInteger(value.uses) && value.uses > 0)) &&
  typeof value.withdrawn === 'boolean';

/** @throws {Fault} FILE_MISSING */
function parseInvites(text: string, path: string): readonly Invite[] {
  const value = parsed(text) as { invites?: unknown } | undefined;
  if (Array.isArray(value?.invites) && value.invites.every(isInvite)) return value.invites;
  throw new Fault('FILE_MISSING', `${path} holds no invites; delete it, and make new ones with "murmur invite"`);
}

/** @throws {Fault} FILE_MISSING */
function parseGuests(text: string, path: string): ReadonlyMap<Hex, ReadonlySet<Hex>> {
  const value = parsed(text);
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [['', undefined] as const];
  if (entries.every(([hash, keys]) => HASH.test(hash) && Array.isArray(keys) && keys.every((key) => HASH.test(key))))
    return new Map(entries.map(([hash, keys]) => [hash, new Set(keys as Hex[])]));
  throw new Fault('FILE_MISSING', `${path} is damaged; delete it: used invites are then good once more`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @returns undefined where there is no such file. @throws {Fault} FILE_REFUSED */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw fileRefusal(error, path) ?? error;
  }
}

export function readInvites(folder: string): readonly Invite[] {
  const path = join(folder, INVITES_FILE);
  const text = textOf(path);
  return text === undefined ? [] : parseInvites(text, path);
}

export const writeInvites = (folder: string, invites: readonly Invite[]): Promise<void> =>
  writeWhole(join(folder, INVITES_FILE), `${JSON.stringify({ invites }, null, 1)}\n`, 0o600);

/** Keys that came by each invite, by its hash. @throws {Fault} FILE_MISSING, FILE_REFUSED */
export function readGuests(folder: string): ReadonlyMap<Hex, ReadonlySet<Hex>> {
  const path = join(folder, GUESTS_FILE);
  const text = textOf(path);
  return text === undefined ? new Map() : parseGuests(text, path);
}

function writeGuests(folder: string, guests: ReadonlyMap<Hex, ReadonlySet<Hex>>): void {
  const path = join(folder, GUESTS_FILE);
  const draft = join(folder, `.${GUESTS_FILE}.part`);
  const plain = Object.fromEntries([...guests].map(([hash, keys]) => [hash, [...keys]]));
  writeFileSync(draft, `${JSON.stringify(plain, null, 1)}\n`, { mode: 0o600, flush: true });
  renameSync(draft, path);
}

/** What identifies a version of a file that is replaced as a whole. */
function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeMs}`;
}

/**
 * What a file says, read again when it has changed. What cannot be read later on, as when somebody edits it, leaves what
 * was read before.
 * @throws whatever `read` throws the first time
 */
function followed<T>(path: string, read: () => T): () => T {
  let stamp = stampOf(path);
  let value = read();
  return () => {
    const now = stampOf(path);
    if (now === stamp) return value;
    stamp = now;
    try {
      value = read();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
    return value;
  };
}

export interface AdmissionOptions {
  readonly folder: string;
  readonly policy: Policy;
  readonly joinCode: string;
  /** `allow-list`: a file of public keys, or the keys themselves. */
  readonly allow?: string | undefined;
  /** Public keys that may come in any case: peers that the host starts itself. */
  readonly own?: readonly Hex[];
}

/** Whether the text is public keys; a name of a file else. */
const isKeys = (text: string): boolean => /^[\s,]*[0-9a-f]{64}([\s,]|$)/i.test(text);

/** @throws {Fault} FILE_MISSING, FILE_REFUSED, CONFIG_INVALID for a list that holds something else */
export function openAdmission({ folder, policy, joinCode, allow, own = [] }: AdmissionOptions): Admission {
  const main = mainInvite(joinCode, nodeCrypto);
  const invites = followed(join(folder, INVITES_FILE), () => [main, ...readInvites(folder)]);
  const allowed = policy === 'allow-list' ? allowedBy(allow ?? '', own) : () => undefined;
  let guests = readGuests(folder);
  const find = (code: string): Invite | undefined => inviteOf(invites(), code, nodeCrypto);
  const check = (code: string, key: Uint8Array): Invite =>
    admit({ guests, allowed: allowed() }, find(code), toHex(key));
  return {
    check,
    enter(code, key) {
      const invite = check(code, key);
      const came = guests.get(invite.hash) ?? new Set();
      if (invite.name === main.name || came.has(toHex(key))) return invite;
      guests = new Map(guests).set(invite.hash, new Set(came).add(toHex(key)));
      writeGuests(folder, guests);
      return invite;
    },
    opens: (code) => opened({ guests }, find(code)),
  };
}

function allowedBy(allow: string, own: readonly Hex[]): () => ReadonlySet<Hex> {
  const withOwn = (keys: Set<Hex>): ReadonlySet<Hex> => new Set([...keys, ...own]);
  if (allow === '' || isKeys(allow)) {
    const keys = withOwn(keysOf(allow, 'allow'));
    return () => keys;
  }
  return followed(allow, () => {
    const text = textOf(allow);
    if (text === undefined)
      throw new Fault('FILE_MISSING', `${allow} is not there; name a file of public keys, one a line`);
    return withOwn(keysOf(text, allow));
  });
}

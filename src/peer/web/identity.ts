/**
 * Who a tab is: an Ed25519 seed that the browser keeps for the page's origin. A tab that is closed and opened again is the
 * same peer; two tabs side by side are two.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { Database } from './database.ts';
import { webEntropy } from './system.ts';

/** More tabs than this on one machine are no help. */
const MAX_KEYS = 64;

async function secretOf(db: Database, name: string): Promise<Uint8Array> {
  const known = await db.get<Uint8Array>('keys', name);
  if (known !== undefined) return known;
  const secret = webEntropy(32);
  await db.put('keys', name, secret);
  return secret;
}

/** Whether a lock was free; it is held until this tab ends, or `release` is called. */
const held = (locks: LockManager, name: string): Promise<(() => void) | undefined> =>
  new Promise((resolve, reject) => {
    locks
      .request(name, { ifAvailable: true }, (lock) => {
        if (lock === null) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      })
      .catch(reject);
  });

/**
 * The first identity that no other tab is using: `peer`, `peer-2`, …
 * @param locks of the browser; absent on plain http, where a second tab takes the place of the first.
 * @returns its seed; `release` lets others use it.
 */
export async function freeIdentity(
  db: Database,
  locks: LockManager | undefined,
): Promise<{ readonly secret: Uint8Array; readonly release: () => void }> {
  if (locks === undefined) return { secret: await secretOf(db, 'peer'), release: () => undefined };
  for (let n = 1; n <= MAX_KEYS; n++) {
    const name = n === 1 ? 'peer' : `peer-${n}`;
    const release = await held(locks, `murmur ${name}`);
    if (release) return { secret: await secretOf(db, name), release };
  }
  throw new Fault('JOURNAL_LOCKED', `${MAX_KEYS} tabs of this browser take part already; close one`);
}

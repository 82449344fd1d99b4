/**
 * Taking back what a run committed: by its host where one is running, else in the journal of its folder itself.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../faults.ts';
import { type Journal, openJournal } from '../../journal/journal.ts';
import { toHex } from '../../numeric/bytes.ts';
import { type Ledger, ledgerOf, mergesOf } from '../ledger.ts';
import { revocation, rewinding, type TakenBack } from '../revising.ts';
import { type Granted, type Order, type Wish, wishOf } from '../wishes.ts';
import { giveOrder, isControlLink, readControl } from './control.ts';
import { nodeCrypto } from './crypto.ts';
import { readSecret } from './identity.ts';
import { JOURNAL_FILE, KEY_FILE, MERGES_FOLDER } from './run-folder.ts';
import { openFileStore } from './store.ts';

export interface Outcome extends Granted {
  /** Whether a host that is running did it. */
  readonly live: boolean;
}

/**
 * @param run an `output_dir`, or the control link of a host.
 * @throws {Fault} FILE_MISSING, NOT_REVOCABLE, NOT_NOW, CONFIG_INVALID, JOURNAL_*
 */
export async function takeBackIn(run: string, order: Order): Promise<Outcome> {
  if (isControlLink(run)) return { ...(await giveOrder(run, order)), live: true };
  const path = join(run, JOURNAL_FILE);
  if (!(await stat(path).catch(() => undefined))?.isFile())
    throw new Fault('FILE_MISSING', `${run} holds no ${JOURNAL_FILE}; name the output_dir of a run`);
  const key = join(run, KEY_FILE);
  const secret = await readSecret(key);
  if (secret === undefined)
    throw new Fault('FILE_MISSING', `${key} is missing, and only who has it can add to the journal`);
  const journal = await openFileStore(path)
    .then((store) => openJournal(store, nodeCrypto, secret))
    .catch(async (error: unknown) => {
      const link =
        error instanceof Fault && error.code === 'JOURNAL_LOCKED' ? (await readControl(run))?.link : undefined;
      if (link === undefined) throw error;
      return link;
    });
  if (typeof journal === 'string') return { ...(await giveOrder(journal, order)), live: true };
  try {
    return { ...(await takeBackFrom(journal, run, order)), live: false };
  } finally {
    await journal.close();
  }
}

async function takeBackFrom(journal: Journal, folder: string, order: Order): Promise<Granted> {
  const entries = journal.records.map(({ entry }) => entry);
  const ledger = ledgerOf(entries);
  const wish = wishOf(ledger, order);
  if (wish.type === 'rewind') await requireMerges(folder, mergesOf(entries).slice(0, wish.round));
  const taken = takenBack(ledger, wish);
  await journal.appendAll(taken.entries);
  const { rounds: round } = journal.position.state!;
  return { round, records: taken.records, ...(wish.type === 'revoke' ? { slot: wish.slot } : {}) };
}

const takenBack = (ledger: Ledger, wish: Wish): TakenBack =>
  wish.type === 'revoke' ? revocation(ledger, wish) : rewinding(ledger, wish.round);

/** Replicas start from the base and make these merges once more. @throws {Fault} FILE_MISSING */
async function requireMerges(folder: string, merges: ReturnType<typeof mergesOf>): Promise<void> {
  for (const { round, chunks } of merges)
    for (const hash of chunks) {
      const path = join(folder, MERGES_FOLDER, toHex(hash));
      if (!(await stat(path).catch(() => undefined)))
        throw new Fault('FILE_MISSING', `${path} of round ${round} is gone: nobody can come back to it`);
    }
}

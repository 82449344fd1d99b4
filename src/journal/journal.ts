/**
 * The journal of the coordinator: a store to which signed records are appended. What `append` resolves to is on
 * stable storage; what it rejects with has left nothing behind.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Entry } from '../nouns.ts';
import { concatBytes, toHex } from '../numeric/bytes.ts';
import type { Crypto, Store } from '../ports.ts';
import { type JournalRecord, type Position, readJournal } from './reader.ts';
import { encodeRecord, FILE_HEADER } from './record.ts';

export interface Journal {
  readonly records: readonly JournalRecord[];
  /** The end: state, chain head, length in bytes. */
  readonly position: Position;
  /** Bytes of an interrupted append that were cut when it was opened. */
  readonly cut: number;
  /** @throws {Fault} JOURNAL_ORDER. @throws {RangeError} for fields out of their limits. Or what the store throws. */
  append(entry: Entry): Promise<JournalRecord>;
  /** As `append`, all or none, with one sync. */
  appendAll(entries: readonly Entry[]): Promise<readonly JournalRecord[]>;
  /** The file as it is on stable storage. */
  read(): Promise<Uint8Array>;
  /** Closes the store when what is being appended is done. */
  close(): Promise<void>;
}

/**
 * @param secret Ed25519 seed of the coordinator.
 * @throws {Fault} as `readJournal`; JOURNAL_FOREIGN if another key signs it
 */
export async function openJournal(store: Store, crypto: Crypto, secret: Uint8Array): Promise<Journal> {
  const coordinator = toHex(crypto.publicKey(secret));
  const bytes = await store.read();
  const read = readJournal(bytes, crypto);
  let { position } = read;
  if (position.state !== null && position.state.manifest.coordinator !== coordinator) {
    throw new Fault('JOURNAL_FOREIGN', `${store.name} is signed by another key; resume it with the key that began it`);
  }
  const cut = bytes.length - position.length;
  if (cut > 0) await cutTo(position.length);
  const records = [...read.records];
  let busy: Promise<unknown> = Promise.resolve();
  let broken: unknown = null;

  async function cutTo(length: number): Promise<void> {
    await store.truncate(length);
    await store.sync();
  }

  /** Record by record through the reader's own door, so that nothing is written that would not be read. */
  function sign(entries: readonly Entry[]): { readonly signed: JournalRecord[]; readonly end: Position } {
    let end: Position = position.length > 0 ? position : { ...position, length: FILE_HEADER.length };
    const signed: JournalRecord[] = [];
    for (const entry of entries) {
      if (entry.type === 'manifest' && entry.manifest.coordinator !== coordinator) {
        throw new RangeError(`"manifest.coordinator" expected ${coordinator}, the key that signs`);
      }
      const step = readJournal(encodeRecord(entry, end.head, crypto, secret), crypto, end);
      signed.push(...step.records);
      end = step.position;
    }
    return { signed, end };
  }

  async function write(entries: readonly Entry[]): Promise<readonly JournalRecord[]> {
    if (broken !== null) throw broken;
    const { signed, end } = sign(entries);
    if (signed.length === 0) return signed;
    try {
      const header = position.length === 0 ? [FILE_HEADER] : [];
      await store.append(concatBytes(...header, ...signed.map((record) => record.bytes)));
      await store.sync();
    } catch (error) {
      try {
        await cutTo(position.length);
      } catch {
        broken = error; // what the store holds is not known: only opening it again will tell
      }
      throw error;
    }
    records.push(...signed);
    position = end;
    return signed;
  }

  /** One after another, whatever became of the one before. */
  function appendAll(entries: readonly Entry[]): Promise<readonly JournalRecord[]> {
    const done = busy.then(() => write(entries));
    busy = done.catch(() => undefined);
    return done;
  }

  return {
    records,
    get position() {
      return position;
    },
    cut,
    append: async (entry) => (await appendAll([entry]))[0]!,
    appendAll,
    read: async () => (await store.read()).subarray(0, position.length),
    async close() {
      await busy;
      await store.close();
    },
  };
}

/**
 * A copy of the journal in a file of the coordinator's folder, so that everything that reads a folder reads this one
 * too. A coordinator that stands by follows the stream with it; one that leads writes both.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import { JournalReader, readJournal } from '../../journal/reader.ts';
import { concatBytes } from '../../numeric/bytes.ts';
import type { Crypto, Store } from '../../ports.ts';
import { extend, type Ledger } from '../ledger.ts';
import { type Message, messagesFrom } from './log.ts';
import { type Nats, persist } from './nats.ts';
import { bytesOf } from './store.ts';

export interface Mirror {
  /** What the journal says so far; undefined while it has no manifest. */
  ledger(): Ledger | undefined;
  /** Of the file, what the stream lacks: a run that began without it, or a backup. Whole records. */
  readonly ahead: Uint8Array;
  /** Takes what is new in the stream. */
  follow(): Promise<void>;
}

/** @throws {Fault} JOURNAL_FORKED if file and stream are two runs, or two histories of one; JOURNAL_*, STORE_UNREACHABLE */
export async function openMirror(nats: Nats, file: Store, crypto: Crypto): Promise<Mirror> {
  let seq = 0;
  const news = async (): Promise<readonly Message[]> => {
    const messages = await messagesFrom(nats, nats.names.log.journal, seq + 1);
    seq = messages.at(-1)?.seq ?? seq;
    return messages;
  };

  const reader = new JournalReader(crypto);
  let ledger: Ledger | undefined;
  /** Of the file, what is behind the last whole record. */
  let tail: Uint8Array = new Uint8Array(0);
  function learn(bytes: Uint8Array): void {
    tail = concatBytes(tail, bytes);
    const before = reader.position.length;
    for (const { entry } of reader.read(tail)) ledger = extend(ledger, entry);
    tail = tail.slice(reader.position.length - before);
  }

  const kept = await file.read();
  const stored = bytesOf(await persist(nats, 'reading the stream', news));
  const common = commonLength(kept, stored);
  let ahead = new Uint8Array(0);
  if (common < kept.length) {
    const whole = readJournal(kept, crypto).position.length;
    if (common === stored.length) ahead = kept.slice(common, Math.max(common, whole));
    else if (whole > common)
      throw new Fault(
        'JOURNAL_FORKED',
        `${file.name} and the stream part at byte ${common}; move the file away to go on with the stream`,
      );
    await file.truncate(common + ahead.length);
  }
  await file.append(stored.subarray(common));
  learn(ahead.length > 0 ? concatBytes(stored, ahead) : stored);

  return {
    ledger: () => ledger,
    ahead,
    async follow() {
      for (const { data, cut } of await news()) {
        if (cut !== undefined) {
          await file.truncate(cut);
          tail = tail.slice(0, Math.max(0, cut - reader.position.length));
        }
        await file.append(data);
        learn(data);
      }
    },
  };
}

function commonLength(a: Uint8Array, b: Uint8Array): number {
  const most = Math.min(a.length, b.length);
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i;
  return most;
}

/** Writes to the stream, then to the file; reads the file, which holds the same. Closing it leaves the file open. */
export function mirrored(stream: Store, file: Store): Store {
  return {
    name: stream.name,
    read: () => file.read(),
    async append(bytes) {
      await stream.append(bytes);
      await file.append(bytes);
    },
    sync: () => stream.sync(),
    async truncate(length) {
      await stream.truncate(length);
      await file.truncate(length);
    },
    close: () => stream.close(),
  };
}

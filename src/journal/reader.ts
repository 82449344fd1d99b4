/**
 * Reads a journal that may still grow, and believes nothing: checksum, chain, signature and order of every record.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Entry } from '../nouns.ts';
import { equalBytes, fromHex, toHex } from '../numeric/bytes.ts';
import { decode } from '../numeric/codec.ts';
import type { Crypto } from '../ports.ts';
import { entryCodec } from './entries.ts';
import { CHAIN_START, chainHash, FILE_HEADER, frame, HEADER_BYTES, journalMessage } from './record.ts';
import { follow, type JournalState } from './rules.ts';

export interface JournalRecord {
  readonly index: number;
  /** Byte of the journal at which it starts. */
  readonly offset: number;
  readonly entry: Entry;
  /** As in the file. */
  readonly bytes: Uint8Array;
  /** Of the chain up to and with this record. */
  readonly hash: Uint8Array;
}

/** Everything that is needed to read on from some record. */
export interface Position {
  /** Records before it. */
  readonly index: number;
  /** Bytes before it. */
  readonly length: number;
  /** The run id: read from the manifest, or expected of it, or not known yet. */
  readonly run: Uint8Array | null;
  /** Chain hash of the last record. */
  readonly head: Uint8Array;
  /** Chain hash of the last record that made or moved the weights: what contributions to the next round are signed with. */
  readonly anchor: Uint8Array;
  /** What the records say together; null before the manifest. */
  readonly state: JournalState | null;
}

/** @param run the run id that the manifest must have, if it is known. */
export const journalStart = (run: Uint8Array | null = null): Position => ({
  index: 0,
  length: 0,
  run,
  head: CHAIN_START,
  anchor: CHAIN_START,
  state: null,
});

/** Bytes at the end of a journal that are no record, as an interrupted append leaves them. */
export interface Torn {
  readonly index: number;
  readonly offset: number;
  readonly detail: string;
}

export interface Read {
  readonly records: readonly JournalRecord[];
  /** After the last of `records`. */
  readonly position: Position;
  readonly torn: Torn | null;
}

type Verifier = Pick<Crypto, 'sha256' | 'verify'>;

const nameRecord = (index: number, offset: number): string => `record ${index} at byte ${offset}`;

/**
 * Reads on from `start`, to the end of `bytes`.
 *
 * @throws {Fault} JOURNAL_FOREIGN, JOURNAL_CORRUPT, JOURNAL_ORDER, SIGNATURE_WRONG, naming record and byte
 */
export function readJournal(bytes: Uint8Array, crypto: Verifier, start: Position = journalStart()): Read {
  let position = start;
  let left = bytes;
  const stop = (torn: Torn | null): Read => ({ records, position, torn });
  const records: JournalRecord[] = [];
  if (position.length === 0) {
    if (left.length < FILE_HEADER.length || left.every((byte) => byte === 0)) {
      const torn = left.every((byte, i) => byte === 0 || byte === FILE_HEADER[i]);
      if (torn) return stop({ index: 0, offset: 0, detail: `is not there: the file has ${left.length} bytes` });
    }
    checkFileHeader(left);
    position = { ...position, length: FILE_HEADER.length };
    left = left.subarray(FILE_HEADER.length);
  }
  while (left.length > 0) {
    const { index, length: offset } = position;
    const framed = frame(left);
    if (framed.kind === 'torn') return stop({ index, offset, detail: framed.detail });
    if (framed.kind === 'damaged') {
      throw new Fault('JOURNAL_CORRUPT', `${nameRecord(index, offset)} ${framed.detail}; take another copy`);
    }
    const { payload, signature, size } = framed;
    const step = follows(position, payload, signature, crypto);
    records.push({ index, offset, entry: step.entry, bytes: left.slice(0, size), hash: step.position.head });
    position = { ...step.position, length: offset + size };
    left = left.subarray(size);
  }
  return stop(null);
}

/** As `readJournal` from the start, for a journal that must be whole. @throws {Fault} also JOURNAL_TORN */
export function verifyJournal(bytes: Uint8Array, crypto: Verifier, run: Uint8Array | null = null): Read {
  const read = readJournal(bytes, crypto, journalStart(run));
  const torn = read.torn ?? (read.position.state === null ? { index: 0, offset: 8, detail: 'is not there' } : null);
  if (torn === null) return read;
  throw new Fault('JOURNAL_TORN', `${nameRecord(torn.index, torn.offset)} ${torn.detail}; take another copy`);
}

function checkFileHeader(bytes: Uint8Array): void {
  const name = FILE_HEADER.length - 2;
  if (!equalBytes(bytes.subarray(0, name), FILE_HEADER.subarray(0, name))) {
    throw new Fault('JOURNAL_FOREIGN', 'the file does not begin as a Murmur journal does');
  }
  if (equalBytes(bytes.subarray(name, name + 2), FILE_HEADER.subarray(name))) return;
  const version = (bytes[name] ?? 0) + 256 * (bytes[name + 1] ?? 0);
  throw new Fault('JOURNAL_FOREIGN', `the journal has format version ${version}, this Murmur reads 1`);
}

/** One step of the chain: the entry of a whole record, and the position after it but for its length. */
function follows(
  before: Position,
  payload: Uint8Array,
  signature: Uint8Array,
  crypto: Verifier,
): { readonly entry: Entry; readonly position: Position } {
  const { index, length: offset } = before;
  const where = nameRecord(index, offset);
  const entry = decode(entryCodec, payload, where, 'JOURNAL_CORRUPT', offset + HEADER_BYTES);
  const head = chainHash(crypto, before.head, payload);
  const signer = (before.state ?? follow(null, entry, where)).manifest.coordinator;
  if (!crypto.verify(fromHex(signer), journalMessage(head), signature)) {
    throw new Fault('SIGNATURE_WRONG', `${where} is not what the coordinator signed there; take another copy`);
  }
  const state = follow(before.state, entry, where);
  const run = entry.type === 'manifest' ? crypto.sha256(payload.subarray(1)) : before.run;
  if (before.run !== null && run !== null && !equalBytes(run, before.run)) {
    const ids = `run ${toHex(run)}, expected ${toHex(before.run)}`;
    throw new Fault('JOURNAL_FOREIGN', `${where} is the manifest of ${ids}; take the journal of that run`);
  }
  const anchor = MOVES_WEIGHTS.has(entry.type) ? head : before.anchor;
  return { entry, position: { ...before, index: index + 1, run, head, anchor, state } };
}

/** Entries after which weights are others: what was measured before cannot be given after. */
export const MOVES_WEIGHTS: ReadonlySet<Entry['type']> = new Set(['manifest', 'round', 'merge', 'revoke', 'rewind']);

/** A journal that arrives record by record: what a peer keeps of the journal of its host. */
export class JournalReader {
  readonly #crypto: Verifier;
  #position: Position;

  /** @param run the run id that the manifest must have, if it is known. @param start where it begins: the first record. */
  constructor(crypto: Verifier, run: Uint8Array | null = null, start: Position = journalStart(run)) {
    this.#crypto = crypto;
    this.#position = start;
  }

  get position(): Position {
    return this.#position;
  }

  /**
   * Takes the records at the front of `bytes`, which continue the file at byte `position.length`.
   *
   * @returns them; a last one that is not whole is left for the next call, which must bring it from its start.
   * @throws {Fault} as `readJournal`; the position is then as before.
   */
  read(bytes: Uint8Array): readonly JournalRecord[] {
    const { records, position } = readJournal(bytes, this.#crypto, this.#position);
    this.#position = position;
    return records;
  }

  /** Takes exactly one record. @throws {Fault} as `read`, and JOURNAL_CORRUPT if `bytes` are less or more. */
  push(bytes: Uint8Array): JournalRecord {
    const { records, position, torn } = readJournal(bytes, this.#crypto, this.#position);
    const [record] = records;
    if (record === undefined || records.length > 1 || torn !== null) {
      const where = nameRecord(this.#position.index, this.#position.length);
      throw new Fault('JOURNAL_CORRUPT', `${where} ${torn?.detail ?? 'is not alone'}`);
    }
    this.#position = position;
    return record;
  }
}

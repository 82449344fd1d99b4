/**
 * What follows from a journal, worked out once for all who have heard the same bytes. A thousand peers verify the same
 * records: every one of them stands at some point of a chain, and where the next record is, byte for byte, one that
 * another peer has verified from the same point, so is what follows from it. Nothing else is shared between peers.
 */
import { Fault } from '../../src/faults.ts';
import { type JournalRecord, journalStart, type Position, readJournal } from '../../src/journal/reader.ts';
import { FILE_HEADER } from '../../src/journal/record.ts';
import type { Entry, Round } from '../../src/nouns.ts';
import { equalBytes } from '../../src/numeric/bytes.ts';
import { extend, type Ledger } from '../../src/peer/ledger.ts';
import type { Crypto } from '../../src/ports.ts';

const ELEMENTS = 8;

/** Weights that are quick to compute: a sum over all records of all rounds, each with a direction of its own. */
export interface Weights {
  readonly rounds: number;
  readonly q: Int32Array;
}

export const START: Weights = { rounds: 0, q: new Int32Array(ELEMENTS) };

export const mix = (a: number, b: number): number => {
  let h = Math.imul(a ^ b ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
};

export function apply({ rounds, q }: Weights, { header, segments }: Round): Weights {
  const next = q.slice();
  for (const { from, codes } of segments)
    for (let i = 0; i < codes.length; i++) {
      const element = (from + i) % ELEMENTS;
      next[element]! += Math.imul(codes[i]! * header.scale, mix(header.round, from + i));
    }
  return { rounds: rounds + 1, q: next };
}

/** One number for all weights. */
export const essence = ({ q }: Weights): number => q.reduce(mix, 7);

export function checksumOf({ q }: Weights): Uint8Array {
  const words = Int32Array.of(q.reduce(mix, 1), q.reduce(mix, 2));
  return new Uint8Array(words.buffer);
}

export const rootOf = ({ q }: Weights, { sha256 }: Pick<Crypto, 'sha256'>): Uint8Array =>
  sha256(new Uint8Array(q.buffer, q.byteOffset, q.byteLength));

/** What was measured of the weights: every difference between two replicas shows in what they send next. */
export function measure(weights: Weights, from: number, count: number): Int8Array {
  const seed = mix(essence(weights), weights.rounds);
  return Int8Array.from({ length: count }, (_, i) => (mix(seed, from + i) % 127) | 0);
}

/** A point of a chain, and all that follows from the records before it. */
export interface Known {
  readonly position: Position;
  readonly ledger: Ledger | undefined;
  readonly weights: Weights;
  /** The record that led here. */
  readonly entry: Entry | undefined;
  next: { bytes: Uint8Array; readonly known: Known } | undefined;
}

export const chainOf = (run: Uint8Array): Known => ({
  position: { ...journalStart(run), length: FILE_HEADER.length },
  ...{ ledger: undefined, weights: START, entry: undefined, next: undefined },
});

/**
 * The point after the record `bytes`.
 * @throws {Fault} what reading it refuses; JOURNAL_FORKED if another valid record was heard there before
 */
export function follow(known: Known, bytes: Uint8Array, crypto: Crypto): Known {
  const { next } = known;
  if (next !== undefined) {
    if (next.bytes === bytes) return next.known;
    if (equalBytes(next.bytes, bytes)) {
      next.bytes = bytes; // the same array comes to all who are connected
      return next.known;
    }
  }
  const { records, position, torn } = readJournal(bytes, crypto, known.position);
  const [record] = records;
  if (record === undefined || records.length > 1 || torn !== null)
    throw new Fault('JOURNAL_CORRUPT', `record ${known.position.index} is not one record`);
  if (next !== undefined) throw new Fault('JOURNAL_FORKED', `two records ${known.position.index} were heard`);
  const { entry } = record;
  const ledger = extend(known.ledger, entry);
  const weights = entry.type === 'round' ? apply(known.weights, entry.round) : known.weights;
  const reached: Known = { position, ledger, weights, entry, next: undefined };
  known.next = { bytes, known: reached };
  return reached;
}

/** All points of the journal of a host, for peers that fetch a part of it. */
export interface Trunk {
  /** The point after so many records. @throws {Fault} as `follow` */
  at(index: number): Known;
}

export function trunkOf(start: Known, records: readonly JournalRecord[], crypto: Crypto): Trunk {
  const points: Known[] = [start];
  return {
    at(index) {
      for (let i = points.length; i <= index; i++) points.push(follow(points[i - 1]!, records[i - 1]!.bytes, crypto));
      return points[index]!;
    },
  };
}

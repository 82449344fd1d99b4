/**
 * What a host offers to whoever joins late (docs/WIRE.md 6): the leaves of its newest snapshot, who else has its chunks,
 * and what must be known of the journal to go on from there.
 *
 * @module
 */
import { type Codec, decode, encode, fixed, list, rest, struct, unsigned, varint } from '../numeric/codec.ts';
import { LEAF_ELEMENTS, type Leaf } from '../numeric/merkle.ts';
import { text } from '../numeric/text.ts';

/** 2^40 weights and a little less. */
const MAX_LEAVES = 2 ** 24;
/** More are of no use to anybody: a line is full with fewer. */
export const MAX_MIRRORS = 16;
/** `[` IPv6 `]:port`, and names. */
const MAX_AUTHORITY_BYTES = 255;

export interface OfferedSnapshot {
  readonly round: number;
  /** Of the weights after `round` rounds, in order. */
  readonly leaves: readonly Leaf[];
  /** Of what the directions of the run's pool come to, which with the base is as good; none where the host has not added it up. */
  readonly sums: readonly Leaf[];
  /** `host:port` of peers that have the chunks of the weights too. */
  readonly mirrors: readonly string[];
  /** `encodeStanding` of some round up to that; empty where the whole journal is to be read. */
  readonly standing: Uint8Array;
}

const leaf: Codec<Leaf> = struct<Leaf>({ hash: fixed(32), bytes: varint(4 * LEAF_ELEMENTS) });

const offer: Codec<OfferedSnapshot> = struct<OfferedSnapshot>({
  round: varint(),
  leaves: list(leaf, MAX_LEAVES),
  sums: list(leaf, MAX_LEAVES),
  mirrors: list(text(MAX_AUTHORITY_BYTES), MAX_MIRRORS),
  standing: rest,
});

export const encodeSnapshotOffer = (value: OfferedSnapshot): Uint8Array => encode(offer, value, 'offer');

/** @throws {Fault} DOWNLOAD_FAILED */
export const decodeSnapshotOffer = (bytes: Uint8Array): OfferedSnapshot =>
  decode(offer, bytes, 'the offer of a snapshot', 'DOWNLOAD_FAILED');

const leafList = list(leaf, MAX_LEAVES);

/** Leaves as a file beside the weights. */
export const encodeLeaves = (leaves: readonly Leaf[]): Uint8Array => encode(leafList, leaves, 'leaves');

/** @throws {Fault} BLOB_MISMATCH */
export const decodeLeaves = (bytes: Uint8Array): readonly Leaf[] =>
  decode(leafList, bytes, 'the leaves of a checkpoint', 'BLOB_MISMATCH');

/** A peer tells its host that it has the chunks of the snapshot of `round`, at `port` of its machine. */
export interface Announcement {
  readonly key: Uint8Array;
  readonly round: number;
  readonly port: number;
  /** Of `mirrorMessage`. */
  readonly signature: Uint8Array;
}

const announcement: Codec<Announcement> = struct<Announcement>({
  ...{ key: fixed(32), round: varint(), port: unsigned(2), signature: fixed(64) },
});

/** Longer is none, as hexadecimal digits. */
export const MAX_ANNOUNCEMENT_DIGITS: number = 2 * (32 + 5 + 2 + 64);

export const encodeAnnouncement = (value: Announcement): Uint8Array => encode(announcement, value, 'announcement');

/** @throws {Fault} FRAME_INVALID */
export const decodeAnnouncement = (bytes: Uint8Array): Announcement =>
  decode(announcement, bytes, 'announcement', 'FRAME_INVALID');

/**
 * Limits of frames, each with its reason. A frame that passes them costs its receiver no more than its own length.
 *
 * @module
 */
import { CHUNK_WEIGHTS, MAX_RECORD_BYTES, MAX_RECORDS_PER_ROUND } from '../nouns.ts';

/** Raised by every change of docs/WIRE.md that an older peer cannot read. */
export const PROTOCOL_VERSION = 1;

/** Peer names: shown in one line of a terminal. */
export const MAX_NAME_BYTES = 64;
/** Join codes: ours have 16 characters or so; nobody types more. */
export const MAX_JOIN_CODE_BYTES = 64;
/** Fault codes: the longest of src/faults.ts has 22 characters. */
export const MAX_FAULT_CODE_BYTES = 64;
/** What a refusal says to a person: a few lines. `printable` cuts longer ones. */
export const MAX_DETAIL_BYTES = 512;

/** Chunks asked for in one message: enough to keep a link busy while the next are asked for. */
export const MAX_WANTED = 4;
/** A chunk of floats that no compressor made smaller, behind its type, hash and one byte, is the longest thing a peer says. */
export const MAX_PEER_FRAME_BYTES: number = 1 + 32 + 1 + 4 * CHUNK_WEIGHTS;
/** In a run that exchanges bytes, a contribution with all records of the largest round: type, two varints, signature, codes. */
export const MAX_CONTRIBUTION_FRAME_BYTES: number = 1 + 5 + 5 + 64 + MAX_RECORDS_PER_ROUND;

/** A journal record behind its type and offset is the longest thing a host may say. */
export const MAX_HOST_FRAME_BYTES: number = 1 + 8 + MAX_RECORD_BYTES;

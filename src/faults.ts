/**
 * Every refusal, by code. Codes are stable API; messages are for people and name the thing and the remedy.
 *
 * @module
 */

/** Code → what it means, for docs and `murmur schema`. Keep sorted inside a group. */
export const FAULTS = {
  // what the user gave
  CONFIG_INVALID: 'a key of the run file or a flag is unknown or has a wrong value',
  DATA_INVALID: 'a data file cannot be read as the task needs it',
  FILE_MISSING: 'a file or folder that was named does not exist',
  FILE_REFUSED: 'the system does not let a file be read or written',
  LABEL_WORD: 'a label word is not one token of the tokenizer',
  MODEL_INVALID: 'a checkpoint is damaged or contradicts its config.json',
  MODEL_UNSUPPORTED: 'the architecture or a feature of it is not implemented',
  OUTPUT_EXISTS: 'the output folder already holds something else',
  PRECISION_LOW: 'measuring with bytes would drown the slopes in the noise of rounding',
  REWARD_FAILED: 'a reward module cannot be loaded, throws, or gives no number',
  TLS_INVALID: 'a certificate or its key cannot be used, or is not trusted',
  TOKENIZER_MISMATCH: 'the tokenizer does not belong to the model',
  TOO_LARGE: 'the model does not fit into memory',
  // the Hub and the network
  DOWNLOAD_FAILED: 'a file could not be fetched',
  HOST_UNREACHABLE: 'nothing answers at the address of the join link',
  HUB_REFUSED: 'the Hub refused the request',
  STORE_UNREACHABLE: 'the servers that keep the journal do not answer, or refuse',
  // frames and peers
  AUDIT_FAILED: 'two other peers measured the same records, and agree on other codes',
  CENSORED: 'the coordinator left out a contribution that it had receipted',
  CODE_WRONG: 'the join code is not the one of this run',
  CONTRIBUTION_DUPLICATE: 'these records were already received',
  CONTRIBUTION_RANGE: 'records were sent that were not assigned',
  CONTRIBUTION_STALE: 'the round is already committed',
  EVICTED: 'the peer was excluded from the run',
  FRAME_INVALID: 'a frame does not decode',
  FRAME_TOO_LONG: 'a frame is longer than any valid one',
  INVITE_USED: 'the invite has let in as many peers as it may',
  INVITE_WITHDRAWN: 'the host has withdrawn the invite',
  MESSAGE_UNEXPECTED: 'a message came out of order',
  NOT_ALLOWED: 'the key of the peer is not on the list of the run',
  REPLACED: 'another connection with the same identity took over',
  RUN_FULL: 'the run has no place for another peer',
  SHARE_INVALID: 'the numbers that a peer sent are damaged or not finite',
  SIGNATURE_WRONG: 'a signature does not verify',
  TOO_FAST: 'a peer sends more messages than it has reason to',
  VERSION_UNSUPPORTED: 'the other side speaks another protocol version',
  // the journal and the weights
  BLOB_MISMATCH: 'a file does not have the hash that the manifest names',
  CHECKPOINT_WRONG: 'a checkpoint is damaged, of another run, or not the last of its run',
  DIVERGED: 'the held-out loss is not a number any more, or far above that of the base',
  DRIFT: 'weights differ from what the journal says',
  HEADER_WRONG: 'a round header is not what the journal implies',
  JOURNAL_CORRUPT: 'a record of the journal is damaged',
  JOURNAL_FOREIGN: 'the file is not a journal or has another format version',
  JOURNAL_FORKED: 'the coordinator signed two different continuations of one journal',
  JOURNAL_LOCKED: 'another process is writing the journal',
  JOURNAL_ORDER: 'a record does not follow from the ones before it',
  JOURNAL_TORN: 'the journal ends inside a record',
  LEASE_LOST: 'another coordinator leads the run now',
  NOT_NOW: 'the host of the run cannot do this while it runs',
  NOT_REVOCABLE: 'the method of the run cannot take back exactly what a peer gave',
  STALLED: 'the held-out loss does not move',
  RANGE: 'a weight left the range of its fixed-point format',
  // the device
  CHECK_FAILED: 'the doctor found what must be mended first',
  ENGINE_FAILED: 'the runtime could not build or run a program',
  INTERRUPTED: 'stopped on request',
  INTERNAL: 'a defect of Murmur',
} as const;

export type FaultCode = keyof typeof FAULTS;

/** A refusal: bad input, a bad peer, a bad file or a bad device. Never a defect of the caller's code. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  /** The message without its code. */
  readonly detail: string;
  /** @param detail names the thing and the remedy, in one line. */
  constructor(code: FaultCode, detail: string, options?: ErrorOptions) {
    super(`${code}: ${detail}`, options);
    this.code = code;
    this.detail = detail;
  }
}

/**
 * What a run is called on NATS: one stream, one bucket for the lease, one for files, and a handful of subjects. The
 * name of a run is the beginning of its coordinator's public key, so that whoever has the key finds the run.
 *
 * @module
 */
import { toHex } from '../../numeric/bytes.ts';

/** Hexadecimal digits of a run's name: runs of one NATS account do not meet by chance, and every frame carries it. */
export const RUN_NAME_DIGITS = 12;

export interface Names {
  readonly run: string;
  /** Stream of the journal, of what is kept of the open round, and of fences. */
  readonly stream: string;
  /** Key-value bucket of the lease. */
  readonly lease: string;
  /** Object store bucket of the base and the data. */
  readonly files: string;
  /** Subjects in the stream. */
  readonly log: { readonly all: string; readonly journal: string; readonly pending: string; readonly fence: string };
  /** Answered by whoever leads: an id, and the answer is the leader. */
  readonly dial: string;
  /** Says who leads from now on. */
  readonly leader: string;
  /** Frames of peers; `id`: of one channel, or `*`. */
  up(id: string): string;
  /** Frames to one peer. */
  down(id: string): string;
  /** Requests for the journal and for files. */
  ask(leader: string): string;
}

/** @param coordinator public key that the manifest names. */
export const runName = (coordinator: Uint8Array): string => toHex(coordinator).slice(0, RUN_NAME_DIGITS);

/** @param run as `runName` gives it. */
export function namesOf(run: string): Names {
  const at = `murmur.${run}`;
  return {
    run,
    stream: `MURMUR_${run}`,
    lease: `murmur_${run}`,
    files: `murmur_${run}_files`,
    log: { all: `${at}.log.>`, journal: `${at}.log.journal`, pending: `${at}.log.pending`, fence: `${at}.log.fence` },
    dial: `${at}.dial`,
    leader: `${at}.leader`,
    up: (id) => `${at}.u.${id}`,
    down: (id) => `${at}.d.${id}`,
    ask: (leader) => `${at}.ask.${leader}`,
  };
}

/**
 * Reads the journal of a run in a thread of its own: fetches what is missing, verifies checksum, chain, signature and order
 * of every record, and hands over what holds. An Ed25519 signature takes about a millisecond here, which a page that
 * draws has not to spare.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';
import { journalStart, readJournal } from '../journal/reader.ts';
import { toHex } from '../numeric/bytes.ts';
import type { Verified } from './book.ts';
import { verifier } from './verifier.ts';

/** What the page says. */
export type Ask =
  | { readonly ask: 'open'; readonly base: string }
  /** Records that the host has just committed. */
  | { readonly ask: 'take'; readonly offset: number; readonly bytes: Uint8Array }
  /** The journal is so long. */
  | { readonly ask: 'reach'; readonly length: number };

/** What the worker says. */
export type Told =
  | {
      readonly told: 'records';
      readonly records: readonly Verified[];
      readonly run: string;
      /** Bytes that are here, verified or not. */
      readonly known: number;
    }
  | { readonly told: 'refused'; readonly code: FaultCode; readonly detail: string }
  /** Nothing came: the host is gone, or the code is not good any more. */
  | { readonly told: 'unreachable'; readonly status: number | undefined };

/** Bytes verified between two messages: curves grow while a long journal is read. */
const SLICE = 8192;

let base: string | undefined;
let position = journalStart();
/** Bytes that continue the journal at `position`. */
let rest = new Uint8Array(0);
let busy = false;
let wanted = 0;

const tell = (message: Told): void => postMessage(message);

/** Verifies what is here, slice by slice. */
function verify(): void {
  const known = position.length + rest.length;
  for (let size = SLICE; rest.length > 0; ) {
    const before = position.length;
    const read = readJournal(rest.subarray(0, size), verifier, position);
    position = read.position;
    rest = rest.slice(position.length - before);
    if (read.records.length > 0) {
      const records = read.records.map(
        ({ index, offset, entry, bytes, hash }): Verified => ({
          ...{ index, offset, entry, length: bytes.length },
          hash: toHex(hash),
        }),
      );
      tell({ told: 'records', records, run: position.run ? toHex(position.run) : '', known });
    } else if (size >= rest.length)
      return; // the last record is not whole yet
    else size *= 2;
  }
}

/** Fetches the journal from where it is known to, until it is as long as it is said to be. */
async function fetchOn(): Promise<void> {
  if (busy || base === undefined) return;
  busy = true;
  try {
    do {
      const from = position.length;
      const response = await fetch(`${base}/journal?from=${from}`).catch(() => undefined);
      if (!response?.ok) return tell({ told: 'unreachable', status: response?.status });
      rest = new Uint8Array(await response.arrayBuffer());
      verify();
      if (position.length === from) return;
    } while (position.length < wanted);
  } catch (error) {
    refuse(error);
  } finally {
    busy = false;
  }
}

function refuse(error: unknown): void {
  const fault = error instanceof Fault ? error : new Fault('INTERNAL', String(error));
  tell({ told: 'refused', code: fault.code, detail: fault.detail });
}

const HEAR: { readonly [A in Ask['ask']]: (ask: Extract<Ask, { readonly ask: A }>) => void } = {
  open(ask) {
    base = ask.base;
    void fetchOn();
  },
  take({ offset, bytes }) {
    wanted = Math.max(wanted, offset + bytes.length);
    if (busy || position.length === 0 || offset > position.length) return void fetchOn();
    const news = bytes.subarray(position.length - offset);
    if (news.length === 0) return;
    try {
      rest = news.slice();
      verify();
    } catch (error) {
      refuse(error);
    }
  },
  reach({ length }) {
    wanted = Math.max(wanted, length);
    if (wanted > position.length) void fetchOn();
  },
};

addEventListener('message', ({ data }: MessageEvent<Ask>) => (HEAR[data.ask] as (ask: Ask) => void)(data));

/**
 * Reads the journal of a run in a thread of its own: fetches what is missing, verifies checksum, chain, signature and order
 * of every record, and hands over what holds. A page that draws has no time for that.
 *
 * @module
 */
import { Fault, type FaultCode } from '../faults.ts';
import { journalStart } from '../journal/reader.ts';
import { toHex } from '../numeric/bytes.ts';
import type { Verified } from './book.ts';
import { verifiedReader } from './verifier.ts';

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
const SLICE = 16_384;

const reader = verifiedReader(globalThis.crypto?.subtle);
let base: string | undefined;
let position = journalStart();
/** Records that the host has sent, and how long the journal is by all that was heard. */
const sent: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
let wanted = 0;
let isBusy = false;

const tell = (message: Told): void => postMessage(message);

/** Reads on until everything is here that is known of. One at a time: what comes meanwhile is found when it is done. */
async function readOn(): Promise<void> {
  if (isBusy || base === undefined) return;
  isBusy = true;
  try {
    for (let first = position.length === 0; first || position.length < wanted; first = false) {
      const bytes = nextSent() ?? (await fetched(base));
      if (bytes === undefined || !(await verify(bytes))) return;
    }
  } catch (error) {
    const fault = error instanceof Fault ? error : new Fault('INTERNAL', String(error));
    tell({ told: 'refused', code: fault.code, detail: fault.detail });
  } finally {
    isBusy = false;
  }
}

/** Of what the host has sent, that which continues the journal; what is here already is dropped. */
function nextSent(): Uint8Array | undefined {
  for (let next = sent.shift(); next !== undefined; next = sent.shift()) {
    if (next.offset + next.bytes.length <= position.length) continue;
    if (position.length > 0 && next.offset <= position.length)
      return next.bytes.subarray(position.length - next.offset);
    sent.length = 0; // there is a gap: all of it is fetched
  }
  return undefined;
}

async function fetched(from: string): Promise<Uint8Array | undefined> {
  const response = await fetch(`${from}/journal?from=${position.length}`).catch(() => undefined);
  if (response?.ok) return new Uint8Array(await response.arrayBuffer());
  tell({ told: 'unreachable', status: response?.status });
  return undefined;
}

/** Verifies bytes that continue the journal, slice by slice. @returns whether there was a whole record. */
async function verify(bytes: Uint8Array): Promise<boolean> {
  const known = position.length + bytes.length;
  const start = position.length;
  let rest = bytes;
  for (let size = SLICE; rest.length > 0; ) {
    const read = await (await reader)(rest.subarray(0, size), position);
    rest = rest.subarray(read.position.length - position.length);
    position = read.position;
    if (read.records.length > 0) {
      const records = read.records.map(
        ({ index, offset, entry, bytes: { length }, hash }): Verified => ({
          ...{ index, offset, entry, length },
          hash: toHex(hash),
        }),
      );
      tell({ told: 'records', records, run: position.run ? toHex(position.run) : '', known });
    } else if (size >= rest.length)
      break; // the last record is not whole yet
    else size *= 2;
  }
  return position.length > start;
}

const HEAR: { readonly [A in Ask['ask']]: (ask: Extract<Ask, { readonly ask: A }>) => void } = {
  open(ask) {
    base = ask.base;
  },
  take({ offset, bytes }) {
    sent.push({ offset, bytes });
    wanted = Math.max(wanted, offset + bytes.length);
  },
  reach({ length }) {
    wanted = Math.max(wanted, length);
  },
};

addEventListener('message', ({ data }: MessageEvent<Ask>) => {
  (HEAR[data.ask] as (ask: Ask) => void)(data);
  void readOn();
});

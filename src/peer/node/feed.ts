/**
 * Server-sent events of a run, for the page and for whoever else watches: new records of the journal as they are
 * committed, the status whenever it changes, the pace of rounds, and what the host says.
 *
 *     event: status   RunStatus                        at once, then at most four times a second
 *     event: pace     Pace[]                           those so far, then one for each round
 *     event: records  { offset, bytes: base64 }        records from byte `offset` of the journal on
 *     event: host     HostEvent                        as the host's terminal has them
 *
 * A watcher that does not read is dropped, and asks for what it missed when it comes back.
 *
 * @module
 */
import type { ServerResponse } from 'node:http';
import type { JournalRecord } from '../../journal/reader.ts';
import type { Clock } from '../../ports.ts';
import type { HostEvent } from '../events.ts';
import { type Pace, type RunStatus, withPaces } from '../status.ts';

/** Between two statuses when much happens, and when nothing does: a watcher that hears nothing knows the host is gone. */
const SOON_MS = 250;
const LATEST_MS = 2000;
/** Bytes that wait for one watcher. */
const MAX_BUFFERED = 1 << 20;
const MAX_WATCHERS = 256;
/** Of one code, so that those who may only look, or one guest, cannot keep out the rest. */
const MAX_WATCHERS_OF_CODE = 128;
/** Rounds whose pace is kept. With more, every other one goes: a curve needs no more points. */
const MAX_PACES = 4096;

export interface FeedOptions {
  /** Of the journal, growing; a run that nobody hosts has none to tell of. */
  readonly records?: readonly JournalRecord[];
  readonly clock: Clock;
  /** Octets that the sockets have moved so far. */
  wire(): number;
  /** The status for who may join by a code, and for those who may only look. */
  status(code: string | undefined): RunStatus;
}

export interface Feed {
  hear(event: HostEvent): void;
  /**
   * Answers with the events from now on.
   * @param code by which the watcher may join, if it may. @returns false where there are too many watchers already.
   */
  watch(response: ServerResponse, code: string | undefined): boolean;
  close(): void;
}

export function openFeed({ records = [], clock, wire, status }: FeedOptions): Feed {
  const watchers = new Map<ServerResponse, string | undefined>();
  const began = clock.now();
  let paces: Pace[] = [];
  let told = records.length;
  let last = clock.now();
  let cancel = clock.after(LATEST_MS, tell);
  let due = last + LATEST_MS;

  function write(to: ServerResponse, event: string, data: unknown): void {
    if (to.writableLength > MAX_BUFFERED) to.destroy();
    else to.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
  const all = (event: string, data: unknown): void => {
    for (const to of watchers.keys()) write(to, event, data);
  };

  function tell(): void {
    cancel();
    last = clock.now();
    due = last + LATEST_MS;
    cancel = clock.after(LATEST_MS, tell);
    for (const [to, code] of watchers) write(to, 'status', status(code));
  }

  function tellSoon(): void {
    const at = Math.max(clock.now(), last + SOON_MS);
    if (at >= due) return;
    cancel();
    due = at;
    cancel = clock.after(at - clock.now(), tell);
  }

  function tellRecords(): void {
    const fresh = records.slice(told);
    told = records.length;
    if (fresh.length > 0 && watchers.size > 0)
      all('records', {
        offset: fresh[0]!.offset,
        bytes: Buffer.concat(fresh.map(({ bytes }) => bytes)).toString('base64'),
      });
  }

  return {
    hear(event) {
      tellRecords();
      all('host', event);
      if (event.event === 'round' || event.event === 'merge') {
        const pace = { round: event.round, at: clock.now() - began, wire: wire() };
        paces = [...withPaces(paces, [pace])];
        if (paces.length > MAX_PACES) paces.splice(0, paces.length, ...paces.filter((_, i) => i % 2 === 1));
        all('pace', [pace]);
      }
      if (event.event === 'phase' && event.phase === 'done') tell();
      else tellSoon();
    },
    watch(response, code) {
      const alike = [...watchers.values()].filter((other) => other === code).length;
      if (watchers.size >= MAX_WATCHERS || alike >= MAX_WATCHERS_OF_CODE) return false;
      response.flushHeaders();
      watchers.set(response, code);
      response.on('close', () => watchers.delete(response));
      response.on('error', () => watchers.delete(response));
      write(response, 'status', status(code));
      write(response, 'pace', paces);
      return true;
    },
    close() {
      cancel();
      tellRecords();
      for (const to of watchers.keys()) to.end();
      watchers.clear();
    },
  };
}

/**
 * What the page knows at a moment, as signals, and where it comes from: the journal through a worker that verifies it,
 * and the host's events. Nothing is kept that a reload would lose: the host and the journal have it all.
 *
 * @module
 */
import { batch, type Signal, signal } from '@preact/signals';
import type { HostEvent } from '../peer/events.ts';
import { type Pace, type RunStatus, withPaces } from '../peer/status.ts';
import { type Book, EMPTY, enter, type Verified } from './book.ts';
import type { Ask, Told } from './journal-worker.ts';
import type { Place } from './place.ts';

/** `lost`: the host does not answer, and the page keeps asking. `refused`: it does not know this code. */
export type Connection = 'connecting' | 'open' | 'lost' | 'refused';

export interface Heard {
  readonly at: Date;
  readonly event: HostEvent;
}

/** How far the journal is verified, or what is wrong with it. */
export interface Reading {
  readonly run: string;
  readonly known: number;
  readonly fault?: { readonly code: string; readonly detail: string };
}

export interface Store {
  readonly place: Place;
  readonly connection: Signal<Connection>;
  readonly status: Signal<(RunStatus & { readonly received: number }) | undefined>;
  readonly paces: Signal<readonly Pace[]>;
  readonly book: Signal<Book>;
  readonly reading: Signal<Reading>;
  /** What the host said while the page was open, the latest first. */
  readonly heard: Signal<readonly Heard[]>;
}

/** What every view is given. */
export interface ViewProps {
  readonly store: Store;
}

/** A host says something every two seconds. */
const SILENCE_MS = 7000;
const RETRY_MS = 2000;
const MAX_HEARD = 200;
/** Events of the host that are news to people; the figures show the rest. */
const TOLD: ReadonlySet<HostEvent['event']> = new Set(['peer', 'refused', 'revoked', 'rewound']);

export function openStore(place: Place): Store {
  const store: Store = {
    place,
    connection: signal<Connection>('connecting'),
    status: signal(undefined),
    paces: signal([]),
    book: signal(EMPTY),
    reading: signal({ run: '', known: 0 }),
    heard: signal([]),
  };
  const gather = gathering((news) => enterNews(store, news));
  const worker = new Worker(new URL('./journal-worker.ts', import.meta.url), { type: 'module', name: 'journal' });
  const ask = (message: Ask): void => worker.postMessage(message);
  worker.addEventListener('message', ({ data }: MessageEvent<Told>) => hearWorker(store, data, gather));
  ask({ ask: 'open', base: place.base });
  follow(store, ask, gather);
  return store;
}

/** What has come since the page was last drawn. Rounds may be faster than eyes. */
interface News {
  readonly records: Verified[];
  readonly paces: Pace[];
  readonly heard: Heard[];
}

/** Between two drawings. */
const DRAW_MS = 100;

type Gather = (add: (news: News) => void) => void;

/** Gathers news and hands it over ten times a second at most; the first at once. */
function gathering(hand: (news: News) => void): Gather {
  const none = (): News => ({ records: [], paces: [], heard: [] });
  let news = none();
  let isDue = false;
  let last = Number.NEGATIVE_INFINITY;
  const handOver = (): void => {
    const gathered = news;
    news = none();
    isDue = false;
    last = performance.now();
    hand(gathered);
  };
  return (add) => {
    add(news);
    if (!isDue) setTimeout(handOver, Math.max(0, last + DRAW_MS - performance.now()));
    isDue = true;
  };
}

function enterNews({ book, reading, paces, heard }: Store, news: News): void {
  batch(() => {
    if (news.paces.length > 0) paces.value = withPaces(paces.value, news.paces);
    if (news.heard.length > 0) heard.value = [...news.heard.reverse(), ...heard.value].slice(0, MAX_HEARD);
    try {
      if (news.records.length > 0) book.value = enter(book.value, news.records);
    } catch (error) {
      reading.value = { ...reading.value, fault: faultOf(error) };
    }
  });
}

function hearWorker({ reading, connection }: Store, message: Told, gather: Gather): void {
  if (message.told === 'records') {
    const { run, known, records } = message;
    if (known !== reading.value.known) reading.value = { ...reading.value, run, known };
    gather((news) => news.records.push(...records));
  } else if (message.told === 'refused') {
    const { code, detail } = message;
    reading.value = { ...reading.value, fault: { code, detail } };
  } else if (message.status === 404) connection.value = 'refused';
  else connection.value = 'lost';
}

const faultOf = (error: unknown): { readonly code: string; readonly detail: string } => {
  const text = error instanceof Error ? error.message : String(error);
  const [, code = 'INTERNAL', detail = text] = /^([A-Z_]+): (.*)$/s.exec(text) ?? [];
  return { code, detail };
};

/** Listens to the host, and again whenever it falls silent. */
function follow(store: Store, ask: (message: Ask) => void, gather: Gather): void {
  let silence: ReturnType<typeof setTimeout> | undefined;
  const source = new EventSource(`${store.place.base}/events`);
  const on = <T>(name: string, hear: (data: T) => void): void =>
    source.addEventListener(name, ({ data }: MessageEvent<string>) => {
      clearTimeout(silence);
      silence = setTimeout(again, SILENCE_MS);
      hear(JSON.parse(data) as T);
    });
  function again(): void {
    clearTimeout(silence);
    source.close();
    if (store.connection.value !== 'refused') store.connection.value = 'lost';
    setTimeout(() => follow(store, ask, gather), RETRY_MS);
  }
  source.addEventListener('error', again);
  on<RunStatus>('status', (status) => {
    store.connection.value = 'open';
    store.status.value = { ...status, received: performance.now() };
    ask({ ask: 'reach', length: status.journal_bytes });
  });
  let first = true;
  on<readonly Pace[]>('pace', (paces) => {
    if (first) store.paces.value = paces;
    else gather((news) => news.paces.push(...paces));
    first = false;
  });
  on<{ readonly offset: number; readonly bytes: string }>('records', ({ offset, bytes }) =>
    ask({ ask: 'take', offset, bytes: Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0)) }),
  );
  on<HostEvent>('host', (event) => {
    if (TOLD.has(event.event)) gather((news) => news.heard.push({ at: new Date(), event }));
  });
}

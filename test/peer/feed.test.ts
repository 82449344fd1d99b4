import { createServer, get, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { HostEvent } from '../../src/peer/events.ts';
import { type Feed, openFeed } from '../../src/peer/node/feed.ts';
import type { RunStatus } from '../../src/peer/status.ts';
import { begunJournal, type FakeClock, fakeClock } from './fake.ts';

let clock: FakeClock;
let feed: Feed;
let server: Server;
let round: number;
const journal = await begunJournal();

const statusOf = (code: string | undefined): RunStatus => ({
  ...{
    kind: 'live',
    may: code === undefined ? [] : ['join'],
    phase: 'measuring',
    round,
    max_steps: 9,
    journal_bytes: 0,
    peers: [],
  },
  bytes: { payload: 0, wire: 100 * round },
});

const committed = (n: number): HostEvent => {
  round = n;
  return {
    ...{ event: 'round', round: n, records: 8, usable: 8, peers: 2 },
    ...{ gain: 1, scale: 1, ms: 5, disk_ms: 1 },
  };
};

beforeEach(async () => {
  clock = fakeClock();
  round = 0;
  feed = openFeed({
    ...{ records: journal.records, clock, status: statusOf },
    wire: () => statusOf(undefined).bytes.wire,
  });
  server = createServer((request, response) => {
    if (!feed.watch(response, request.url === '/join' ? 'code' : undefined)) response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

interface Watcher {
  readonly heard: (readonly [string, unknown])[];
  readonly ended: Promise<void>;
}

/** A watcher, and what it has heard so far. */
async function watch(path: string): Promise<Watcher> {
  const { port } = server.address() as AddressInfo;
  const response = await new Promise<IncomingMessage>((resolve) => get({ host: '127.0.0.1', port, path }, resolve));
  const heard: (readonly [string, unknown])[] = [];
  let text = '';
  response.setEncoding('utf8').on('data', (piece: string) => {
    const events = (text + piece).split('\n\n');
    text = events.pop()!;
    for (const event of events) {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event)!;
      heard.push([name!, JSON.parse(data!)]);
    }
  });
  const ended = new Promise<void>((resolve) => response.on('end', resolve));
  response.on('error', () => undefined); // the server may hang up at the end of a test
  const watcher = { heard, ended };
  await heardOf(watcher, 'pace');
  return watcher;
}

const all = ({ heard }: Watcher, name: string) => heard.filter(([n]) => n === name).map(([, d]) => d);
const heardOf = (watcher: Watcher, name: string, count = 1) =>
  vi.waitFor(() => expect(all(watcher, name).length).toBeGreaterThanOrEqual(count));

describe('a watcher', () => {
  test('is told at once how things stand, with the rights of the code it holds', async () => {
    const [joiner, viewer] = [await watch('/join'), await watch('/view')];
    expect(all(joiner, 'status')).toMatchObject([{ may: ['join'], round: 0 }]);
    expect(all(viewer, 'status')).toMatchObject([{ may: [], round: 0 }]);
  });

  test('gets the pace of rounds before it came, so that a reload loses none', async () => {
    feed.hear(committed(1));
    await clock.advance(500);
    feed.hear(committed(2));
    const watcher = await watch('/view');
    expect(all(watcher, 'pace')).toEqual([
      [
        { round: 1, at: 0, wire: 100 },
        { round: 2, at: 500, wire: 200 },
      ],
    ]);
  });

  test('gets new records as they are in the journal, once', async () => {
    const watcher = await watch('/view');
    const { offset, bytes } = await journal.append({ type: 'admit', slot: 0, key: new Uint8Array(32), name: 'ada' });
    feed.hear({ event: 'peer', slot: 0, name: 'ada', state: 'joining' });
    feed.hear({ event: 'peer', slot: 0, name: 'ada', state: 'ready' });
    await heardOf(watcher, 'host', 2);
    expect(all(watcher, 'records')).toEqual([{ offset, bytes: Buffer.from(bytes).toString('base64') }]);
  });

  test('hears the status four times a second while much happens, and every two seconds while nothing does', async () => {
    const watcher = await watch('/view');
    for (let n = 1; n <= 100; n++) {
      feed.hear(committed(n));
      await clock.advance(10);
    }
    await heardOf(watcher, 'pace', 100);
    const busy = all(watcher, 'status').length;
    expect(busy).toBeGreaterThanOrEqual(4);
    expect(busy).toBeLessThanOrEqual(6);
    await clock.advance(10_000);
    await heardOf(watcher, 'status', busy + 4);
    expect(all(watcher, 'status').length).toBeLessThanOrEqual(busy + 6);
  });

  test('hears of the end at once, and then the feed closes', async () => {
    const watcher = await watch('/view');
    feed.hear({ event: 'phase', phase: 'done' });
    await heardOf(watcher, 'status', 2);
    feed.close();
    await watcher.ended;
  });
});

test('of a long run the pace is thinned, the latest kept', async () => {
  for (let n = 1; n <= 10_000; n++) feed.hear(committed(n));
  const [paces] = all(await watch('/view'), 'pace') as [readonly { readonly round: number }[]];
  expect(paces.length).toBeLessThanOrEqual(4096);
  expect(paces.at(-1)!.round).toBe(10_000);
});

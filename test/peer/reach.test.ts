/** The way to a host, step by step, and what is said where it ends. */
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Check } from '../../src/peer/checks.ts';
import { joinLink } from '../../src/peer/link.ts';
import { httpRoutes } from '../../src/peer/node/http.ts';
import { viewLink } from '../../src/peer/node/link.ts';
import { reach } from '../../src/peer/node/reach.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import type { RunStatus } from '../../src/peer/status.ts';
import { begunJournal, fakeCrypto } from './fake.ts';
import { swarm } from './swarm.ts';

const CODE = 'k3y_-x';
const LOCAL = 'ws://127.0.0.1';
const STATUS: RunStatus = {
  ...{ kind: 'live', may: [], phase: 'measuring', round: 3, max_steps: 9, journal_bytes: 100, peers: [] },
  bytes: { payload: 0, wire: 0 },
};

async function checksOf(link: string, { proxied = false, date = new Date() } = {}): Promise<Check[]> {
  const found: Check[] = [];
  const options = { proxied, key: new Uint8Array(32), now: () => performance.now(), date: () => date, patienceMs: 300 };
  for await (const check of reach(link, options)) found.push(check);
  return found;
}

/** All but the last are as they should be, or a warning. @returns the last. */
function lastOf(checks: readonly Check[]): Check {
  expect(checks.slice(0, -1).filter(({ state }) => state === 'fail')).toEqual([]);
  return checks.at(-1)!;
}

async function httpServer(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return joinLink(`${LOCAL}:${(server.address() as AddressInfo).port}`, 'abc');
}

async function socketServer(accept: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createSocketServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return joinLink(`${LOCAL}:${(server.address() as AddressInfo).port}`, 'abc');
}

describe('a host', () => {
  async function hosted(): Promise<string> {
    const journal = await begunJournal();
    const routes = { joinCode: CODE, journal, blobs: new Map<string, string>(), crypto: fakeCrypto };
    const transport = webSocketTransport({ request: httpRoutes({ ...routes, status: () => STATUS }) });
    const s = await swarm(undefined, { transport, joinCode: CODE });
    onTestFinished(async () => {
      s.host.abort();
      await s.host.finished;
    });
    return joinLink(s.host.address, CODE);
  }

  test('is reached in six steps; an address of this machine alone is a warning', async () => {
    const checks = await checksOf(await hosted());
    expect(checks.map(({ check, state }) => [check, state])).toEqual([
      ...[
        ['link', 'ok'],
        ['name', 'warn'],
        ['port', 'ok'],
        ['http', 'ok'],
        ['clocks', 'ok'],
        ['websocket', 'ok'],
      ],
    ]);
    expect(checks.map(({ found }) => found).join('\n')).toMatch(/after 3 rounds[\s\S]*greeted back/);
    expect(checks[1]!.remedy).toContain('--host 0.0.0.0');
  });

  test('by the link of those who look: all but the greeting', async () => {
    const link = viewLink((await hosted()).replace(/join.*/, `join/${CODE}`), fakeCrypto);
    expect(lastOf(await checksOf(link))).toMatchObject({ check: 'websocket', state: 'ok', found: /open/ });
  });

  test('with another code is one that does not know it', async () => {
    const link = (await hosted()).replace(/join.*/, 'join/other');
    expect(lastOf(await checksOf(link))).toMatchObject({
      ...{ check: 'http', state: 'fail', remedy: expect.stringContaining('copy the whole link') },
      found: expect.stringContaining('does not know this code'),
    });
  });

  test('whose clock is another by more than a minute is a warning', async () => {
    const checks = await checksOf(await hosted(), { date: new Date(Date.now() - 3_600_000) });
    expect(checks.find(({ check }) => check === 'clocks')).toMatchObject({
      ...{ state: 'warn', found: expect.stringMatching(/^this machine is 3\d{3} s behind the host$/) },
    });
  });
});

describe('where the way ends', () => {
  const ends = async (link: string, check: string, found: string | RegExp, remedy: string | RegExp): Promise<void> => {
    const last = lastOf(await checksOf(link));
    expect(last).toMatchObject({ check, state: 'fail' });
    expect(last.found).toMatch(found);
    expect(last.remedy).toMatch(remedy);
  };

  test('no link', () => ends('http://host:1/somewhere', 'link', /somewhere/, /whole link/));
  test('no such name', () => ends('http://no-such-host.invalid:1/join/a', 'name', /EN|EAI/, /name/));
  test('nothing listens', async () => {
    const link = await socketServer(() => undefined);
    const closed = createSocketServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    await ends(link.replace(/:\d+/, `:${port}`), 'port', 'ECONNREFUSED', /--host 0\.0\.0\.0/);
  });
  test('it listens and says nothing', async () =>
    ends(await socketServer(() => undefined), 'http', 'ETIMEDOUT', /firewall/));
  test('it hangs up', async () =>
    ends(
      await socketServer((socket) => socket.on('data', () => socket.resetAndDestroy())),
      'http',
      /ECONN|UND_ERR/,
      /./,
    ));
  test('https where no TLS is spoken', async () => {
    const link = await httpServer((_, response) => response.end());
    await ends(link.replace('http:', 'https:'), 'certificate', /EPROTO|SSL/, 'http://');
  });
  test.each([
    ['another 404', 404, 'nginx says no'],
    ['a page', 200, '<html>'],
    ['another JSON', 200, '{"ok":true}'],
    ['a way elsewhere', 302, ''],
    ['a gateway', 502, 'bad gateway'],
  ])('%s is no host', async (_, status, body) => {
    const link = await httpServer((__, response) =>
      response.writeHead(status, { server: 'nginx', location: '/login' }).end(body),
    );
    await ends(link, 'http', new RegExp(`no host of a run: HTTP ${status}, nginx`), /proxy/);
  });
  test('HTTP goes through and WebSocket does not', async () => {
    const link = await httpServer((_, response) => response.end(JSON.stringify(STATUS)));
    await ends(link, 'websocket', /127\.0\.0\.1/, /Upgrade: websocket/);
  });
  test('a proxy that is set is said not to be used', async () => {
    const link = await socketServer((socket) => socket.on('data', () => socket.resetAndDestroy()));
    expect(lastOf(await checksOf(link, { proxied: true })).remedy).toMatch(/HTTP_PROXY/);
  });
});

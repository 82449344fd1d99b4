/** Limits for strangers, against a real server: what they hold, how long, and what it costs. */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { groupOf, openGuard } from '../../src/peer/node/guard.ts';
import { httpRoutes } from '../../src/peer/node/http.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import { allowance, granted, spend } from '../../src/peer/rates.ts';
import type { Channel, Transport } from '../../src/ports.ts';
import { ear } from '../suites/transport.ts';
import { begunJournal } from './fake.ts';

describe('what counts as one address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::2', '0:0:0:0::/64'],
  ])('%s is of %s', (address, group) => {
    expect(groupOf(address)).toBe(group);
  });
});

/** A socket of which only its ends are of interest. */
function stub(remoteAddress: string, remotePort: number) {
  const hears = new Map<string, () => void>();
  const socket = {
    ...{ remoteAddress, remotePort, bytesRead: 0, destroyed: false },
    once: (event: string, call: () => void) => hears.set(event, call),
    on: (event: string, call: () => void) => hears.set(event, call),
    off: (event: string) => hears.delete(event),
    destroy() {
      socket.destroyed = true;
    },
  };
  return {
    socket: socket as unknown as Socket,
    close: () => hears.get('close')?.(),
    /** Octets that come in. */
    read(octets: number) {
      (socket as { bytesRead: number }).bytesRead += octets;
      hears.get('data')?.();
    },
  };
}

describe('connections of strangers', () => {
  test('of one address, or one /64, are so many and no more; those that leave make room', () => {
    const guard = openGuard(2);
    const enter = (address: string, port: number) => {
      const one = stub(address, port);
      guard.enter(one.socket);
      return one;
    };
    const first = enter('2001:db8::1', 1);
    enter('2001:db8::2', 2);
    expect(enter('2001:db8::3', 3).socket.destroyed, 'the same /64').toBe(true);
    expect(enter('2001:db8:0:1::3', 4).socket.destroyed, 'another one').toBe(false);
    first.close();
    first.close();
    expect(enter('2001:db8::4', 5).socket.destroyed).toBe(false);
    expect(enter('2001:db8::5', 6).socket.destroyed, 'it left once').toBe(true);
  });

  test('do not count once they have proved who they are, and none of this machine does', () => {
    const guard = openGuard(1);
    for (let port = 1; port <= 50; port++) {
      const { socket } = stub('192.0.2.7', port);
      guard.enter(socket);
      expect(socket.destroyed, `peer ${port} behind one router`).toBe(false);
      const confine = guard.confining(socket, () => undefined);
      confine(1000);
      confine(undefined);
    }
    for (const address of ['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1'])
      for (let port = 1; port <= 3; port++) {
        const { socket } = stub(address, port);
        guard.enter(socket);
        expect(socket.destroyed, address).toBe(false);
      }
  });

  test('are cut when they bring more than they may, before their proof', () => {
    const cut = vi.fn();
    const one = stub('192.0.2.7', 1);
    one.read(300); // its request
    const confine = openGuard().confining(one.socket, cut);
    confine(1000);
    one.read(1000);
    expect(cut).not.toHaveBeenCalled();
    one.read(1);
    expect(cut).toHaveBeenCalledOnce();
    confine(undefined);
    one.read(1_000_000);
    expect(cut).toHaveBeenCalledOnce();
  });
});

describe('messages of one connection', () => {
  test('follow the pace of the run: twice what an honest peer says is let through at any pace, a flood is not', () => {
    const buckets = allowance(0);
    for (let round = 0; round < 2000; round++) {
      granted(buckets, Uint8Array.of(0x83));
      granted(buckets, Uint8Array.of(0x84));
      for (let n = 0; n < 4; n++) expect(spend(buckets, 'work', round / 100)).toBe(true);
    }
    let said = 0;
    while (spend(buckets, 'work', 20)) said++;
    expect(said).toBeLessThanOrEqual(64);
    for (let n = 0; n < 10; n++) granted(buckets, Uint8Array.of(0x85));
    expect(spend(buckets, 'work', 20), 'a receipt, which it causes itself, earns nothing').toBe(false);
    expect(spend(buckets, 'work', 1020)).toBe(true);
  });
});

describe('a listener', () => {
  let transport: Transport | undefined;
  afterEach(() => transport?.close());

  async function listening(options: Parameters<typeof webSocketTransport>[0] = {}) {
    const journal = await begunJournal();
    const request = httpRoutes({ joinCode: 'code', journal, blobs: new Map(), crypto: nodeCrypto });
    transport = webSocketTransport({ request, ...options });
    const channels: Channel[] = [];
    const ears: ReturnType<typeof ear>[] = [];
    const address = await transport.listen((channel) => {
      channels.push(channel);
      ears.push(ear());
      return ears.at(-1)!;
    });
    const { port } = new URL(address);
    return { address, channels, ears, port: Number(port), origin: `http://127.0.0.1:${port}` };
  }
  /** A bare connection, and when it was closed. */
  function raw(port: number) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined).resume();
    return { socket, closed: new Promise<void>((resolve) => socket.once('close', () => resolve())) };
  }

  test('is of this machine only, unless asked otherwise', async () => {
    const { address } = await listening();
    expect(new URL(address).hostname).toBe('127.0.0.1');
  });

  test('gives up headers that come an octet at a time, a body that does not come, and nobody else', {
    timeout: 60_000,
  }, async () => {
    const { origin, port } = await listening();
    const [slow, hanging] = [raw(port), raw(port)];
    const drip = setInterval(() => slow.socket.write('x'), 500);
    slow.socket.write('GET /code/manifest HTTP/1.1\r\nhost: a\r\nx-slow: ');
    hanging.socket.write('POST /code/try HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{');
    expect((await fetch(`${origin}/code/manifest`)).status).toBe(200);
    await Promise.all([slow.closed, hanging.closed]);
    clearInterval(drip);
    expect((await fetch(`${origin}/code/manifest`)).status).toBe(200);
  });

  test('reads no body where none belongs, and no headers of any length', async () => {
    const { port, origin } = await listening();
    const [body, headers] = [raw(port), raw(port)];
    body.socket.write('GET /code/manifest HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n');
    headers.socket.write(`GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(9000)}\r\n\r\n`);
    await Promise.all([body.closed, headers.closed]);
    expect((await fetch(`${origin}/code/manifest`)).status).toBe(200);
  });

  test('cuts a stranger that brings a long frame before it is kept; one who is known may', async () => {
    const { address, channels, ears } = await listening();
    const dial = async (): Promise<WebSocket> => {
      const ws = new WebSocket(address);
      ws.on('error', () => undefined);
      await new Promise((resolve) => ws.once('open', resolve));
      return ws;
    };
    const long = new Uint8Array(400_000);
    const [stranger, known] = [await dial(), await dial()];
    await vi.waitFor(() => expect(channels).toHaveLength(2));
    channels[0]!.confine!(8192);
    channels[1]!.confine!(8192);
    channels[1]!.confine!(undefined);
    stranger.send(long);
    known.send(long);
    await vi.waitFor(() => expect(ears[0]!.ends).toHaveLength(1));
    await ears[1]!.until(() => ears[1]!.frames.length === 1);
    expect(ears[0]!.frames).toEqual([]);
    known.terminate();
  });

  test('compresses nothing, so that nothing small becomes large', async () => {
    const { address } = await listening();
    const ws = new WebSocket(address, { perMessageDeflate: true });
    await new Promise((resolve) => ws.once('open', resolve));
    expect(ws.extensions).toBe('');
    ws.terminate();
  });

  test('gives up a peer that does not read, once megabytes wait for it', async () => {
    const { address, channels, ears } = await listening();
    const ws = new WebSocket(address);
    ws.on('error', () => undefined);
    await new Promise((resolve) => ws.once('open', resolve));
    ws.pause();
    const frame = new Uint8Array(randomBytes(1 << 20));
    let sent = 0;
    await vi.waitFor(
      () => {
        for (let n = 0; n < 8; n++, sent++) channels[0]!.send(frame);
        expect(ears[0]!.ends).toHaveLength(1);
      },
      { timeout: 20_000, interval: 10 },
    );
    expect(sent).toBeLessThan(200);
    ws.terminate();
  });

  test('stays as large as it was under a thousand connections of garbage', { timeout: 60_000 }, async () => {
    const { origin, port } = await listening();
    const garbage = async (): Promise<void> => {
      const one = raw(port);
      one.socket.write(randomBytes(2000));
      await one.closed;
    };
    const batch = async (): Promise<void> => void (await Promise.all(Array.from({ length: 100 }, garbage)));
    await batch();
    const before = process.memoryUsage().rss;
    for (let n = 0; n < 10; n++) await batch();
    expect((process.memoryUsage().rss - before) / 2 ** 20).toBeLessThan(100);
    expect((await fetch(`${origin}/code/manifest`)).status).toBe(200);
  });
});

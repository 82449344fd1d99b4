import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import { memoryNetwork } from '../../src/peer/transport-memory.ts';
import type { Channel, Transport } from '../../src/ports.ts';
import { MAX_PEER_FRAME_BYTES } from '../../src/wire/limits.ts';
import { ear, transportSuite } from '../suites/transport.ts';

transportSuite('memory', () => {
  const network = memoryNetwork();
  return [network(), network()];
});

transportSuite('WebSocket', () => [webSocketTransport(), webSocketTransport()]);

describe('a WebSocket listener and strangers', () => {
  let transport: Transport;
  afterEach(() => transport.close());

  async function listening() {
    transport = webSocketTransport();
    const [first, ears] = [ear(), [] as ReturnType<typeof ear>[]];
    const channels: Channel[] = [];
    const address = await transport.listen((channel) => {
      channels.push(channel);
      ears.push(ear());
      return ears.at(-1)!;
    });
    const near = await transport.dial(address, first);
    near.send(Uint8Array.of(1));
    await ears[0]!.until(() => ears[0]!.frames.length === 1);
    return { address, ears, first, near };
  }
  const closeOf = (ws: WebSocket): Promise<number> => new Promise((resolve) => ws.once('close', resolve));

  test('octets that are no HTTP end only their own connection', async () => {
    const { address, ears, first, near } = await listening();
    const socket = connect(Number(new URL(address).port), '127.0.0.1');
    socket.on('error', () => undefined).resume();
    socket.write(randomBytes(4096));
    await new Promise((resolve) => socket.once('close', resolve));
    near.send(Uint8Array.of(2));
    await ears[0]!.until(() => ears[0]!.frames.length === 2);
    expect(first.ends).toEqual([]);
  });

  test('octets that are no WebSocket frames end only their own connection', async () => {
    const { address, ears, first } = await listening();
    const ws = new WebSocket(address);
    ws.on('error', () => undefined);
    await new Promise((resolve) => ws.once('open', resolve));
    (ws as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket.write(new Uint8Array(64).fill(255));
    await closeOf(ws);
    await ears[1]!.until(() => ears[1]!.ends.length === 1);
    expect(first.ends).toEqual([]);
  });

  test('a frame longer than any valid one is not received', async () => {
    const { address, ears } = await listening();
    const ws = new WebSocket(address);
    ws.on('error', () => undefined);
    await new Promise((resolve) => ws.once('open', resolve));
    ws.send(new Uint8Array(MAX_PEER_FRAME_BYTES + 1));
    expect(await closeOf(ws)).toBe(1009);
    await ears[1]!.until(() => ears[1]!.ends.length === 1);
    expect(ears[1]!.frames).toEqual([]);
  });

  test('text is refused', async () => {
    const { address } = await listening();
    const ws = new WebSocket(address);
    await new Promise((resolve) => ws.once('open', resolve));
    ws.send('hello');
    expect(await closeOf(ws)).toBe(1003);
  });

  test('a taken port is refused with a remedy', async () => {
    const { address } = await listening();
    const other = webSocketTransport({ port: Number(new URL(address).port) });
    await expect(other.listen(() => ear())).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

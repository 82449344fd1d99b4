/** Orders over HTTP: who may give them, what they are, and what becomes of them. */
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { extend, type Ledger } from '../../src/peer/ledger.ts';
import {
  controlLink,
  controlled,
  giveOrder,
  isControlLink,
  readControl,
  writeControl,
} from '../../src/peer/node/control.ts';
import { withPaces } from '../../src/peer/status.ts';
import { type Order, wishOf } from '../../src/peer/wishes.ts';
import { fakeCrypto, MANIFEST, secretOf } from './fake.ts';

const CODE = 'c0de_-x';

async function host(takeBack = async () => ({ round: 3, records: 5 })) {
  const heard: Order[] = [];
  const obey = async (order: Order) => {
    heard.push(order);
    return takeBack();
  };
  const server = createServer(
    controlled({ code: CODE, crypto: fakeCrypto, takeBack: obey }, (_, response) => response.writeHead(418).end()),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const link = controlLink(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, CODE);
  const post = async (body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
    (await fetch(link, { method: 'POST', headers, body })).status;
  return { heard, link, post };
}

describe('a host', () => {
  test('hears orders of whoever has its code, and nobody else', async () => {
    const { heard, link } = await host();
    const orders: Order[] = [
      { type: 'revoke', peer: 'mallory', from: 1, to: 4, reason: 'lies' },
      { type: 'revoke', peer: '3' },
      { type: 'rewind', round: 0 },
    ];
    for (const order of orders) expect(await giveOrder(link, order)).toEqual({ round: 3, records: 5 });
    expect(heard).toEqual(orders);
    await expect(giveOrder(link.replace(CODE, 'other'), orders[2]!)).rejects.toThrow(/^CODE_WRONG/);
    for (const path of ['/control', '/control/', `/control/${CODE}/more`])
      expect((await fetch(new URL(path, link), { method: 'POST' })).status, path).toBe(404);
    expect((await fetch(link)).status).toBe(405);
    expect((await fetch(new URL('/view/x', link))).status, 'the rest is for others').toBe(418);
    expect(heard).toHaveLength(3);
  });

  test('does nothing that is no order, or came from the form of another page', async () => {
    const { heard, post } = await host();
    const bad = [
      ...['', '{', 'null', '[]', '{}', '{"type":"stop"}', '{"type":"rewind"}', '{"type":"rewind","round":-1}'],
      ...['{"type":"rewind","round":1.5}', '{"type":"revoke"}', '{"type":"revoke","peer":3}'],
      ...['{"type":"revoke","peer":"a","to":"x"}', '{"type":"revoke","peer":"a","reason":7}'],
      JSON.stringify({ type: 'revoke', peer: 'a', reason: 'x'.repeat(5000) }),
    ];
    for (const body of bad) expect(await post(body), body.slice(0, 40)).toBe(400);
    expect(await post('{"type":"rewind","round":1}', { 'content-type': 'text/plain' })).toBe(415);
    expect(heard).toEqual([]);
  });

  test('that refuses says why; one that is gone is said to be', async () => {
    const { link } = await host(() => Promise.reject(new Fault('NOT_NOW', 'the run is over')));
    await expect(giveOrder(link, { type: 'rewind', round: 1 })).rejects.toThrow(/^NOT_NOW: the run is over$/);
    const gone = controlLink('ws://127.0.0.1:1', CODE);
    await expect(giveOrder(gone, { type: 'rewind', round: 1 })).rejects.toThrow(/^HOST_UNREACHABLE/);
  });
});

test('the link lies where only its owner can read it, and goes with the host', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'murmur-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  expect(await readControl(folder)).toBeUndefined();
  const link = controlLink('ws://[::1]:7777', CODE);
  expect([isControlLink(link), isControlLink('http://a/join/b'), isControlLink('out')]).toEqual([true, false, false]);
  const control = { link, addresses: ['ws://[::1]:7777'] };
  const remove = await writeControl(folder, control);
  expect(await readControl(folder)).toEqual(control);
  if (process.platform !== 'win32') expect((await stat(join(folder, 'control.json'))).mode & 0o777).toBe(0o600);
  await remove();
  expect(await readControl(folder)).toBeUndefined();
});

test('a peer is named by its slot, or by a name that is its alone', () => {
  let ledger: Ledger = extend(undefined, { type: 'manifest', manifest: MANIFEST });
  for (const [slot, name] of ['ada', 'eve', 'eve', '7'].entries())
    ledger = extend(ledger, { type: 'admit', slot, key: fakeCrypto.publicKey(secretOf(slot)), name });
  const slotOf = (peer: string) => wishOf(ledger, { type: 'revoke', peer });
  expect(slotOf('ada')).toMatchObject({ slot: 0, reason: 'revoked' });
  expect(slotOf('2')).toMatchObject({ slot: 2 });
  expect(slotOf('7')).toMatchObject({ slot: 3 });
  expect(() => slotOf('eve')).toThrow('CONFIG_INVALID: "eve": there are several; name one by its slot, 1 or 2');
  expect(() => slotOf('bob')).toThrow(/^CONFIG_INVALID: "bob": no such peer/);
});

test('the pace of a round that is made once more takes the place of what was after it', () => {
  const pace = (round: number, at: number) => ({ round, at, wire: 0 });
  const before = [1, 2, 3, 4].map((round) => pace(round, round));
  expect(withPaces(before, [pace(5, 5)])).toEqual([...before, pace(5, 5)]);
  expect(withPaces(before, [pace(3, 9), pace(4, 10)])).toEqual([...before.slice(0, 2), pace(3, 9), pace(4, 10)]);
  expect(before).toHaveLength(4);
});

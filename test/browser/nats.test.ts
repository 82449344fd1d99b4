/** A tab in a run on NATS: by the WebSocket listener of the servers, and nothing of the coordinator's. */
import { mkdirSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { HAS_SERVER, startServer } from '../nats/servers.ts';
import { expectOneDigest, linkOf, place } from '../swarm/run.ts';
import { BROWSER, launch, openTab, without } from './chromium.ts';
import { serveOrigin } from './origin.ts';

describe.skipIf(!BROWSER || !HAS_SERVER)(`a tab on NATS${without}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());

  test('finishes a run beside a peer of Node, with the same digest', { timeout: 300_000 }, async () => {
    const servers = await startServer('websocket { listen: "127.0.0.1:-1", no_tls: true }');
    onTestFinished(servers.stop);
    const at = place();
    mkdirSync(at.out, { recursive: true });
    const settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 12 };
    const host = at.host({ ...settings, store: servers.store });
    const link = await linkOf(host);
    const origin = await serveOrigin();
    const context = await browser.newContext();
    onTestFinished(async () => {
      await context.close();
      await origin.close();
    });
    const listener = servers.servers[0]!.websocket!.replace(/^ws/, 'nats+ws');
    const tab = await openTab(context, origin, link.replace(/^nats:\/\/[^/]+/, listener), { name: 'tab' });
    const node = at.join(link, 'node');
    const [digest, outcome] = await Promise.all([expectOneDigest(at, host, [node]), tab.outcome()]);
    expect(outcome.root).toBe(digest);
    expect(outcome.records).toBeGreaterThan(0);
  });
});

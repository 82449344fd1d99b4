/** The page of a host with a certificate, from a name that is not this machine's: what a browser keeps for `https://` is there. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { expectOneDigest, journalOf, linkOf, place } from '../swarm/run.ts';
import { figure } from '../web/served.ts';
import { BROWSER, CERTIFIED_HOST, launch, without } from './chromium.ts';

const TLS = { tls_cert: 'test/fixtures/tls/host.pem', tls_key: 'test/fixtures/tls/host.key' };

describe.skipIf(!BROWSER)(`a page over https${without}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());

  test('takes part over wss, on threads, beside a peer of Node, with one digest', { timeout: 300_000 }, async () => {
    const at = place();
    const settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 30, ...TLS };
    const host = at.host(settings);
    const link = await linkOf(host);
    const there = new URL(link);
    there.hostname = CERTIFIED_HOST;
    // Nobody has signed the certificate of the tests.
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    const sockets: string[] = [];
    page.on('websocket', (socket) => sockets.push(new URL(socket.url()).protocol));
    await page.goto(`${there.href}#join`);
    expect(await page.evaluate(() => [isSecureContext, crossOriginIsolated])).toEqual([true, true]);
    await page.getByLabel('Name').fill('a tab');
    await page.getByRole('button', { name: 'Take part' }).click();
    const { slot } = await host.waitFor(
      ({ event, state, name }) => event === 'peer' && state === 'ready' && name === 'a tab',
    );
    const node = at.join(link, 'node', { flags: ['--tls_ca', TLS.tls_cert] });
    await given(page);
    await expectOneDigest(at, host, [node]);
    const segments = journalOf(at.out).rounds.flatMap((round) => round.segments);
    expect(segments.some((segment) => segment.slot === slot)).toBe(true);
    expect(sockets).toEqual(['wss:']);
  });
});

const given = async (page: Page): Promise<void> => {
  await expect.poll(async () => Number(await figure(page, 'Given')), { timeout: 60_000 }).toBeGreaterThan(0);
};

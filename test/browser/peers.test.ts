/** Tabs of a real browser and Node processes in one run. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectOneDigest, linkOf, place } from '../swarm/run.ts';
import { BROWSER, launch, openTab, without } from './chromium.ts';
import { serveOrigin } from './origin.ts';

const LONG = { timeout: 120_000 };

describe.skipIf(!BROWSER)(`tabs${without}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());

  test('two tabs and two Node processes finish a run with one digest', LONG, async () => {
    const at = place();
    const host = at.host({ peers: 0, min_peers: 4, per_device_train_batch_size: 4, max_steps: 12 });
    const link = await linkOf(host);
    const origin = await serveOrigin();
    const context = await browser.newContext();
    const nodes = ['one', 'two'].map((name) => at.join(link, name));
    const tabs = await Promise.all(
      ['first', 'second'].map((name) => openTab(context, origin, origin.through(link), { name })),
    );
    const outcomes = await Promise.all(tabs.map((tab) => tab.outcome()));
    const digest = await expectOneDigest(at, host, nodes);
    expect(outcomes.map(({ root }) => root)).toEqual([digest, digest]);
    console.log(tabs[0]!.lines.filter((l) => l.event !== 'round').slice(0, 40), outcomes);
    await context.close();
  });
});

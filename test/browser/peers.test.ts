/** Tabs of a real browser and Node processes in one run. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAlive } from '../swarm/processes.ts';
import { atRound, expectOneDigest, textIn } from '../swarm/run.ts';
import { BROWSER, launch, PLAIN_HOST, without } from './chromium.ts';
import { begin, ENDLESS, expectAlike } from './run.ts';

const LONG = { timeout: 300_000 };
describe.skipIf(!BROWSER)(`tabs${without}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());

  test('two tabs and two Node processes finish a run with one digest', LONG, async () => {
    const { at, host, node, link, tab } = await begin(browser, { min_peers: 4, max_steps: 12 });
    const other = at.join(link, 'other');
    const tabs = await Promise.all([tab('first'), tab('second')]);
    const [digest, ...outcomes] = await Promise.all([
      expectOneDigest(at, host, [node, other]),
      ...tabs.map(({ outcome }) => outcome()),
    ]);
    expect(outcomes.map(({ root }) => root)).toEqual([digest, digest]);
    expect(new Set(outcomes.map(({ slot }) => slot)).size, 'slots').toBe(2);
    for (const { lines } of tabs)
      expect(lines).toContainEqual({ event: 'device', backend: 'wasm', adapter: 'none', threads: 2 });
  });

  test(
    'a tab that joins late, is closed mid-round and opened again: the same peer, and nothing fetched twice',
    LONG,
    async () => {
      const { host, node, origin, tab } = await begin(browser, { min_peers: 1, max_steps: ENDLESS, save_steps: 10 });
      await host.waitFor(atRound('round', 80));
      const late = await tab('late');
      const { slot, head } = await late.waitFor(({ event }) => event === 'connected');
      expect(head).toBeGreaterThanOrEqual(80);
      const { round: kept } = await late.waitFor(({ event }) => event === 'kept');
      await late.waitFor(({ event }) => event === 'measured');
      await late.waitFor(atRound('round', Number(kept) + 20));
      expect(origin.asked).toContain('/snapshot/latest');
      expect(origin.asked.some((path) => path.startsWith('/chunk/'))).toBe(true);
      expectAlike(late, node, 5);
      await late.page.close();

      origin.asked.length = 0;
      const back = await tab('late');
      expect(await back.waitFor(({ event }) => event === 'connected')).toMatchObject({ slot });
      // Replaying from the base would show after 64 rounds.
      expect((await back.waitFor(({ event }) => event === 'catchup'))['round']).toBeGreaterThanOrEqual(Number(kept));
      await back.waitFor(({ event }) => event === 'measured');
      expect(origin.asked.filter((path) => !/^\/(journal|snapshot\/latest$)/.test(path))).toEqual([]);
      const { round } = await back.waitFor(({ event }) => event === 'ready');
      await back.waitFor(atRound('checksum', Number(round) + 5));
      await node.waitFor(atRound('checksum', Number(round) + 5));
      expectAlike(back, node, 3);
      expect(isAlive(host.pid)).toBe(true);
    },
  );

  test('a tab that is cut off for rounds comes back to its place', LONG, async () => {
    const { host, node, origin, tab } = await begin(browser, { min_peers: 2, max_steps: ENDLESS });
    const cut = await tab('cut');
    const { slot } = await cut.waitFor(({ event }) => event === 'connected');
    const before = Number((await cut.waitFor(atRound('round', 5)))['round']);
    origin.cut();
    await cut.waitFor(({ event }) => event === 'disconnected');
    await host.waitFor(atRound('round', before + 30));
    origin.mend();
    await cut.waitFor(atRound('checksum', before + 30));
    const connected = cut.lines.filter(({ event }) => event === 'connected');
    expect(connected.map((line) => line['slot'])).toEqual([slot, slot]);
    await node.waitFor(atRound('checksum', before + 30));
    expectAlike(cut, node, 5);
  });

  test('a tab pauses, asked or hidden, comes back with its weights, and leaves', LONG, async () => {
    const { host, origin, tab } = await begin(browser, { min_peers: 2, max_steps: ENDLESS });
    const own = await tab('own', { pauseWhenHidden: true });
    const { slot } = await own.waitFor(({ event }) => event === 'connected');
    await own.waitFor(({ event }) => event === 'measured');
    await own.tell('pause');
    await own.waitFor(({ event, why }) => event === 'paused' && why === 'asked');
    await host.waitFor(({ event, state, ...line }) => event === 'peer' && state === 'gone' && line['slot'] === slot);
    origin.asked.length = 0;
    await own.tell('resume');
    await own.waitFor(({ event }) => event === 'resumed');
    await own.waitFor(() => own.lines.filter(({ event }) => event === 'ready').length === 2);
    // It may ask what the newest snapshot is, and takes nothing of it.
    expect(origin.asked.filter((path) => !/^\/(journal|snapshot)/.test(path))).toEqual([]);
    expect(own.lines.filter(({ event }) => event === 'device')).toHaveLength(1);

    await own.page.evaluate(() => {
      Object.defineProperty(document, 'hidden', { value: true });
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await own.waitFor(({ event, why }) => event === 'paused' && why === 'hidden');
    await own.tell('leave');
    expect(await own.outcome()).toMatchObject({ reason: 'stopped', slot });
  });

  test('on plain http a tab takes part on one thread', LONG, async () => {
    const { at, host, node, tab } = await begin(browser, { min_peers: 2, max_steps: 3 }, { name: PLAIN_HOST });
    const own = await tab('own');
    expect(await own.page.evaluate(() => isSecureContext)).toBe(false);
    expect(await own.waitFor(({ event }) => event === 'device')).toMatchObject({ backend: 'wasm', threads: 1 });
    const { root } = await own.outcome();
    expect(root).toBe(await expectOneDigest(at, host, [node]));
  });

  test('a tab takes part in a run that exchanges vectors', LONG, async () => {
    const { at, host, node, tab } = await begin(
      browser,
      { method: 'diloco', inner_steps: 2, min_peers: 2, max_steps: 6 }, // a tab may be late for the first ones
      { data: textIn },
    );
    const own = await tab('own');
    const [digest, { root, records }] = await Promise.all([expectOneDigest(at, host, [node]), own.outcome()]);
    expect(root).toBe(digest);
    expect(records).toBeGreaterThan(0);
  });
});

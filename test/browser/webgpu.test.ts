/** A tab that computes on a GPU, in software, until it is taken away. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER, launch, without } from './chromium.ts';
import { begin, ENDLESS, expectAlike } from './run.ts';

describe.skipIf(!BROWSER)(`a tab on WebGPU${without}`, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launch(true);
  });
  afterAll(() => browser.close());

  test('takes part, and goes on without its GPU when the browser takes it away', { timeout: 300_000 }, async () => {
    const { node, tab } = await begin(browser, { min_peers: 2, max_steps: ENDLESS });
    const own = await tab('own', { backend: 'webgpu' });
    const found = await own.waitFor(({ event }) => event === 'device');
    expect(found).toMatchObject({ backend: 'webgpu', adapter: expect.stringMatching(/swiftshader/i) });
    await own.waitFor(({ event }) => event === 'measured');
    const { slot } = await own.waitFor(({ event }) => event === 'connected');

    const devtools = await browser.newBrowserCDPSession();
    await devtools.send('Browser.crashGpuProcess');
    await own.waitFor(({ event, backend }) => event === 'device' && backend === 'wasm');
    const times = own.lines.length;
    await own.waitFor((line) => own.lines.indexOf(line) >= times && line.event === 'measured');
    const connected = own.lines.filter(({ event }) => event === 'connected');
    expect(connected.map((line) => line['slot'])).toEqual(connected.map(() => slot));
    expectAlike(own, node, 2);
  });
});

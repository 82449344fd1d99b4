/** A small real run that tabs of a browser join: what `test/swarm/run.ts` is to processes. */
import type { Browser, BrowserContext } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import type { Running } from '../swarm/processes.ts';
import { checksumsOf, linkOf, type Place, place, type Settings } from '../swarm/run.ts';
import { openTab, type Tab } from './chromium.ts';
import { type Origin, serveOrigin } from './origin.ts';

/** Rounds of a run that is longer than its test. */
export const ENDLESS = 100_000;

export interface Run {
  readonly at: Place;
  readonly host: Running;
  readonly node: Running;
  readonly link: string;
  readonly origin: Origin;
  readonly context: BrowserContext;
  /** A tab that joins through the origin. */
  tab(name: string, options?: Parameters<typeof openTab>[3]): Promise<Tab>;
}

/** The same weights after every round that both told of, of at least so many. */
export function expectAlike(tab: Tab, node: Running, rounds: number): void {
  const [here, there] = [checksumsOf(tab), checksumsOf(node)];
  const both = [...here.keys()].filter((round) => there.has(round));
  expect(both.length, 'rounds that both told of').toBeGreaterThanOrEqual(rounds);
  expect(both.map((round) => here.get(round))).toEqual(both.map((round) => there.get(round)));
}

export interface Setting {
  /** Makes the data of the run. */
  readonly data?: Parameters<typeof place>[0];
  /** What this machine is called in the addresses of its pages. */
  readonly name?: string;
}

/** A host, a peer of Node and a browser with nothing in it. */
export async function begin(browser: Browser, settings: Settings, { data, name }: Setting = {}): Promise<Run> {
  const at = place(data);
  const host = at.host({ peers: 0, per_device_train_batch_size: 4, ...settings });
  const link = await linkOf(host);
  const origin = await serveOrigin(name === undefined ? {} : { name });
  const context = await browser.newContext();
  onTestFinished(async () => {
    await context.close();
    await origin.close();
  });
  const tab: Run['tab'] = (own, options) => openTab(context, origin, origin.through(link), { ...options, name: own });
  return { at, host, node: at.join(link, 'node'), link, origin, context, tab };
}

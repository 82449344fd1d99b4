/** Real processes that serve the page, and a real browser that looks at it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';

/** Debian's; the package brings no browser. */
const CHROMIUM = '/usr/bin/chromium';

/** Why there is nothing to test here, if so. */
export const MISSING: string | undefined = !existsSync('dist/web/index.html')
  ? 'npm run build makes the page'
  : !existsSync(CHROMIUM)
    ? `needs ${CHROMIUM}`
    : undefined;

const FLAGS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];

export const openBrowser = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

export interface Served {
  /** The link of each event that has one: `link`, `view`, `page`. */
  readonly links: Readonly<Record<string, string>>;
  /** At once, without a word to anybody. */
  kill(): Promise<void>;
}

/** Starts `murmur … --json` and waits for the link of the event `until`. */
export async function serving(cache: string, until: string, ...argv: readonly string[]): Promise<Served> {
  const child: ChildProcess = spawn(process.execPath, ['bin/murmur.js', ...argv, '--json'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, XDG_CACHE_HOME: cache },
  });
  const links: Record<string, string> = {};
  let stderr = '';
  child.stderr!.on('data', (data) => {
    stderr += String(data);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('close', (code) => reject(new Error(`murmur ${argv[0]} ended with ${code}: ${stderr}`)));
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { event, link } = JSON.parse(line) as { readonly event: string; readonly link?: string };
      if (link === undefined) return;
      links[event] = link;
      if (event === until) resolve();
    });
  });
  return {
    links,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** What a browser complained of, and where it went, while pages were open. */
export interface Witness {
  readonly context: BrowserContext;
  readonly complaints: string[];
  readonly origins: Set<string>;
}

export type Look = NonNullable<Parameters<Browser['newContext']>[0]>;

export async function witnessed(browser: Browser, look: Look = {}): Promise<Witness> {
  const context = await browser.newContext(look);
  const complaints: string[] = [];
  const origins = new Set<string>();
  context.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  context.on('weberror', (error) => complaints.push(String(error.error())));
  context.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== 'data:' && protocol !== 'blob:') origins.add(origin);
  });
  return { context, complaints, origins };
}

/** The number that stands under a name on the page. */
export const figure = (page: Page, name: string): Promise<string | null> =>
  page
    .locator('.figure', { has: page.locator('dt', { hasText: new RegExp(`^${name}$`) }) })
    .locator('strong')
    .textContent();

/** Until the page has verified so many rounds. */
export const untilRound = (page: Page, round: number): Promise<void> =>
  expect
    .poll(async () => Number(await figure(page, 'Round').catch(() => -1)), { timeout: 30_000 })
    .toBeGreaterThanOrEqual(round);

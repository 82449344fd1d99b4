/** A real browser, and its tabs as peers: their events as they come. */
import { AssertionError } from 'node:assert';
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { JoinOptions, join, Membership } from '../../src/browser.ts';
import type { Line } from '../swarm/processes.ts';
import type { Origin } from './origin.ts';

const EXECUTABLE = '/usr/bin/chromium';
const BUNDLE = 'dist/browser/browser.js';

export const BROWSER: boolean = existsSync(EXECUTABLE) && existsSync(BUNDLE);

/** Ends the names of tests that are skipped without a browser. */
export const without: string = existsSync(EXECUTABLE)
  ? existsSync(BUNDLE)
    ? ''
    : ' (skipped: npm run build makes dist/browser)'
  : ' (skipped: apt-get install chromium brings a browser)';

/** A name of this machine that no browser takes for it: pages of it are as plain http is from another machine. */
export const PLAIN_HOST = 'plain.test';

/** A name that the certificate of the tests is for. */
export const CERTIFIED_HOST = 'run.example';

const QUIET = [
  `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1, MAP ${CERTIFIED_HOST} 127.0.0.1`,
  ...['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];
const GPU = ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-webgpu-adapter=swiftshader'];

/** @param gpu with a WebGPU adapter in software. */
export const launch = (gpu = false): Promise<Browser> =>
  chromium.launch({
    executablePath: EXECUTABLE,
    headless: true,
    args: [...QUIET, ...(gpu ? GPU : ['--disable-gpu'])],
  });

export interface Tab {
  readonly page: Page;
  /** All events so far; `done` or `failed` is the last. */
  readonly lines: readonly Line[];
  /** The first event that holds, past ones included; fails when the peer ends without it. */
  waitFor(holds: (line: Line) => boolean): Promise<Line>;
  /** Something of its membership is called. */
  tell(what: 'pause' | 'resume' | 'leave'): Promise<void>;
  /** What `finished` gave. */
  outcome(): Promise<Line>;
}

/** Far beyond what anything here takes: a busy machine is no failure. */
const PATIENCE_MS = 120_000;

type Options = Omit<JoinOptions, 'onEvent'>;

/** What the page of `origin.ts` has, and what is put there. */
interface Global {
  join: typeof join;
  membership: Membership;
  heard(line: object): void;
}

/** Opens a tab that joins a run. */
export async function openTab(
  context: BrowserContext,
  origin: Origin,
  link: string,
  options: Options = {},
): Promise<Tab> {
  const page = await context.newPage();
  const lines: Line[] = [];
  const wakers = new Set<() => void>();
  const hear = (line: Line): void => {
    lines.push(line);
    for (const waker of [...wakers]) waker();
  };
  page.on('crash', () => hear({ event: 'failed', code: 'PAGE', detail: 'the tab crashed' }));
  page.on('pageerror', ({ message }) => hear({ event: 'failed', code: 'PAGE', detail: message }));
  page.on('console', (message) => {
    if (message.type() === 'error') hear({ event: 'console', text: message.text() });
  });
  await page.exposeFunction('heard', hear);
  await page.goto(origin.url);
  await page.evaluate(
    ([to, given]) => {
      const here = globalThis as unknown as Global;
      here.membership = here.join(to, { ...given, onEvent: (event: object) => here.heard(event) });
      here.membership.finished.then(
        (outcome) => here.heard({ event: 'done', ...outcome }),
        ({ code, detail }) => here.heard({ event: 'failed', code, detail }),
      );
    },
    [link, options] as const,
  );
  const waitFor = (holds: (line: Line) => boolean): Promise<Line> =>
    new Promise((found, failed) => {
      const broken = (why: string): void => {
        settle();
        const tail = lines.slice(-12).map((line) => JSON.stringify(line));
        failed(new AssertionError({ message: `a tab: ${why} ${holds}\n${tail.join('\n')}` }));
      };
      const settle = (): void => {
        clearTimeout(timer);
        wakers.delete(look);
      };
      const look = (): void => {
        const line = lines.find(holds);
        if (line !== undefined) {
          settle();
          found(line);
        } else if (lines.some(({ event }) => event === 'done' || event === 'failed')) broken('it ended without');
      };
      const timer = setTimeout(() => broken(`within ${PATIENCE_MS} ms no`), PATIENCE_MS);
      wakers.add(look);
      look();
    });
  return {
    page,
    lines,
    waitFor,
    tell: (what) => page.evaluate((name) => (globalThis as unknown as Global).membership[name](), what),
    outcome: () => waitFor(({ event }) => event === 'done'),
  };
}

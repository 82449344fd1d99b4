/**
 * Takes the pictures of the page for docs/page, at the widths of a desk and of a phone: of a demo while it runs, and of
 * the same run when it is over, with `murmur ui`. Needs Debian's chromium.
 *
 *     npm run screenshots
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const into = join(root, 'docs/page');
const MAX_BYTES = 150_000;
const SIZES = {
  '': { viewport: { width: 1200, height: 800 }, deviceScaleFactor: 1 },
  '-phone': { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true },
};
/** Rounds of the demo after which pictures are taken: curves are there, and it still runs. */
const ROUNDS = 60;
const AT = 38;

/** Starts `murmur … --json`. @returns its process and the first line that holds. */
function murmur(argv, holds) {
  const child = spawn(process.execPath, [join(root, 'bin/murmur.js'), ...argv, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = new Promise((resolve, reject) => {
    child.once('close', () => reject(new Error(`murmur ${argv[0]} ended early`)));
    createInterface({ input: child.stdout }).on('line', (text) => {
      const event = JSON.parse(text);
      if (holds(event)) resolve(event);
    });
  });
  return { child, line, ended: new Promise((resolve) => child.once('close', resolve)) };
}

async function picture(page, view, name) {
  await page.goto(`${page.url().split('#')[0]}#${view}`);
  await page.locator(`main[data-view="${view}"] section`).first().waitFor();
  if (view === 'try') {
    await page.getByRole('textbox').fill('The soup was cold and the waiter was rude. I will not come back.');
    await page.getByRole('button', { name: 'Ask both' }).click();
    await page.locator('blockquote').nth(1).waitFor();
  }
  const path = join(into, `${name}.png`);
  await page.screenshot({ path, animations: 'disabled' });
  const { size } = statSync(path);
  if (size > MAX_BYTES) throw new RangeError(`${path} is ${size} bytes, more than ${MAX_BYTES}`);
  console.log(`${name}.png  ${size} bytes`);
}

async function open(browser, link, look) {
  const page = await (await browser.newContext(look)).newPage();
  await page.goto(link);
  return page;
}

mkdirSync(into, { recursive: true });
const folder = mkdtempSync(join(tmpdir(), 'murmur-screenshots-'));
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
});
try {
  const demo = murmur(
    ['demo', '--output_dir', join(folder, 'run'), '--max_steps', String(ROUNDS)],
    ({ event }) => event === 'link',
  );
  const { link } = await demo.line;
  const pages = [];
  for (const [suffix, size] of Object.entries(SIZES)) pages.push([suffix, await open(browser, link, size)]);
  pages.push(['-dark', await open(browser, link, { ...SIZES[''], colorScheme: 'dark' })]);
  await pages[0][1].waitForFunction(
    (at) => document.querySelector('progress')?.value >= at && document.querySelectorAll('.log li').length > 5,
    AT,
    { timeout: 120_000 },
  );
  for (const [suffix, page] of pages)
    for (const view of suffix === '-dark' ? ['run'] : ['run', 'peers', 'network', 'join'])
      await picture(page, view, `${view}${suffix}`);
  await demo.ended;

  const past = murmur(['ui', join(folder, 'run')], ({ event }) => event === 'page');
  const { link: again } = await past.line;
  for (const [suffix, size] of Object.entries(SIZES)) {
    const page = await open(browser, again, size);
    for (const view of ['try', 'journal', 'config']) await picture(page, view, `${view}${suffix}`);
  }
  past.child.kill('SIGINT');
  await past.ended;
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}

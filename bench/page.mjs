/**
 * `npm run bench:page`: how smooth the page is, looked at while a run goes on, and while the tab itself is a peer of it on
 * WebAssembly: frames that Debian's Chromium draws, beside a host and one more peer on the same cores.
 *
 *     npm run bench:page -- --seconds 10
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { flagsOf, machine, markdown, root } from './harness.mjs';

const { seconds } = flagsOf({ seconds: 10 });
const EXECUTABLE = '/usr/bin/chromium';
if (!existsSync(EXECUTABLE)) {
  console.error(`bench:page: ${EXECUTABLE} is not here; apt-get install chromium brings it`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), 'murmur-page-'));
const flags = {
  ...{
    model: 'assets/quill',
    data: 'assets/demo/train.jsonl',
    eval_data: 'assets/demo/dev.jsonl',
    peers: 1,
    threads: 1,
  },
  ...{ prompt: '{text} It was', labels: '0= terrible,1= great', max_steps: 100_000, guard: false },
  ...{ eval_steps: 50, output_dir: join(folder, 'out') },
};
const args = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, String(value)]);
const host = spawn(process.execPath, ['bin/murmur.js', 'train', ...args, '--json'], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});
const link = await new Promise((resolve, reject) => {
  host.once('close', (code) => reject(new Error(`murmur train ended with ${code}`)));
  createInterface({ input: host.stdout }).on('line', (line) => {
    const event = JSON.parse(line);
    if (event.event === 'link') resolve(event.link);
  });
});
host.removeAllListeners('close');

/** Times between frames, ms. */
const frames = (page) =>
  page.evaluate(
    (ms) =>
      new Promise((resolve) => {
        const times = [];
        const look = (now) => {
          times.push(now);
          if (now - times[0] < ms) requestAnimationFrame(look);
          else resolve(times.slice(1).map((time, i) => time - times[i]));
        };
        requestAnimationFrame(look);
      }),
    1000 * seconds,
  );

function row(what, times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => sorted[Math.floor(part * (sorted.length - 1))].toFixed(1);
  const total = times.reduce((a, b) => a + b, 0);
  return {
    'the page': what,
    'frames a second': ((1000 * times.length) / total).toFixed(1),
    'between frames, ms: median': at(0.5),
    '99 of 100 at most': at(0.99),
    longest: at(1),
  };
}

const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage();
  await page.goto(`${link}#run`);
  await page.locator('main[data-view="run"] .figures').waitFor();
  const looking = await frames(page);
  await page.goto(`${link}#join`);
  await page.getByRole('button', { name: 'Take part' }).click();
  const given = page.locator('.figure', { has: page.locator('dt', { hasText: /^Given$/ }) }).locator('strong');
  while (Number((await given.textContent()).replaceAll(',', '')) === 0) await page.waitForTimeout(100);
  await page.locator('nav a[href="#run"]').click();
  await page.locator('main[data-view="run"] .figures').waitFor();
  const taking = await frames(page);
  console.log(`The page of a run of quill, ${seconds} s each. ${machine()}\n`);
  console.log(
    markdown([row('is looked at', looking), row('is looked at, and the tab is a peer on WebAssembly', taking)]),
  );
} finally {
  await browser.close();
  host.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

/** The page in a browser, before a run that is over and a run that goes on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { formatNumber } from '../../src/figures.ts';
import { verifyJournal } from '../../src/journal/reader.ts';
import { toHex } from '../../src/numeric/bytes.ts';
import { type Ledger, ledgerOf } from '../../src/peer/ledger.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { VIEWS } from '../../src/web/place.ts';
import { quillFlags, run } from '../cli/built.ts';
import { figure, MISSING, openBrowser, type Served, serving, untilRound, type Witness, witnessed } from './served.ts';

const ROUNDS = 6;
const NAMES = Object.keys(VIEWS);

describe.skipIf(MISSING !== undefined)(`the page in a browser${MISSING === undefined ? '' : ` (${MISSING})`}`, () => {
  let folder: string;
  let browser: Browser;
  let over: Served;
  let live: Served;
  let ledger: Ledger;
  let records: number;
  let witness: Witness;

  const goTo = async (page: Page, link: string, view = 'run'): Promise<void> => {
    await page.goto(`${link}#${view}`);
    await page.locator(`main[data-view="${view}"] section, main[data-view="${view}"] .figures`).first().waitFor();
  };

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'murmur-page-'));
    const rows = readFileSync('assets/demo/test.jsonl', 'utf8').split('\n');
    const [data, held] = ['data.jsonl', 'held.jsonl'].map((name, i) => {
      writeFileSync(join(folder, name), `${rows.slice(32 * i, 32 * (i + 1)).join('\n')}\n`);
      return join(folder, name);
    });
    const done = join(folder, 'done');
    const flags = [...quillFlags(data!, held!, done), '--eval_steps', '2', '--max_steps', String(ROUNDS)];
    expect(run(folder, 'train', ...flags).code).toBe(0);
    const read = verifyJournal(new Uint8Array(readFileSync(join(done, 'journal.murmur'))), nodeCrypto);
    records = read.records.length;
    ledger = ledgerOf(read.records.map(({ entry }) => entry));
    [browser, over] = await Promise.all([
      openBrowser(),
      serving(join(folder, 'cache'), 'page', 'ui', done, '--threads', '1'),
    ]);
    witness = await witnessed(browser);
  });
  afterAll(async () => {
    await browser?.close();
    await Promise.all([over?.kill(), live?.kill()]);
    rmSync(folder, { recursive: true, force: true });
  });

  describe('of a run that is over', () => {
    test('shows the held-out metrics, the rounds and the digest that the journal holds', async () => {
      const page = await witness.context.newPage();
      await goTo(page, over.links['page']!);
      await untilRound(page, ROUNDS);
      const last = ledger.evaluated.get(ROUNDS)!;
      expect(await figure(page, 'Held-out loss')).toBe(formatNumber(last['eval/loss']!));
      expect(await figure(page, 'Held-out accuracy')).toBe(formatNumber(last['eval/accuracy']!));
      const [first] = ledger.evaluated.values();
      const curve = await page.getByRole('img', { name: 'Held-out loss' }).getAttribute('aria-label');
      const ends = [first, last].map((metrics) => formatNumber(metrics!['eval/loss']!)).join(' to ');
      expect(curve).toBe(`Held-out loss: eval/loss from ${ends}; rounds 0 to ${ROUNDS}`);
      await goTo(page, over.links['page']!, 'journal');
      expect(await figure(page, 'Records')).toBe(String(records));
      await page.getByText(toHex(ledger.digests.get(ROUNDS)!), { exact: true }).waitFor();
      await page.close();
    });

    test('gives the journal away byte for byte', async () => {
      const page = await witness.context.newPage();
      await goTo(page, over.links['page']!, 'journal');
      const download = page.waitForEvent('download');
      await page.getByRole('link', { name: 'Download the journal' }).click();
      const file = await (await download).path();
      expect(readFileSync(file)).toEqual(readFileSync(join(folder, 'done', 'journal.murmur')));
      await page.close();
    });

    test('asks both models about a text', async () => {
      const page = await witness.context.newPage();
      await goTo(page, over.links['page']!, 'try');
      await page.getByRole('textbox', { name: 'text' }).fill('What a wonderful meal.');
      await page.getByRole('button', { name: 'Ask both' }).click();
      await page.getByRole('heading', { name: `After ${ROUNDS} rounds` }).waitFor();
      for (const side of ['Base', `After ${ROUNDS} rounds`]) {
        const odds = await page.getByRole('region', { name: side }).locator('.odds dd').allInnerTexts();
        expect(odds.reduce((sum, text) => sum + Number.parseFloat(text), 0)).toBeCloseTo(100, 0);
      }
      await page.close();
    });

    test('every view is reached by keyboard, and says which it is', async () => {
      const page = await witness.context.newPage();
      await goTo(page, over.links['page']!);
      const reached = new Set<string>();
      for (let presses = 0; reached.size < NAMES.length && presses < 20; presses++) {
        await page.keyboard.press('Tab');
        const hash = await page.evaluate(() => document.activeElement?.closest('nav a')?.getAttribute('href'));
        if (!hash) continue;
        await page.keyboard.press('Enter');
        await page.locator(`main[data-view="${hash.slice(1)}"]`).waitFor();
        await page.locator(`nav a[href="${hash}"][aria-current="page"]`).waitFor();
        reached.add(hash.slice(1));
      }
      expect([...reached]).toEqual(NAMES);
      await page.close();
    });

    test.each([
      ['light', 390],
      ['light', 1280],
      ['dark', 390],
      ['dark', 1280],
    ] as const)(
      'axe finds nothing serious in %s at %d pixels, and nothing is wider than the page',
      async (colorScheme, width) => {
        const looked = await witnessed(browser, { colorScheme, viewport: { width, height: 844 } });
        const page = await looked.context.newPage();
        for (const view of NAMES) {
          await goTo(page, over.links['page']!, view);
          await page.evaluate(axe.source);
          const found = await page.evaluate(async () => {
            const { violations } = await (window as unknown as { axe: typeof axe }).axe.run({
              resultTypes: ['violations'],
            });
            return violations.map(
              ({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html }) => html).join(' ')}`,
            );
          });
          expect(
            found.filter((line) => /^(serious|critical)/.test(line)),
            view,
          ).toEqual([]);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(overflow, view).toBeLessThanOrEqual(0);
        }
        expect(looked.complaints).toEqual([]);
        await looked.context.close();
      },
    );

    test('with reduced motion nothing moves by itself', async () => {
      const looked = await witnessed(browser, { reducedMotion: 'reduce' });
      const page = await looked.context.newPage();
      await goTo(page, over.links['page']!);
      const moving = await page.evaluate(
        () =>
          Array.from(document.querySelectorAll('*')).filter((element) => {
            const { transitionDuration, animationName } = getComputedStyle(element);
            return transitionDuration !== '0s' || animationName !== 'none';
          }).length,
      );
      expect(moving).toBe(0);
      await looked.context.close();
    });
  });

  describe('of a run that goes on', () => {
    beforeAll(async () => {
      const [data, held] = [join(folder, 'data.jsonl'), join(folder, 'held.jsonl')];
      const endless = ['--max_steps', '100000', '--eval_steps', '5', '--guard', 'false'];
      const flags = [...quillFlags(data, held, join(folder, 'live')), ...endless];
      live = await serving(join(folder, 'cache'), 'view', 'train', ...flags);
    });

    test('follows the rounds by itself, and a reload loses none of them', async () => {
      const page = await witness.context.newPage();
      await goTo(page, live.links['link']!);
      await untilRound(page, 3);
      const before = Number(await figure(page, 'Round'));
      await untilRound(page, before + 3);
      await goTo(page, live.links['link']!, 'network');
      await page.reload();
      const sockets = page.locator('.legend span', { hasText: 'on the sockets' });
      await sockets.waitFor();
      const curve = page.getByRole('img', { name: 'Bytes of a round' });
      const ends = async () => /rounds (\d+) to (\d+)$/.exec((await curve.getAttribute('aria-label'))!)!.map(Number);
      expect((await ends())[1]).toBe(1);
      await expect.poll(async () => (await ends())[2], { timeout: 30_000 }).toBeGreaterThanOrEqual(before + 3);
      await page.close();
    });

    test('lists its peers with what they do, and the link to join by', async () => {
      const page = await witness.context.newPage();
      await goTo(page, live.links['link']!, 'peers');
      await page.locator('.state[data-state="measuring"], .state[data-state="ready"]').first().waitFor();
      await goTo(page, live.links['link']!, 'join');
      await page.getByText(`npx murmur join ${live.links['link']}`, { exact: true }).waitFor();
      await page.getByAltText('QR code of the join link').waitFor();
      await page.close();
    });

    test('one button makes the tab a peer, on threads; what it gives is in the journal, and it leaves', async () => {
      const page = await witness.context.newPage();
      await goTo(page, live.links['link']!, 'join');
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
      await page.getByLabel('Name').fill('a tab');
      await page.getByRole('button', { name: 'Take part' }).click();
      await page.getByRole('button', { name: 'Leave' }).waitFor();
      await expect.poll(async () => Number(await figure(page, 'Given')), { timeout: 60_000 }).toBeGreaterThan(0);
      await goTo(page, live.links['link']!, 'peers');
      await page.getByRole('row', { name: /a tab/ }).waitFor();
      await page.locator('nav a[href="#join"]').click();
      await page.getByRole('button', { name: 'Leave' }).click();
      await page.getByText(/^You left\. You gave [1-9]/).waitFor();
      await page.close();
    }, 120_000);

    test('those who may only look see the rounds, and no way to join', async () => {
      const page = await witness.context.newPage();
      await goTo(page, live.links['view']!);
      await untilRound(page, 1);
      await goTo(page, live.links['view']!, 'join');
      await page.getByText('This link is for looking.').waitFor();
      const code = new URL(live.links['link']!).pathname.split('/')[2]!;
      expect(await page.content()).not.toContain(code);
      await page.close();
    });

    test('a code that is none is told apart from a host that is gone', async () => {
      const looked = await witnessed(browser);
      const page = await looked.context.newPage();
      // The page itself comes from a good link; its routes are asked with another code.
      await page.route('**/join/other', async (route) => {
        await route.fulfill({ response: await route.fetch({ url: live.links['link']! }) });
      });
      await page.goto(`${new URL(live.links['link']!).origin}/join/other`);
      await page.getByText('No run is here under this code.').waitFor();
      await looked.context.close();
    });

    // These two are last: what was asked for, and by whom, is known when all is done.
    test('no request left the origin, and the browser had nothing to complain of', () => {
      const own = [over.links['page']!, live.links['link']!].map((link) => new URL(link).origin);
      expect([...witness.origins].sort()).toEqual(own.sort());
      expect(witness.complaints).toEqual([]);
    });

    test('when the host is killed the page says so, and keeps what it has verified', async () => {
      const page = await witness.context.newPage();
      await goTo(page, live.links['link']!);
      await untilRound(page, 1);
      await live.kill();
      await page.getByText('The host does not answer.').waitFor();
      expect(await page.locator('.chip').textContent()).toBe('disconnected');
      expect(Number(await figure(page, 'Round'))).toBeGreaterThan(0);
      expect(await figure(page, 'Held-out loss')).toMatch(/^\d/);
      await page.close();
    });
  });
});

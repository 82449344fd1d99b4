/** What the page weighs: a phone on a slow link opens it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

const FOLDER = 'dist/web';
const BUDGET = { page: 62_000, worker: 58_000 };

describe.skipIf(!existsSync(FOLDER))('the built page (npm run build makes it)', () => {
  const index = readFileSync(join(FOLDER, 'index.html'), 'utf8');
  const zipped = (path: string): number => gzipSync(readFileSync(join(FOLDER, path))).length;
  const worker = readdirSync(join(FOLDER, 'assets')).find((name) => /^journal-worker-.*\.js$/.test(name))!;

  test('weighs less than its budget, compressed, before anything is looked at', () => {
    const first = [...index.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path]) => path!);
    expect(first.length).toBeGreaterThanOrEqual(2);
    const bytes = first.reduce((sum, path) => sum + zipped(path), zipped('index.html'));
    expect(bytes).toBeLessThan(BUDGET.page);
    expect(zipped(join('assets', worker))).toBeLessThan(BUDGET.worker);
  });

  test('names no other origin, and has no script or style of its own inside', () => {
    expect(index).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(index).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=/);
  });

  test('everything it loads has its hash in its name', () => {
    for (const name of readdirSync(join(FOLDER, 'assets'))) expect(name).toMatch(/-[\w-]{8}\.\w+$/);
  });
});

/**
 * Builds the page into dist/web: an index and, under names that hold their hashes, what it loads. By vite's API: there is
 * nothing to configure elsewhere.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { browserConfig } from './build-browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const jsx = { runtime: 'automatic', importSource: 'preact' };

/** Names hold hashes: a file that the library for browsers has too is the same, and the runtime is large. */
function dropTwins() {
  const [library, page] = ['browser', 'web'].map((name) => join(root, 'dist', name, 'assets'));
  for (const name of readdirSync(page)) if (existsSync(join(library, name))) rmSync(join(page, name));
}

/** After the library for browsers. */
export async function buildWeb() {
  await build({
    ...browserConfig,
    root: join(root, 'src/web'),
    base: '/',
    oxc: { jsx },
    build: {
      outDir: join(root, 'dist/web'),
      emptyOutDir: true,
      target: 'es2022',
      // The policy of the page lets no data: address be loaded but images.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  });
  dropTwins();
}

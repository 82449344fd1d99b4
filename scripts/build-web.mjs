/**
 * Builds the page into dist/web: an index and, under names that hold their hashes, what it loads. By vite's API: there is
 * nothing to configure elsewhere.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { browserConfig } from './build-browser.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

const jsx = { runtime: 'automatic', importSource: 'preact' };

export const buildWeb = () =>
  build({
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

/**
 * Builds dist/browser: the door for browsers as one module, with its workers and the runtime's WebAssembly beside it. Every
 * file is found from where the module lies, so the folder may be served from anywhere.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, defaultClientConditions } from 'vite';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Names that change with their content, so that they may be kept for good. */
const names = { chunkFileNames: 'assets/[name]-[hash].js', assetFileNames: 'assets/[name]-[hash][extname]' };

/** How long a build took is not what it should say. */
const checks = { bundlerTimings: false };

/** What bundling Murmur for a browser takes: any other bundler must do as much. */
export const browserConfig = {
  configFile: false,
  root,
  base: './',
  publicDir: false,
  logLevel: 'warn',
  // The runtime's WebAssembly and the script of its threads are files of their own, which src/engine/web.ts names.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  worker: {
    format: 'es',
    rolldownOptions: { checks, output: { ...names, entryFileNames: names.chunkFileNames } },
  },
};

/** @param entries name → file. @param outDir is emptied. */
export const buildBrowser = (
  entries = { browser: join(root, 'src/browser.ts') },
  outDir = join(root, 'dist/browser'),
) =>
  build({
    ...browserConfig,
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: {
        checks,
        input: entries,
        preserveEntrySignatures: 'strict',
        output: { ...names, entryFileNames: '[name].js' },
      },
    },
  });

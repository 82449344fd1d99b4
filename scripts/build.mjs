/**
 * Builds dist/: the AssemblyScript kernels to WebAssembly, kept as text in a module so that numbers need no file to
 * load (Node, browser and tests alike), then TypeScript to JavaScript, then the page. All compilers come with `npm install`.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildBrowser } from './build-browser.mjs';
import { buildWeb } from './build-web.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const bin = (name, entry) => join(dirname(require.resolve(`${name}/package.json`)), entry);
const run = (file, args) => execFileSync(process.execPath, [file, ...args], { cwd: root, stdio: 'inherit' });

const source = join(root, 'src/numeric/wasm/assembly/kernels.ts');
if (existsSync(source)) {
  const wasm = join(root, 'build/kernels.wasm');
  mkdirSync(dirname(wasm), { recursive: true });
  run(bin('assemblyscript', 'bin/asc.js'), [
    source,
    ...['--outFile', wasm, '-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd'],
    ...['--importMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--use', 'abort='],
  ]);
  const text = `/** Made by scripts/build.mjs from assembly/kernels.ts. */\nexport const KERNELS_BASE64: string =\n  '${readFileSync(wasm).toString('base64')}';\n`;
  const module = join(root, 'src/numeric/wasm/binary.ts');
  if (!existsSync(module) || readFileSync(module, 'utf8') !== text) writeFileSync(module, text);
}
run(bin('typescript', 'bin/tsc'), [
  '-p',
  'tsconfig.json',
  '--incremental',
  '--tsBuildInfoFile',
  'build/tsc.tsbuildinfo',
]);
await buildBrowser();
await buildWeb();

/** What a page loads: nothing of Node, and no more than this. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';

const FOLDER = 'dist/browser';
const BUILT = existsSync(FOLDER);

const files = BUILT
  ? readdirSync(FOLDER, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'))
  : [];
const named = (pattern: RegExp): string => {
  const found = files.filter((path) => pattern.test(path));
  expect(found, String(pattern)).toHaveLength(1);
  return join(FOLDER, found[0]!);
};

/** Bytes at most, compressed as a server would; of the runtime's WebAssembly, as it is. A fifth above what it is today. */
const BUDGET: readonly (readonly [RegExp, number])[] = [
  [/^browser\.js$/, 3_200],
  [/nats-way-.*\.js$/, 75_000],
  [/peer-worker-.*\.js$/, 116_000],
  [/replica-worker-.*\.js$/, 265_000],
  [/ort\.wasm\.min-.*\.js$/, 18_500],
  [/ort\.webgpu\.min-.*\.js$/, 23_700],
];
const RUNTIMES: readonly (readonly [RegExp, number])[] = [
  [/ort-wasm-simd-threaded-.*\.wasm$/, 15e6],
  [/ort-wasm-simd-threaded\.asyncify-.*\.wasm$/, 28e6],
];

describe.skipIf(!BUILT)('dist/browser (npm run build makes it)', () => {
  test.each(BUDGET)('%s is at most %i bytes compressed', (pattern, most) => {
    expect(gzipSync(readFileSync(named(pattern))).length).toBeLessThanOrEqual(most);
  });

  test.each(RUNTIMES)('%s is at most %i bytes, and comes as a file of its own', (pattern, most) => {
    expect(statSync(named(pattern)).size).toBeLessThanOrEqual(most);
  });

  test('asks for nothing of Node', () => {
    const builtins = builtinModules.map((name) => name.replaceAll('/', '\\/')).join('|');
    const asking = new RegExp(`(from|import|require\\()\\s*["'\`](node:[a-z/_]+|${builtins})["'\`]`, 'g');
    // The scripts of the runtime's threads run in Node too, and look where they are before they ask.
    const own = files.filter((path) => path.endsWith('.js'));
    expect(own.length).toBeGreaterThan(3);
    for (const path of own)
      expect([path, readFileSync(join(FOLDER, path), 'utf8').match(asking)]).toEqual([path, null]);
  });

  test('the door has what the package promises', () => {
    const { exports } = JSON.parse(readFileSync('package.json', 'utf8'));
    for (const path of Object.values(exports['./browser'])) expect(existsSync(String(path)), String(path)).toBe(true);
    expect(readFileSync(named(/^browser\.js$/), 'utf8')).toMatch(/export\s*\{[^}]*as join\b/);
  });
});

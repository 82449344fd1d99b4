/** What a browser computes with: kernels to the bit, engines by the acceptance suite of their port. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildBrowser } from '../../scripts/build-browser.mjs';
import type { Backend } from '../../src/engine/backend.ts';
import { Fault, type FaultCode } from '../../src/faults.ts';
import type { Graph } from '../../src/nouns.ts';
import { KNOWN } from '../../src/peer/known-answer.ts';
import type { Engine, TypedArray } from '../../src/ports.ts';
import { engineSuite } from '../suites/engine.ts';
import { BROWSER, launch, without } from './chromium.ts';
import type { Crossed, device } from './device-page.ts';
import { type Origin, serveOrigin } from './origin.ts';

type Device = typeof device;
type Remote = <K extends keyof Device>(
  name: K,
  ...args: Parameters<Device[K]>
) => Promise<Awaited<ReturnType<Device[K]>>>;

/** How an error crosses: by what it says it is. */
function revived(text: string): Error {
  const [, name = '', code = '', detail = ''] =
    /(Fault|RangeError|TypeError): (?:([A-Z_]+): )?([^\n]*)/.exec(text) ?? [];
  if (name === 'Fault') return new Fault(code as FaultCode, detail);
  return name === 'TypeError' ? new TypeError(detail) : new RangeError(detail);
}

const crossed = (arrays: Readonly<Record<string, TypedArray>>): Record<string, Crossed> =>
  Object.fromEntries(
    Object.entries(arrays).map(([name, array]) => [
      name,
      {
        type: array.constructor.name as Crossed['type'],
        data: [...array],
        shared: array.buffer.constructor.name === 'SharedArrayBuffer',
      },
    ]),
  );

/** The engine of a page, from outside of it. */
const engineOf = (backend: Backend, remote: Remote): Engine => ({
  name: `onnxruntime-web, ${backend}`,
  async compile(graph: Graph) {
    const id = await remote('compile', backend, graph);
    return {
      async run(feeds, outputs) {
        const got = await remote('run', id, crossed(feeds), crossed(outputs));
        for (const [name, data] of Object.entries(got)) outputs[name]!.set(data);
      },
      release: async () => void (await remote('release', id)),
    };
  },
});

const BACKENDS: readonly (readonly [Backend, what: string])[] = [
  ['wasm', 'WebAssembly'],
  ['webgpu', 'WebGPU in software'],
];

describe.skipIf(!BROWSER)(`a browser${without}`, () => {
  let folder: string;
  let origin: Origin;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'murmur-page-'));
    await buildBrowser({ device: resolve('test/browser/device-page.ts') }, folder);
    origin = await serveOrigin({ folders: { device: folder }, module: '/device/device.js' });
  });
  afterAll(async () => {
    await origin.close();
    rmSync(folder, { recursive: true });
  });

  describe.each(BACKENDS)('%s: %s', (backend) => {
    let browser: Browser;
    let page: Page;
    const remote: Remote = async (name, ...args) => {
      try {
        return await page.evaluate(
          ([own, given]) =>
            (globalThis as unknown as { device: Record<string, (...all: unknown[]) => never> }).device[own]!(...given),
          [name, args] as const,
        );
      } catch (error) {
        throw revived(String(error));
      }
    };
    beforeAll(async () => {
      browser = await launch(backend === 'webgpu');
      page = await browser.newPage();
      await page.goto(origin.url);
    });
    afterAll(() => browser.close());

    test('kernels equal the definition bit for bit', async () => {
      const runs = backend === 'wasm' ? 60 : 25;
      expect(await remote('compare', backend, runs)).toEqual({ asked: 5 * runs, wrong: [] });
    });

    test('the known answers', async () => {
      const { bits, loss, slopes } = await remote('answers', backend);
      expect(bits).toBe(KNOWN.bits);
      expect(loss).toBeCloseTo(KNOWN.loss, 4);
      for (const [i, slope] of slopes.entries()) expect(slope).toBeCloseTo(KNOWN.slopes[i]!, 2);
    });

    test('says what it computes on', async () => {
      const { name, adapter, threads } = await remote('about', backend);
      expect({ name, threads }).toEqual({ name: `onnxruntime-web, ${backend}, 2 threads`, threads: 2 });
      expect(adapter).toMatch(backend === 'wasm' ? /^none$/ : /swiftshader/i);
    });

    engineSuite(engineOf(backend, remote));
  });
});

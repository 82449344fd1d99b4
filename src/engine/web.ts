/**
 * The `Engine` of browsers: ONNX Runtime as WebAssembly, on threads where the page is isolated from other origins, or on
 * a GPU through WebGPU.
 *
 * Its memory is its own: feeds are copied into it, and outputs out of it. A run on WebAssembly blocks the thread that
 * calls it, so whoever must stay responsive runs this in a worker. With WebGPU every feed goes to the device at every run,
 * weights too: right, and not yet fast.
 *
 * @module
 */
import type * as Ort from 'onnxruntime-web';
import { Fault } from '../faults.ts';
import { checkArrays } from '../graph/arrays.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { Graph } from '../nouns.ts';
import type { Engine, TypedArray } from '../ports.ts';
import type { Backend } from './backend.ts';
import { checkIndices, indexingOf } from './indices.ts';

export interface WebEngineOptions {
  readonly backend: Backend;
  /** Used by one run; 1 where the page is not isolated. The bits of a result may depend on it. */
  readonly threads: number;
}

export interface WebEngine extends Engine {
  /** In words: what the browser says of its GPU, or that there is none. */
  readonly adapter: string;
  /** Threads that it came to. */
  readonly threads: number;
}

/** The runtime and the files that it loads by itself: WebAssembly, and the script that starts its threads. */
interface Runtime {
  readonly load: () => Promise<typeof Ort>;
  readonly script: URL;
  readonly wasm: URL;
}

const RUNTIMES: Readonly<Record<Backend, Runtime>> = {
  wasm: {
    load: () => import('onnxruntime-web/wasm'),
    script: new URL('onnxruntime-web/ort-wasm-simd-threaded.mjs', import.meta.url),
    wasm: new URL('onnxruntime-web/ort-wasm-simd-threaded.wasm', import.meta.url),
  },
  webgpu: {
    load: () => import('onnxruntime-web/webgpu'),
    script: new URL('onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs', import.meta.url),
    wasm: new URL('onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm', import.meta.url),
  },
};

const TYPE = { f32: 'float32', i32: 'int32', i8: 'int8', u8: 'uint8' } as const;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** How runtimes and browsers say that there is no more memory. */
const NO_MEMORY = /bad_alloc|out of memory|\bOOM\b|allocat|memory access out of bounds/i;

/** Runs a step of the runtime. @throws {Fault} TOO_LARGE, ENGINE_FAILED naming the program */
async function attempt<T>(what: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    const message = messageOf(cause);
    if (NO_MEMORY.test(message))
      throw new Fault('TOO_LARGE', `${what}: the tab is out of memory; close others, or join from Node`, { cause });
    throw new Fault('ENGINE_FAILED', `${what}: ${message}`, { cause });
  }
}

const nameOf = ({ info }: GPUAdapter): string =>
  [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ') || 'unnamed GPU';

/**
 * One in a thread: the runtime is loaded once, with one number of threads.
 * @param gpu the adapter to compute on, with backend `webgpu`.
 * @throws {Fault} ENGINE_FAILED where it cannot be loaded
 */
export async function webEngine({ backend, threads }: WebEngineOptions, gpu?: GPUAdapter): Promise<WebEngine> {
  if (!Number.isInteger(threads) || threads < 1)
    throw new RangeError(`"threads" expected a positive whole number, got ${threads}`);
  if (backend === 'webgpu' && gpu === undefined) throw new RangeError('"gpu" expected an adapter, got none');
  const { load, script, wasm } = RUNTIMES[backend];
  const ort = await attempt('the runtime did not load', load);
  // Threads share memory, which a page has only when it is isolated.
  const own = globalThis.crossOriginIsolated ? threads : 1;
  ort.env.wasm.numThreads = own;
  ort.env.wasm.wasmPaths = { mjs: script.href, wasm: wasm.href };
  ort.env.logLevel = 'fatal'; // what it would log it also throws, and then it is a Fault
  if (gpu !== undefined) ort.env.webgpu.adapter = gpu;
  /** Why the device is of no use any more. */
  let lost: Fault | undefined;
  let watched: GPUDevice | undefined;

  /** The runtime asks for a device when it compiles its first program, and gives it back with its last. */
  async function watch(): Promise<void> {
    if (gpu === undefined) return;
    const device = (await ort.env.webgpu.device) as GPUDevice;
    if (device === watched) return;
    watched = device;
    void device.lost.then(({ reason, message }) => {
      if (reason === 'destroyed') return;
      lost = new Fault('ENGINE_FAILED', `the browser took the GPU away (${message || 'no reason given'})`);
    });
  }

  const options: Ort.InferenceSession.SessionOptions = {
    executionProviders: [backend],
    executionMode: 'sequential',
    enableMemPattern: false,
    logSeverityLevel: 4,
  };

  /** Feeds as tensors of the runtime, which copies them. */
  function bind({ inputs }: Graph, arrays: Readonly<Record<string, TypedArray>>): Record<string, Ort.Tensor> {
    return Object.fromEntries(
      inputs.map(({ name, dtype, shape }) => [name, new ort.Tensor(TYPE[dtype], arrays[name]!, shape)]),
    );
  }

  return {
    name: `onnxruntime-web, ${backend}, ${own} ${own === 1 ? 'thread' : 'threads'}`,
    adapter: gpu === undefined ? 'none' : nameOf(gpu),
    threads: own,
    async compile(graph) {
      const [session, indexing] = await attempt(`program "${graph.name}" did not compile`, async () => [
        await ort.InferenceSession.create(toOnnx(graph), options),
        indexingOf(graph, backend === 'webgpu' ? [] : ['gather', 'pick']),
      ]);
      await watch();
      return {
        async run(feeds, outputs) {
          checkArrays(graph, feeds, outputs);
          await attempt(`program "${graph.name}" did not run`, async () => {
            if (lost) throw lost;
            checkIndices(indexing, feeds);
            const results = await session.run(bind(graph, feeds));
            for (const { name } of graph.outputs) outputs[name]!.set(results[name]!.data as TypedArray);
          });
        },
        release: () => session.release(),
      };
    },
  };
}

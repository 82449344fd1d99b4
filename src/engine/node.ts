/**
 * The `Engine` of Node: ONNX Runtime on CPU threads, or on a GPU through its WebGPU provider.
 *
 * A run blocks the calling JavaScript thread until its last node is done (the binding is synchronous behind a promise),
 * so whoever must stay responsive runs this in a worker.
 *
 * With WebGPU every feed is copied to the device at every run, weights too: right, and not yet fast.
 *
 * @module
 */
import './node-telemetry.ts';
import * as ort from 'onnxruntime-node';
import { Fault } from '../faults.ts';
import { checkArrays } from '../graph/arrays.ts';
import { toOnnx } from '../graph/onnx.ts';
import type { Value } from '../nouns.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { checkIndices, indexingOf } from './indices.ts';

export interface NodeEngineOptions {
  /** Used by one run. The bits of a result may depend on it, as they do on the processor. */
  readonly threads: number;
  /** `webgpu`: the default adapter, by Vulkan, Metal or Direct3D. Programs fail to compile where there is none. */
  readonly device?: 'cpu' | 'webgpu';
}

const options = ({ threads, device = 'cpu' }: NodeEngineOptions): ort.InferenceSession.SessionOptions => ({
  executionProviders: [device],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  // With a pattern, a session's second run takes one block for everything and keeps the pieces of its first run as well:
  // twice the working set, for nothing that could be measured.
  enableMemPattern: false,
  logSeverityLevel: 4, // what it would log at 3 it also throws, and then it is a Fault
  // Every session has its own threads, which by default spin after a run and starve the next session's: alternating
  // programs then run ten times slower.
  extra: { session: { force_spinning_stop: '1' } },
});

const TYPE = { f32: 'float32', i32: 'int32', i8: 'int8', u8: 'uint8' } as const;

/** Tensors over the arrays themselves: nothing is copied. */
function bind(values: readonly Value[], arrays: Readonly<Record<string, TypedArray>>): Record<string, ort.Tensor> {
  const tensors: Record<string, ort.Tensor> = {};
  for (const { name, dtype, shape } of values) tensors[name] = new ort.Tensor(TYPE[dtype], arrays[name]!, shape);
  return tensors;
}

/** Runs a step of the runtime. @throws {Fault} ENGINE_FAILED naming the program */
async function attempt<T>(what: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    throw new Fault('ENGINE_FAILED', `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * ONNX Runtime. Feeds and outputs are read and written where they lie (views of a WebAssembly memory
 * included), so an output must not overlap a feed of the same run.
 */
export function nodeEngine(given: NodeEngineOptions): Engine {
  const { threads, device = 'cpu' } = given;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RangeError(`"threads" expected a positive whole number, got ${threads}`);
  }
  return {
    name: `onnxruntime-node, ${device}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
    async compile(graph) {
      const [session, indexing] = await attempt(`program "${graph.name}" did not compile`, async () => [
        await ort.InferenceSession.create(toOnnx(graph), options(given)),
        indexingOf(graph, device === 'webgpu' ? [] : ['gather', 'pick']),
      ]);
      return {
        async run(feeds, outputs) {
          checkArrays(graph, feeds, outputs);
          await attempt(`program "${graph.name}" did not run`, async () => {
            checkIndices(indexing, feeds);
            await session.run(bind(graph.inputs, feeds), bind(graph.outputs, outputs));
          });
        },
        release: () => session.release(),
      };
    },
  };
}

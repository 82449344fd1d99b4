/**
 * What the tests of devices run inside a browser: kernels against the definition, and an engine that is called from
 * outside. Bundled for the page as Murmur is.
 */
import fc from 'fast-check';
import type { Backend } from '../../src/engine/backend.ts';
import { webEngine } from '../../src/engine/web.ts';
import type { DirectionKey, DirectionKind, Graph } from '../../src/nouns.ts';
import type { DeviceKernels } from '../../src/numeric/device-kernels.ts';
import type { Kernels, TensorNoise, Term } from '../../src/numeric/kernels.ts';
import { elements } from '../../src/numeric/noise.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmBytes, wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { webgpuKernels } from '../../src/numeric/webgpu/webgpu.ts';
import { answersOf } from '../../src/peer/known-answer.ts';
import type { Program, TypedArray } from '../../src/ports.ts';
import { coefficient, integers, key, kind, rank, tensor, tensorId, u32 } from '../numeric/arbitrary.ts';

/** The kernels of all implementations as functions from bits to bits. */
interface Bits {
  apply(q: Int32Array, t: TensorNoise, k: DirectionKind, r: number, terms: readonly Term[]): Promise<Int32Array>;
  materialise(q: Int32Array, exponent: number): Promise<Int32Array>;
  pair(
    q: Int32Array,
    exponent: number,
    t: TensorNoise,
    k: DirectionKind,
    r: number,
    key: DirectionKey,
  ): Promise<Int32Array>;
  factorAt(id: number, key: DirectionKey, at: Int32Array): Promise<Int32Array>;
  checksum(q: Int32Array, key: number, offset: number): Promise<Int32Array>;
}

const DELTA = 1e-3;
const asBits = (x: Float32Array): Int32Array => new Int32Array(x.slice().buffer);
const sumBits = ({ low, high, peak }: ReturnType<Kernels['checksum']>): Int32Array => Int32Array.of(low, high, peak);

function inThread(make: (length: number) => Promise<Kernels>): Bits {
  async function on(q: Int32Array): Promise<readonly [Kernels, Int32Array]> {
    const kernels = await make(q.length);
    const own = kernels.i32(q.length);
    own.set(q);
    return [kernels, own];
  }
  return {
    async apply(q, t, k, r, terms) {
      const [kernels, own] = await on(q);
      kernels.apply(own, t, k, r, terms);
      return own;
    },
    async materialise(q, exponent) {
      const [kernels, own] = await on(q);
      const out = kernels.f32(q.length);
      kernels.materialise(own, exponent, out);
      return asBits(out);
    },
    async pair(q, exponent, t, k, r, of) {
      const [kernels, own] = await on(q);
      const [plus, minus] = [kernels.f32(q.length), kernels.f32(q.length)];
      kernels.materialisePair(own, exponent, t, k, r, of, DELTA, 0, plus, minus);
      return Int32Array.of(...asBits(plus), ...asBits(minus));
    },
    async factorAt(id, of, at) {
      const [kernels, own] = await on(at);
      const out = kernels.f32(at.length);
      kernels.factorAt(1, 0, id, of, DELTA, own, out);
      return asBits(out);
    },
    async checksum(q, sumKey, offset) {
      const [kernels, own] = await on(q);
      return sumBits(kernels.checksum(own, sumKey, offset));
    },
  };
}

function onDevice(gpu: DeviceKernels<GPUBuffer>): Bits {
  const buffer = (data: Int32Array): GPUBuffer => {
    const made = gpu.buffer(data.length);
    gpu.write(made, data);
    return made;
  };
  return {
    async apply(q, t, k, r, terms) {
      const own = buffer(q);
      await gpu.apply(own, t, k, r, terms);
      return gpu.read(own);
    },
    async materialise(q, exponent) {
      const out = gpu.buffer(q.length);
      await gpu.materialise(buffer(q), exponent, out);
      return gpu.read(out);
    },
    async pair(q, exponent, t, k, r, of) {
      const [plus, minus] = [gpu.buffer(q.length), gpu.buffer(q.length)];
      await gpu.materialisePair(buffer(q), exponent, t, k, r, of, DELTA, plus, minus);
      return Int32Array.of(...(await gpu.read(plus)), ...(await gpu.read(minus)));
    },
    async factorAt(id, of, at) {
      const out = gpu.buffer(at.length);
      await gpu.factorAt(1, 0, id, of, DELTA, buffer(at), out);
      return gpu.read(out);
    },
    checksum: async (q, sumKey, offset) => sumBits(await gpu.checksum(buffer(q), sumKey, offset)),
  };
}

const IMPLEMENTATIONS: Readonly<Record<Backend, () => Promise<Bits>>> = {
  wasm: async () => inThread((length) => wasmKernels({ bytes: wasmBytes([length, length, length]) })),
  webgpu: async () => onDevice(webgpuKernels(await (await navigator.gpu.requestAdapter())!.requestDevice())),
};

/** One call of a kernel, on any implementation. */
type Question = (on: Bits) => Promise<Int32Array>;

const exponent = fc.integer({ min: -27, max: 60 });
const terms = fc.array(fc.record({ key, c: coefficient }), { minLength: 1, maxLength: 40 });
const QUESTIONS: Readonly<Record<keyof Bits, fc.Arbitrary<Question>>> = {
  apply: fc.tuple(tensor, kind, rank, terms, u32).map(
    ([t, k, r, some, seed]) =>
      (on) =>
        on.apply(integers(elements(t), seed), t, k, r, some),
  ),
  materialise: fc.tuple(fc.integer({ min: 1, max: 2000 }), u32, exponent).map(
    ([n, seed, e]) =>
      (on) =>
        on.materialise(integers(n, seed), e),
  ),
  pair: fc.tuple(tensor, kind, rank, key, u32, exponent).map(
    ([t, k, r, of, seed, e]) =>
      (on) =>
        on.pair(integers(elements(t), seed), e, t, k, r, of),
  ),
  factorAt: fc.tuple(tensorId, key, fc.array(fc.nat(2999), { minLength: 1, maxLength: 300 })).map(
    ([id, of, at]) =>
      (on) =>
        on.factorAt(id, of, Int32Array.from(at)),
  ),
  checksum: fc.tuple(fc.integer({ min: 1, max: 3000 }), u32, u32, fc.nat(2 ** 40)).map(
    ([n, seed, sumKey, from]) =>
      (on) =>
        on.checksum(integers(n, seed), sumKey, from),
  ),
};

/** @returns how often each kernel was asked, and which answers were not those of the definition. */
async function compare(backend: Backend, runs: number): Promise<{ asked: number; wrong: string[] }> {
  const made = await IMPLEMENTATIONS[backend]();
  const definition = inThread(async () => referenceKernels());
  const wrong: string[] = [];
  let asked = 0;
  for (const [name, questions] of Object.entries(QUESTIONS))
    for (const [i, question] of fc.sample(questions, { numRuns: runs, seed: 5 }).entries()) {
      const [got, expected] = [await question(made), await question(definition)];
      asked++;
      const at = expected.findIndex((bits, n) => bits !== got[n]);
      if (at >= 0 || got.length !== expected.length) wrong.push(`${name} ${i}: element ${at}`);
    }
  return { asked, wrong };
}

/** Arrays as they cross between a page and its test. */
export interface Crossed {
  readonly type: 'Float32Array' | 'Int32Array' | 'Int8Array' | 'Uint8Array';
  readonly data: readonly number[];
  readonly shared: boolean;
}
const ARRAYS = { Float32Array, Int32Array, Int8Array, Uint8Array };

function arrived({ type, data, shared }: Crossed): TypedArray {
  const array = ARRAYS[type].from(data);
  if (!shared) return array;
  const own = new ARRAYS[type](new SharedArrayBuffer(array.byteLength) as unknown as ArrayBuffer);
  own.set(array);
  return own;
}

const arrivedAll = (arrays: Readonly<Record<string, Crossed>>): Record<string, TypedArray> =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, arrived(array)]));

const engines = new Map<Backend, ReturnType<typeof webEngine>>();
const programs: Program[] = [];

function engineOn(backend: Backend): ReturnType<typeof webEngine> {
  const known = engines.get(backend);
  if (known) return known;
  const made = (async () => {
    const adapter = backend === 'webgpu' ? await navigator.gpu.requestAdapter() : undefined;
    return webEngine({ backend, threads: 2 }, adapter ?? undefined);
  })();
  engines.set(backend, made);
  return made;
}

export const device = {
  compare,
  answers: async (backend: Backend) => answersOf(await engineOn(backend)),
  about: async (backend: Backend) => {
    const { name, adapter, threads } = await engineOn(backend);
    return { name, adapter, threads };
  },
  compile: async (backend: Backend, graph: Graph) => programs.push(await (await engineOn(backend)).compile(graph)) - 1,
  async run(
    id: number,
    feeds: Readonly<Record<string, Crossed>>,
    outputs: Readonly<Record<string, Crossed>>,
  ): Promise<Record<string, number[]>> {
    const into = arrivedAll(outputs);
    await programs[id]!.run(arrivedAll(feeds), into);
    return Object.fromEntries(Object.entries(into).map(([name, array]) => [name, [...array]]));
  },
  release: (id: number) => programs[id]!.release(),
};

/**
 * The kernels on a GPU, through WebGPU: a browser's, or Dawn's in Node. Shaders are compiled at their first use.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { DirectionKind } from '../../nouns.ts';
import type { DeviceKernels } from '../device-kernels.ts';
import type { TensorNoise, Term } from '../kernels.ts';
import { checkTensor, columnRound, elements, isLowRank, lane, MAX_RANK } from '../noise.ts';
import * as elementwise from './elementwise.ts';
import { ENTRY_WORDS, THREADS } from './noise.ts';
import { type Draw, type End, PARAMS, sumShader, tilesOf } from './sum.ts';

// GPUBufferUsage and GPUMapMode of the specification: browsers have them as globals, Node has not.
const [MAP_READ, COPY_SRC, COPY_DST, UNIFORM, STORAGE] = [0x1, 0x4, 0x8, 0x40, 0x80];
const READ = 1;

/** What one call adds to a sum: a direction, or one outer product of it. */
interface Component extends Term {
  readonly component: number;
}

/** The terms as a low-rank or a dense tensor sees them, for `Entry` of the shaders. */
function entriesOf(components: readonly Component[], id: number): Int32Array {
  const words = new Int32Array(Math.max(1, components.length) * ENTRY_WORDS); // no binding may be empty
  for (const [i, { key, component, c }] of components.entries())
    words.set([key.round, key.run, key.sample, key.slot, lane(0, component, id), c, columnRound(key)], i * ENTRY_WORDS);
  return words;
}

const drawOf = (kind: DirectionKind, tensor: TensorNoise): Draw =>
  isLowRank(kind, tensor) ? 'lowrank' : kind === 'binomial' ? 'binomial' : 'signs';

const f32Bits = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0]!;

/** Values in the order of a list of names; what is not given is 0. */
const packed = <N extends string>(names: readonly N[], values: Readonly<Partial<Record<N, number>>>): Int32Array =>
  Int32Array.from(names, (name) => (values[name] ?? 0) | 0);

/** @param device whose limits say how large a tensor may be; it is not destroyed here. */
export function webgpuKernels(device: GPUDevice): DeviceKernels<GPUBuffer> {
  const pipelines = new Map<string, GPUComputePipeline>();
  const pipelineOf = (code: string): GPUComputePipeline => {
    const known = pipelines.get(code);
    if (known) return known;
    const made = device.createComputePipeline({
      layout: 'auto',
      compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
    });
    pipelines.set(code, made);
    return made;
  };

  const lengthOf = (buffer: GPUBuffer): number => buffer.size / 4;
  const { maxComputeWorkgroupsPerDimension: widest, maxStorageBufferBindingSize, maxBufferSize } = device.limits;

  function filled(data: Int32Array | Float32Array, usage: number): GPUBuffer {
    const made = device.createBuffer({ size: data.byteLength, usage, mappedAtCreation: true });
    new Int32Array(made.getMappedRange()).set(new Int32Array(data.buffer, data.byteOffset, data.length));
    made.unmap();
    return made;
  }

  /** Runs steps of which the device may complain later. @throws {Fault} ENGINE_FAILED */
  async function accepted(what: string, steps: () => void): Promise<void> {
    device.pushErrorScope('out-of-memory');
    device.pushErrorScope('validation');
    steps();
    const errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]);
    const wrong = errors.find((error) => error !== null);
    if (wrong) throw new Fault('ENGINE_FAILED', `kernel "${what}": ${wrong.message}`);
  }

  /**
   * @param given bound from 0 on: data is put into buffers of this call's own, the first (parameters) as a uniform.
   * @param groups workgroups; they are numbered through over two dimensions, as one may not have them all.
   */
  const dispatch = (
    what: string,
    code: string,
    given: readonly (GPUBuffer | Int32Array | Float32Array)[],
    groups: number,
  ) =>
    accepted(what, () => {
      if (groups === 0) return;
      const pipeline = pipelineOf(code);
      const own: GPUBuffer[] = [];
      const entries = given.map((resource, binding) => {
        if (!ArrayBuffer.isView(resource)) return { binding, resource: { buffer: resource } };
        own.push(filled(resource, binding === 0 ? UNIFORM : STORAGE));
        return { binding, resource: { buffer: own.at(-1)! } };
      });
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
      pass.dispatchWorkgroups(Math.min(groups, widest), Math.ceil(groups / widest));
      pass.end();
      device.queue.submit([encoder.finish()]);
      for (const buffer of own) buffer.destroy(); // the device keeps them until it is done
    });

  /** Σ c·z, and what becomes of it. @param rest bindings of `end` after q. */
  function sum(
    end: End,
    q: GPUBuffer,
    tensor: TensorNoise,
    kind: DirectionKind,
    rank: number,
    terms: readonly Term[],
    exponent: number,
    rest: readonly (GPUBuffer | Float32Array)[],
  ): Promise<void> {
    if (tensor.moved)
      throw new RangeError('"tensor.moved" expected none, got a mask, of which the shaders know nothing');
    const n = elements(tensor);
    const draw = drawOf(kind, tensor);
    const [rows = 1, columns = 1] = tensor.shape;
    const outer = draw === 'lowrank' ? rank : 1;
    const components = terms.flatMap((term) =>
      Array.from({ length: outer }, (_, component) => ({ ...term, component })),
    );
    const params = packed(PARAMS, { n, rows, columns, count: components.length, exponent });
    const bound = [params, entriesOf(components, tensor.id), q, ...rest];
    return dispatch(`${end} ${draw}`, sumShader(draw, end), bound, tilesOf(draw, n, rows, columns));
  }

  /** A kernel of elementwise.ts over the elements of a buffer. */
  const each = (
    what: string,
    code: string,
    n: number,
    params: Readonly<Partial<Record<(typeof elementwise.PARAMS)[number], number>>>,
    rest: readonly (GPUBuffer | Int32Array)[],
  ): Promise<void> =>
    dispatch(what, code, [packed(elementwise.PARAMS, { n, ...params }), ...rest], Math.ceil(n / THREADS));

  const kernels: DeviceKernels<GPUBuffer> = {
    name: 'webgpu',

    buffer(length) {
      const size = length * 4;
      if (size > maxStorageBufferBindingSize || size > maxBufferSize)
        throw new Fault('TOO_LARGE', `a tensor of ${length} elements is more than the GPU takes; use a smaller model`);
      return device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    },
    write: (buffer, { buffer: bytes, byteOffset, byteLength }) =>
      device.queue.writeBuffer(buffer, 0, bytes as ArrayBuffer, byteOffset, byteLength),
    async read(buffer) {
      const copy = device.createBuffer({ size: buffer.size, usage: MAP_READ | COPY_DST });
      await accepted('read', () => {
        const encoder = device.createCommandEncoder();
        encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
        device.queue.submit([encoder.finish()]);
      });
      await copy.mapAsync(READ);
      const data = new Int32Array(copy.getMappedRange().slice(0));
      copy.destroy();
      return data;
    },

    materialise: (q, exponent, out) =>
      each('materialise', elementwise.MATERIALISE, lengthOf(q), { exponent }, [q, out]),

    async materialisePair(q, exponent, tensor, kind, rank, key, delta, plus, minus) {
      checkTensor(lengthOf(q), tensor, rank);
      const step = Math.fround(delta);
      const steps = Float32Array.from({ length: MAX_RANK + 1 }, (_, z) => step * z);
      await sum('pair', q, tensor, kind, rank, [{ key, c: 1 }], exponent, [steps, plus, minus]);
    },

    factor: (stream, component, tensorId, key, value, out) =>
      each('factor', elementwise.FACTOR, lengthOf(out), { stream, bits: f32Bits(value) }, [
        entriesOf([{ key, component, c: 0 }], tensorId),
        out,
      ]),

    factorAt: (stream, component, tensorId, key, value, index, out) =>
      each('factorAt', elementwise.FACTOR_AT, lengthOf(out), { stream, bits: f32Bits(value) }, [
        entriesOf([{ key, component, c: 0 }], tensorId),
        out,
        index,
      ]),

    async apply(q, tensor, kind, rank, terms) {
      checkTensor(lengthOf(q), tensor, rank);
      await sum('apply', q, tensor, kind, rank, terms, 0, []);
    },

    async checksum(q, key, offset) {
      const sums = kernels.buffer(3);
      await each('checksum', elementwise.CHECKSUM, lengthOf(q), { key, offset: offset >>> 0 }, [q, sums]);
      const [low, high, peak] = new Uint32Array((await kernels.read(sums)).buffer);
      sums.destroy();
      return { low: low!, high: high!, peak: peak! };
    },
  };
  return kernels;
}

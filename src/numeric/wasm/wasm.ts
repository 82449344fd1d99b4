/**
 * The kernels as WebAssembly SIMD, in Node and browsers alike. All arrays lie in one memory, which is sized once and
 * never grows: growing would detach every view that is out.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import type { DirectionKey } from '../../nouns.ts';
import { BYTE_LEVELS, checkRows, powerOfTwo } from '../fixed.ts';
import type { Kernels, Term } from '../kernels.ts';
import { BLOCK, checkMoved, checkPart, checkTensor, columnRound, factorLength, isLowRank, lane } from '../noise.ts';
import { KERNELS_BASE64 } from './binary.ts';

/** Exports of assembly/kernels.ts. Addresses and lengths are u32, lengths in elements unless named otherwise. */
interface Exports {
  readonly TABLE: WebAssembly.Global;
  readonly TABLE_ENTRIES: WebAssembly.Global;
  readonly SCRATCH_END: WebAssembly.Global;
  readonly MASK: WebAssembly.Global;
  readonly MASK_GROUPS: WebAssembly.Global;
  readonly MOMENTS: WebAssembly.Global;
  readonly MOMENTS_LENGTH: WebAssembly.Global;
  materialise(q: number, n: number, scale: number, out: number): void;
  quantiseRows(q: number, rows: number, columns: number, step: number, out: number, scale: number): void;
  pairDense(
    q: number,
    first: number,
    n: number,
    scale: number,
    delta: number,
    binomial: boolean,
    id: number,
    mask: number,
    plus: number,
    minus: number,
  ): void;
  pairGiven(q: number, n: number, scale: number, delta: number, plus: number, minus: number): void;
  factors(
    lane: number,
    count: number,
    rank: number,
    plus: number,
    minus: number,
    block: number,
    n: number,
    out: number,
  ): void;
  factorAt(lane: number, value: number, index: number, n: number, out: number): void;
  applyDense(q: number, n: number, count: number, binomial: boolean, id: number, group: number, mask: number): void;
  applyLowRank(q: number, top: number, rows: number, columns: number, count: number, id: number): void;
  roundingWords(count: number, id: number): void;
  checksum(q: number, n: number, key: number, offset: number): void;
  peak(q: number, n: number): number;
  adamw(
    q: number,
    n: number,
    unit: number,
    decay: number,
    factor: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    step: number,
    root: number,
  ): number;
}

const PAGE = 65536;
const MAX_BYTES = 2 ** 32;
const ALIGN = 16;
const ENTRY_WORDS = 8;
/** Where `roundingWords` leaves the word in an entry. */
const WORD = 6;
/** Where an entry has the round of its column factors. */
const COLUMNS = 7;
/** Elements whose noise is made together, and the words of their bits in a mask. */
const GROUP = 512;
const GROUP_WORDS = GROUP / 32;

const aligned = (length: number, width: number): number => Math.ceil((length * width) / ALIGN) * ALIGN;

/** Bytes that arrays of these lengths take in the memory of `wasmKernels`. @param width bytes of an element. */
export function wasmBytes(lengths: Iterable<number>, width: 1 | 4 = 4): number {
  let bytes = 0;
  for (const length of lengths) bytes += aligned(length, width);
  return bytes;
}

const tooLarge = (bytes: number, cause?: unknown): Fault =>
  new Fault(
    'TOO_LARGE',
    `kernels cannot have ${Math.ceil(bytes / 2 ** 20)} MiB of memory; use a smaller model, or keep its blocks on disk`,
    {
      cause,
    },
  );

function allocate(bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(bytes / PAGE);
  if (pages * PAGE > MAX_BYTES) throw tooLarge(bytes);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw tooLarge(bytes, cause);
  }
}

let compiled: Promise<WebAssembly.Module> | undefined;
const kernelModule = (): Promise<WebAssembly.Module> =>
  (compiled ??= WebAssembly.compile(Uint8Array.from(atob(KERNELS_BASE64), (c) => c.charCodeAt(0))));

/** The most scratch the kernels themselves need, beside the arrays. */
const SCRATCH_BYTES = 2 ** 21;

/**
 * Kernels with room for arrays of `bytes` in all (`wasmBytes` adds them up).
 *
 * @throws {Fault} TOO_LARGE above 4 GiB or what the machine gives; `f32` and `i32` throw it when the room is used up.
 */
export async function wasmKernels({ bytes }: { readonly bytes: number }): Promise<Kernels> {
  const memory = allocate(bytes + SCRATCH_BYTES);
  const instance = await WebAssembly.instantiate(await kernelModule(), { env: { memory } });
  // Types of a module's exports are known to nobody but its source: assembly/kernels.ts.
  return bind(memory, instance.exports as unknown as Exports);
}

function bind(memory: WebAssembly.Memory, wasm: Exports): Kernels {
  const { buffer } = memory;
  const tableEntries: number = wasm.TABLE_ENTRIES.value;
  const table = new Uint32Array(buffer, wasm.TABLE.value, tableEntries * ENTRY_WORDS);
  let free = Math.ceil(wasm.SCRATCH_END.value / ALIGN) * ALIGN;

  /** @returns the address of a new array. */
  const take = (length: number, width: 1 | 4): number => {
    const at = free;
    if (at + aligned(length, width) > buffer.byteLength)
      throw new Fault('TOO_LARGE', `no room for an array of ${length} elements; give the kernels more bytes`);
    free += aligned(length, width);
    return at;
  };

  /** Address of an array that must be ours and hold `length` elements. */
  const address = (name: string, array: Float32Array | Int32Array | Int8Array, length: number): number => {
    if (array.buffer !== buffer) throw new TypeError(`"${name}" expected an array made by these kernels`);
    if (array.length !== length) throw new RangeError(`"${name}" expected ${length} elements, got ${array.length}`);
    return array.byteOffset;
  };

  const setEntry = (i: number, key: DirectionKey, component: number, c: number): void => {
    const { round, run, sample, slot } = key;
    const at = i * ENTRY_WORDS;
    table[at] = round;
    table[at + 1] = run;
    table[at + 2] = sample;
    table[at + 3] = slot;
    table[at + 4] = component;
    table[at + 5] = c;
    table[at + COLUMNS] = columnRound(key);
  };

  /** Fills the table with the `rank` components of every term, and calls `visit` with how many it holds when it is full. */
  const inBatches = (terms: readonly Term[], rank: number, visit: (count: number) => void): void => {
    let count = 0;
    for (const { key, c } of terms)
      for (let component = 0; component < rank; component++) {
        setEntry(count++, key, component, c);
        if (count < tableEntries) continue;
        visit(count);
        count = 0;
      }
    if (count > 0) visit(count);
  };

  const mask = new Uint32Array(buffer, wasm.MASK.value, wasm.MASK_GROUPS.value * GROUP_WORDS);
  const partLength: number = wasm.MASK_GROUPS.value * GROUP;

  /**
   * Elements `first` … `first + n - 1` of a tensor in parts, with the address of the bits of those that move, from the
   * group that a part begins in: 0, and one part, where all do.
   */
  const inParts = (
    moved: Uint32Array | undefined,
    first: number,
    n: number,
    visit: (from: number, count: number, mask: number) => void,
  ): void => {
    if (!moved) {
      visit(first, n, 0);
      return;
    }
    for (let from = first, end = first + n; from < end; ) {
      const group = Math.floor(from / GROUP);
      const to = Math.min(end, group * GROUP + partLength);
      mask.set(moved.subarray(group * GROUP_WORDS, Math.ceil(to / GROUP) * GROUP_WORDS));
      visit(from, to - from, wasm.MASK.value);
      from = to;
    }
  };

  const part: number = wasm.MOMENTS_LENGTH.value;
  const [ownG, ownM, ownV] = [0, 1, 2].map(
    (i) => new Float32Array(buffer, wasm.MOMENTS.value + i * part * 4, part),
  ) as [Float32Array, Float32Array, Float32Array];

  return {
    name: 'wasm',
    f32: (length) => new Float32Array(buffer, take(length, 4), length),
    i32: (length) => new Int32Array(buffer, take(length, 4), length),
    i8: (length) => new Int8Array(buffer, take(length, 1), length),

    materialise(q, exponent, out) {
      wasm.materialise(address('q', q, q.length), q.length, powerOfTwo(exponent), address('out', out, q.length));
    },

    quantiseRows(q, columns, exponent, out, scale) {
      const [n, rows] = [q.length, scale.length];
      checkRows(n, rows, columns);
      const [from, to, at] = [address('q', q, n), address('out', out, n), address('scale', scale, rows)];
      wasm.quantiseRows(from, rows, columns, powerOfTwo(exponent) / BYTE_LEVELS, to, at);
    },

    materialisePair(q, exponent, tensor, kind, rank, key, delta, first, plus, minus) {
      const n = plus.length;
      checkTensor(q.length, tensor, rank);
      checkPart(first, n, kind, tensor);
      checkMoved(kind, tensor);
      const [above, below] = [address('plus', plus, n), address('minus', minus, n)];
      const at = address('q', q, q.length) + first * 4;
      const scale = powerOfTwo(exponent);
      if (isLowRank(kind, tensor)) {
        // `plus` holds the integer noise for a moment: what applying the direction once to zeros gives.
        new Int32Array(buffer, above, n).fill(0);
        const columns = tensor.shape[1]!;
        inBatches([{ key, c: 1 }], rank, (count) =>
          wasm.applyLowRank(above, first / columns, n / columns, columns, count, tensor.id),
        );
        wasm.pairGiven(at, n, scale, delta, above, below);
      } else {
        setEntry(0, key, 0, 0);
        inParts(tensor.moved, first, n, (from, count, bits) => {
          const skip = 4 * (from - first);
          const [plusAt, minusAt] = [above + skip, below + skip];
          wasm.pairDense(at + skip, from, count, scale, delta, kind === 'binomial', tensor.id, bits, plusAt, minusAt);
        });
      }
    },

    factors(stream, rank, tensorId, keys, plus, minus, first, out) {
      const n = factorLength(out.length, keys.length, rank, first);
      const at = address('out', out, out.length);
      const most = Math.floor(tableEntries / rank); // directions that the table holds
      for (let from = 0; from < keys.length; from += most) {
        const count = Math.min(most, keys.length - from);
        for (let i = 0; i < count; i++) for (let k = 0; k < rank; k++) setEntry(i * rank + k, keys[from + i]!, k, 0);
        const own = at + from * 2 * rank * n * 4;
        wasm.factors(lane(stream, 0, tensorId), count * rank, rank, plus, minus, first / BLOCK, n, own);
      }
    },

    factorAt(stream, component, tensorId, key, value, index, out) {
      const n = index.length;
      setEntry(0, key, component, 0);
      wasm.factorAt(lane(stream, 0, tensorId), value, address('index', index, n), n, address('out', out, n));
    },

    apply(q, tensor, kind, rank, terms) {
      const n = q.length;
      checkTensor(n, tensor, rank);
      checkMoved(kind, tensor);
      const at = address('q', q, n);
      if (isLowRank(kind, tensor)) {
        const [rows, columns] = tensor.shape;
        inBatches(terms, rank, (count) => wasm.applyLowRank(at, 0, rows!, columns!, count, tensor.id));
      } else
        inParts(tensor.moved, 0, n, (from, length, bits) =>
          inBatches(terms, 1, (count) =>
            wasm.applyDense(at + 4 * from, length, count, kind === 'binomial', tensor.id, from / GROUP, bits),
          ),
        );
    },

    roundingWords(tensorId, records) {
      const words = new Uint32Array(records.length);
      for (let from = 0; from < words.length; from += tableEntries) {
        const count = Math.min(tableEntries, words.length - from);
        for (let i = 0; i < count; i++) setEntry(i, records[from + i]!.key, 0, 0);
        wasm.roundingWords(count, tensorId);
        for (let i = 0; i < count; i++) words[from + i] = table[i * ENTRY_WORDS + WORD]!;
      }
      return words;
    },

    checksum(q, key, offset) {
      wasm.checksum(address('q', q, q.length), q.length, key, offset);
      return { low: table[0]!, high: table[1]!, peak: table[2]! };
    },

    peak: (q) => wasm.peak(address('q', q, q.length), q.length) >>> 0,

    adamw(q, exponent, g, m, v, { beta1, beta2, epsilon, step, root, factor, decay }) {
      const at = address('q', q, q.length);
      const unit = powerOfTwo(-exponent);
      let peak = 0;
      // A part at a time through memory of the kernels, which the second-level cache holds.
      for (let from = 0; from < q.length; from += part) {
        const count = Math.min(part, q.length - from);
        ownG.set(g.subarray(from, from + count));
        ownM.set(m.subarray(from, from + count));
        ownV.set(v.subarray(from, from + count));
        peak = Math.max(peak, wasm.adamw(at + 4 * from, count, unit, decay, factor, beta1, beta2, epsilon, step, root));
        m.set(ownM.subarray(0, count), from);
        v.set(ownV.subarray(0, count), from);
      }
      return peak;
    },
  };
}

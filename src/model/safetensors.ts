/**
 * The safetensors format: u64 length n, little-endian · n bytes of JSON · data. The JSON maps a tensor's name to
 * `{dtype, shape, data_offsets: [begin, end]}`, offsets counted from the start of the data; `__metadata__` maps text
 * to text. Spec: https://github.com/huggingface/safetensors#format.
 *
 * A file comes from a stranger, so all of it is checked before any of it is believed: the tensors must tile the data
 * exactly, without overlap or hole (the spec demands it; it also exposes a name given twice, of which JSON keeps one).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { ByteSource } from './source.ts';

/** Bytes an element takes. Those not in `floats.ts` are carried along, never computed with. */
const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
} as const;

export type StoredDtype = keyof typeof ELEMENT_BYTES;

/** A tensor to be written. */
export interface StoredSpec {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
}

/** A tensor found in a file. */
export interface StoredTensor extends StoredSpec {
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** The limit of the reference implementation; the header of a 1000-layer model takes under 2 MB. */
export const MAX_HEADER_BYTES = 100_000_000;
/** Models have up to 5; a bound keeps products of hostile shapes cheap. */
export const MAX_AXES = 16;
const LENGTH_BYTES = 8;

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

/** Bytes that a tensor of this shape takes. NaN where no file could hold them. */
function storedBytes(dtype: StoredDtype, shape: readonly number[]): number {
  const bytes = shape.reduce((a, b) => a * b, 1) * ELEMENT_BYTES[dtype];
  return Number.isSafeInteger(bytes) ? bytes : Number.NaN;
}

/** Length of the JSON, from the first 8 bytes. @throws {Fault} MODEL_INVALID */
function headerLength(first: Uint8Array, size: number, name: string): number {
  const length =
    first.length === LENGTH_BYTES
      ? new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
      : undefined;
  if (length === undefined || length > BigInt(Math.min(MAX_HEADER_BYTES, size - LENGTH_BYTES)))
    throw new Fault(
      'MODEL_INVALID',
      `${name} is not a whole safetensors file: its header does not fit; fetch it again`,
    );
  return Number(length);
}

/**
 * Tensors of a file in the order of their data.
 * @param json the header's JSON. @param dataStart its end, from the start of the file. @param size of the file.
 * @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED for an unknown dtype
 */
export function parseHeader(json: Uint8Array, dataStart: number, size: number, name: string): readonly StoredTensor[] {
  const invalid = (what: string) => new Fault('MODEL_INVALID', `${name}: ${what}; fetch the file again`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (cause) {
    throw new Fault('MODEL_INVALID', `${name}: the header is not JSON; fetch the file again`, { cause });
  }
  if (!isRecord(header)) throw invalid('the header is not an object');

  const tensors: StoredTensor[] = [];
  for (const [key, entry] of Object.entries(header)) {
    if (key === '__metadata__') continue;
    const tensor = `tensor ${JSON.stringify(key.slice(0, 200))}`;
    if (!isRecord(entry)) throw invalid(`${tensor} is not described by an object`);
    const { dtype, shape, data_offsets: span } = entry;
    if (typeof dtype !== 'string' || !Object.hasOwn(ELEMENT_BYTES, dtype))
      throw new Fault('MODEL_UNSUPPORTED', `${name}: ${tensor} has dtype ${JSON.stringify(dtype)}, which is unknown`);
    if (!Array.isArray(shape) || shape.length > MAX_AXES || !shape.every(isCount))
      throw invalid(`${tensor} has no valid shape`);
    if (!Array.isArray(span) || span.length !== 2 || !span.every(isCount))
      throw invalid(`${tensor} has no valid offsets`);
    const [begin, end] = span as [number, number];
    const bytes = end - begin;
    if (bytes !== storedBytes(dtype as StoredDtype, shape))
      throw invalid(`${tensor} of ${dtype} (${shape}) cannot take ${bytes} bytes`);
    tensors.push({ name: key, dtype: dtype as StoredDtype, shape, offset: dataStart + begin, bytes });
  }

  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let at = dataStart;
  for (const tensor of tensors) {
    if (tensor.offset !== at) throw invalid(`tensor ${JSON.stringify(tensor.name)} overlaps another or leaves a hole`);
    at += tensor.bytes;
  }
  if (at !== size) throw invalid(`the header describes ${at} bytes of a file of ${size}`);
  return tensors;
}

/** Reads what a file holds, not its data. @throws {Fault} as `parseHeader` */
export async function openSafetensors(source: ByteSource): Promise<readonly StoredTensor[]> {
  const first = await source.read(0, Math.min(LENGTH_BYTES, source.size));
  const length = headerLength(first, source.size, source.name);
  const dataStart = LENGTH_BYTES + length;
  return parseHeader(await source.read(LENGTH_BYTES, length), dataStart, source.size, source.name);
}

/**
 * Everything before the data of a file that holds these tensors in this order. The data starts at a multiple of 8, as
 * the reference implementation pads it, and `format: 'pt'` is what transformers asks for.
 */
export function encodeHeader(tensors: readonly StoredSpec[]): Uint8Array {
  let at = 0;
  const entries = tensors.map(({ name, dtype, shape }) => {
    const begin = at;
    at += storedBytes(dtype, shape);
    return [name, { dtype, shape, data_offsets: [begin, at] }] as const;
  });
  const json = JSON.stringify(Object.fromEntries([['__metadata__', { format: 'pt' }], ...entries]));
  const text = new TextEncoder().encode(json);
  const padded = new Uint8Array(LENGTH_BYTES + Math.ceil(text.length / 8) * 8).fill(0x20);
  new DataView(padded.buffer).setBigUint64(0, BigInt(padded.length - LENGTH_BYTES), true);
  padded.set(text, LENGTH_BYTES);
  return padded;
}

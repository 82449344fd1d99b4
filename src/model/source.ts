/**
 * Bytes that can be read piece by piece, so that a checkpoint larger than memory can be opened. In Node they are files
 * (`node/files.ts`); in tests and browsers an array will do.
 *
 * @module
 */

export interface ByteSource {
  /** For messages: a path or an address. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** @param offset and `length` lie inside `size`. @throws {Fault} where the bytes are not to be had. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export function memorySource(name: string, bytes: Uint8Array): ByteSource {
  return { name, size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

export const readAll = (source: ByteSource): Promise<Uint8Array> => source.read(0, source.size);

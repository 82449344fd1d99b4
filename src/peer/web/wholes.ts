/**
 * Files and snapshots in a browser: wholes that come in pieces and are read at any place. A whole that is not complete yet
 * goes on where it broke off.
 *
 * @module
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { Fault } from '../../faults.ts';
import type { ByteSource } from '../../model/source.ts';
import type { BlobRef } from '../../nouns.ts';
import { toHex } from '../../numeric/bytes.ts';
import type { Fetcher } from '../fetcher.ts';
import { partsOf } from '../http-fetcher.ts';
import type { Database } from './database.ts';

type PieceKey = readonly [name: string, at: number];

const keyOf = (name: string, at: number): IDBValidKey => [name, at];
const lastOf = (name: string): IDBValidKey => [name, Number.MAX_SAFE_INTEGER];
const startOf = (key: IDBValidKey): number => (key as unknown as PieceKey)[1];

/** A piece is kept as a Blob: the browser then reads of it what is asked for, and no more. */
export const addPiece = (db: Database, name: string, at: number, bytes: Uint8Array): Promise<void> =>
  db.put('pieces', keyOf(name, at), new Blob([bytes as Uint8Array<ArrayBuffer>]));

export const dropPieces = (db: Database, name: string): Promise<void> =>
  db.drop('pieces', keyOf(name, 0), lastOf(name));

/** Wholes of one piece whose names begin so, and the bytes of each. */
export const wholesNamed = async (db: Database, prefix: string): Promise<[name: string, bytes: number][]> =>
  (await db.between<Blob>('pieces', keyOf(prefix, 0), lastOf(`${prefix}\uffff`))).map(([key, { size }]) => [
    (key as unknown as PieceKey)[0],
    size,
  ]);

/** Bytes that are there, from the start. */
async function lengthOf(db: Database, name: string): Promise<number> {
  const last = await db.before<Blob>('pieces', keyOf(name, 0), lastOf(name));
  return last === undefined ? 0 : startOf(last[0]) + last[1].size;
}

/** A whole of `size` bytes, all of whose pieces are there. */
export const pieceSource = (db: Database, name: string, size: number, label: string): ByteSource => ({
  name: label,
  size,
  async read(offset, length) {
    const into = new Uint8Array(length);
    if (length === 0) return into;
    const first = await db.before<Blob>('pieces', keyOf(name, 0), keyOf(name, offset));
    const rest = await db.between<Blob>('pieces', keyOf(name, offset + 1), keyOf(name, offset + length - 1));
    let filled = 0;
    for (const [key, piece] of [...(first ? [first] : []), ...rest]) {
      const from = offset + filled - startOf(key);
      const part = piece.slice(from, from + length - filled);
      into.set(new Uint8Array(await part.arrayBuffer()), filled);
      filled += part.size;
    }
    if (filled < length)
      throw new Fault(
        'FILE_MISSING',
        `${label} is not whole in this browser any more; reload the page to fetch it again`,
      );
    return into;
  },
});

/** A file that was fetched, if it is whole. */
export async function fileOf(
  db: Database,
  { path, sha256: hash }: Pick<BlobRef, 'path' | 'sha256'>,
): Promise<ByteSource | undefined> {
  const size = await db.get<number>('wholes', hash);
  return size === undefined ? undefined : pieceSource(db, hash, size, path);
}

/** Bytes that are hashed at once. */
const STRIDE = 8 << 20;

async function hashOf(source: ByteSource): Promise<string> {
  const hash = sha256.create();
  for (let at = 0; at < source.size; at += STRIDE)
    hash.update(await source.read(at, Math.min(STRIDE, source.size - at)));
  return toHex(hash.digest());
}

/**
 * Brings a file into the browser, if it is not there.
 * @param progress bytes of it that are there.
 * @throws {Fault} BLOB_MISMATCH if what came does not have the hash; then nothing is kept. DOWNLOAD_FAILED, FILE_REFUSED
 */
export async function obtain(
  db: Database,
  fetcher: Fetcher,
  blob: BlobRef,
  progress: (bytes: number) => void,
): Promise<void> {
  const { sha256: name, bytes, path } = blob;
  if ((await db.get('wholes', name)) !== undefined) return;
  let at = await lengthOf(db, name);
  progress(at);
  for await (const piece of partsOf(fetcher, blob, at)) {
    await addPiece(db, name, at, piece);
    at += piece.length;
    progress(at);
  }
  if ((await hashOf(pieceSource(db, name, bytes, path))) !== name) {
    await dropPieces(db, name);
    throw new Fault('BLOB_MISMATCH', `a file from the host does not have the hash ${name}; try again`);
  }
  await db.put('wholes', name, bytes);
}

/**
 * Files of a run in the object store: the base and the data, by hash, so that they come from the servers and not from a
 * coordinator. A file is several objects of one size, so that a download goes on where it broke off.
 *
 * @module
 */
import { type ObjectStore, Objm } from '@nats-io/obj';
import type { BlobRef, Hex } from '../../nouns.ts';
import { concatBytes } from '../../numeric/bytes.ts';
import { type Nats, persist, replicasOf } from './nats.ts';

/** Bytes of an object: what a peer asks for at once. */
export const OBJECT_BYTES: number = 8 << 20;

export interface Files {
  /** Puts what is not there yet. @param read bytes `at` … `at + length - 1`. */
  put(
    file: Pick<BlobRef, 'sha256' | 'bytes'>,
    read: (at: number, length: number) => Promise<Uint8Array>,
  ): Promise<void>;
  /** Undefined where it is not all there (yet). */
  get(sha256: Hex, from: number, length: number): Promise<Uint8Array | undefined>;
}

const objectName = (sha256: Hex, index: number): string => `${sha256}.${index}`;

/** @param make a bucket where there is none: coordinators do. @throws {Fault} STORE_UNREACHABLE */
export async function openFiles(nats: Nats, make: boolean): Promise<Files> {
  const { js, names } = nats;
  const objm = new Objm(js);
  const bucket: ObjectStore = make
    ? await persist(nats, `the bucket ${names.files}`, () => objm.create(names.files, { replicas: replicasOf(nats) }))
    : await objm.open(names.files, false);
  return {
    async put({ sha256, bytes }, read) {
      for (let index = 0, at = 0; at < bytes; index++, at += OBJECT_BYTES) {
        const name = objectName(sha256, index);
        if (await bucket.info(name)) continue;
        await bucket.putBlob({ name }, await read(at, Math.min(OBJECT_BYTES, bytes - at)));
      }
    },
    async get(sha256, from, length) {
      const pieces: Uint8Array[] = [];
      for (let at = from; at < from + length; ) {
        const index = Math.floor(at / OBJECT_BYTES);
        const object = await bucket.getBlob(objectName(sha256, index));
        if (object === null) return undefined;
        const piece = object.subarray(at - index * OBJECT_BYTES, from + length - index * OBJECT_BYTES);
        if (piece.length === 0) return undefined;
        pieces.push(piece);
        at += piece.length;
      }
      return concatBytes(...pieces);
    },
  };
}

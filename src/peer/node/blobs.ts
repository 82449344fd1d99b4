/**
 * Files by hash: what a manifest names, and where copies of it lie on this machine.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../../faults.ts';
import type { BlobRef, Hex } from '../../nouns.ts';
import { fileRefusal } from './file-refusal.ts';

/** Hash → path on this machine. */
export type Paths = Readonly<Record<Hex, string>>;

/** @param path of the file here. @param name what the manifest calls it. @throws {Fault} FILE_MISSING, FILE_REFUSED */
export async function blobRef(path: string, name: string): Promise<BlobRef> {
  const found = await stat(path).catch((cause) => {
    throw fileRefusal(cause) ?? new Fault('FILE_MISSING', `${path} is not there; check the path`, { cause });
  });
  if (!found.isFile()) throw new Fault('FILE_MISSING', `${path} is not a file; name one`);
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash).catch((cause) => {
    throw fileRefusal(cause) ?? cause;
  });
  return { path: name, bytes: found.size, sha256: hash.digest('hex') };
}

/** Whether `path` holds exactly this blob. */
export async function holds(path: string, { bytes, sha256 }: BlobRef): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() === true && found.size === bytes && (await blobRef(path, '')).sha256 === sha256;
}

/**
 * The first candidate that holds each blob.
 * @param candidates paths to try, best first. @returns blobs that none holds are left out.
 */
export async function locate(
  blobs: readonly BlobRef[],
  candidates: (blob: BlobRef) => readonly string[],
): Promise<Paths> {
  const paths: Record<Hex, string> = {};
  for (const blob of blobs) {
    for (const path of candidates(blob)) {
      if (!(await holds(path, blob))) continue;
      paths[blob.sha256] = path;
      break;
    }
  }
  return paths;
}

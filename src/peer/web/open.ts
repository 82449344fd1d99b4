/**
 * Manifest → a replica in this browser: is it something that a tab can do, is there room, what has to be fetched, and
 * which device computes it.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import { Fault } from '../../faults.ts';
import type { BlobRef, Manifest } from '../../nouns.ts';
import type { Fetcher } from '../fetcher.ts';
import type { Replica } from '../replica.ts';
import type { Database } from './database.ts';
import type { WebPeerEvent } from './events.ts';
import { type Device, threadedReplica } from './replica-thread.ts';
import { checkRoom, modelAhead, roomOf } from './room.ts';
import { fileOf, obtain } from './wholes.ts';

export interface Resources {
  readonly db: Database;
  readonly fetcher: Fetcher;
  /** Absent: a GPU where there is one that passes, else WebAssembly. */
  readonly backend: Backend | undefined;
  readonly threads: number;
  readonly emit: (event: WebPeerEvent) => void;
}

/** @throws {Fault} CONFIG_INVALID for runs that a tab has no part in */
export function checkRun({ objective }: Pick<Manifest, 'objective'>): void {
  if (typeof objective === 'object')
    throw new Fault(
      'CONFIG_INVALID',
      'this run is measured by a reward, code of its owner that a tab does not run; join from Node with --reward',
    );
}

/** Browsers say no more than this, whatever a machine has: then it is not known how much that is. */
const MOST_SAID = 8;

/** Bytes of memory, as far as the browser says. */
function deviceBytes(): number {
  const { deviceMemory } = navigator as { readonly deviceMemory?: number };
  return deviceMemory === undefined || deviceMemory >= MOST_SAID ? Number.POSITIVE_INFINITY : deviceMemory * 2 ** 30;
}

async function fetchAll({ db, fetcher, emit }: Resources, blobs: readonly BlobRef[]): Promise<void> {
  for (const blob of blobs) {
    const report = (done: number): void => emit({ event: 'fetching', path: blob.path, done, total: blob.bytes });
    const fetchOne = (): Promise<void> => obtain(db, fetcher, blob, report);
    // Two tabs that want the same file fetch it once.
    await (navigator.locks ? navigator.locks.request(`murmur ${blob.sha256}`, fetchOne) : fetchOne());
  }
}

/** A GPU made of threads is slower than the threads. */
async function hasGpu(): Promise<boolean> {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  return adapter !== undefined && adapter !== null && !adapter.info.isFallbackAdapter;
}

/** What a device fails at, another may do. */
const isOfDevice = (error: unknown): boolean =>
  error instanceof Fault && (error.code === 'ENGINE_FAILED' || error.code === 'TOO_LARGE');

/** @throws {Fault} CONFIG_INVALID, TOO_LARGE, DOWNLOAD_FAILED, BLOB_MISMATCH, FILE_REFUSED, ENGINE_FAILED */
export async function openInBrowser(manifest: Manifest, resources: Resources): Promise<Replica> {
  const { db, fetcher, backend, threads, emit } = resources;
  checkRun(manifest);
  const model = await modelAhead(manifest, fetcher, (blob) => fileOf(db, blob));
  checkRoom(roomOf(model, manifest), deviceBytes());
  const { train, eval: held } = manifest.data;
  await fetchAll(resources, [...manifest.base.files, train, ...(held ? [held] : [])]);
  const open = (on: Backend): Promise<Replica> =>
    threadedReplica({ manifest, backend: on, threads }, (device: Device) => emit({ event: 'device', ...device }));
  if (backend !== undefined) return open(backend);
  if (!(await hasGpu())) return open('wasm');
  try {
    return await open('webgpu');
  } catch (error) {
    if (!isOfDevice(error)) throw error;
    return open('wasm');
  }
}

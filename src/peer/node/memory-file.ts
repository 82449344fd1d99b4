/**
 * What a peer or a host of an exchange keeps between rounds, as a file of its own machine: read by nobody else, and not
 * needed to rebuild the model.
 *
 *     SHA-256 of what follows · { run, round, … } as Node serialises a structured clone
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { toHex } from '../../numeric/bytes.ts';
import type { ExchangeMemory } from '../replica.ts';
import { writeWhole } from './write-file.ts';

const DIGEST_BYTES = 32;
const hashOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** @param run the run id: a memory is of no use in any other. */
export async function writeMemory(path: string, run: Uint8Array, memory: ExchangeMemory): Promise<void> {
  const body = serialize({ run: toHex(run), memory });
  await mkdir(dirname(path), { recursive: true });
  await writeWhole(path, Buffer.concat([hashOf(body), body]));
}

/** undefined where there is none, or it is of another run, or damaged: whoever asks then begins anew. */
export async function readMemory(path: string, run: Uint8Array): Promise<ExchangeMemory | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  if (bytes === undefined || !hashOf(bytes.subarray(DIGEST_BYTES)).equals(bytes.subarray(0, DIGEST_BYTES)))
    return undefined;
  const found = deserialize(bytes.subarray(DIGEST_BYTES)) as { run: string; memory: ExchangeMemory };
  return found.run === toHex(run) ? found.memory : undefined;
}

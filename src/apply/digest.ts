/**
 * Weights → what two replicas compare: a keyed linear checksum every few rounds, a SHA-256 Merkle root where it must
 * convince a stranger (docs/NUMBERS.md 8).
 *
 * @module
 */
import type { Weights } from '../model/weights.ts';
import { checksumKey } from '../numeric/checksum.ts';
import { checkRange } from '../numeric/fixed.ts';
import { type Leaf, leavesOf, rootOf } from '../numeric/merkle.ts';
import type { Crypto } from '../ports.ts';

/** Eight bytes over all tensors in id order, under the key of `round`. @throws {Fault} RANGE naming the tensor */
export async function checksum(weights: Weights, round: number, run: number): Promise<Uint8Array> {
  const key = checksumKey(round, run);
  let low = 0;
  let high = 0;
  let offset = 0;
  for (const { name } of weights.tensors)
    await weights.visit(name, ({ kernels, tensor }) => {
      const { q } = tensor(name);
      const part = kernels.checksum(q, key, offset);
      checkRange(part.peak, name);
      low = (low + part.low) >>> 0;
      high = (high + part.high) >>> 0;
      offset += q.length;
    });
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, low, true);
  view.setUint32(4, high, true);
  return bytes;
}

/** Leaves of the Merkle tree over the weights, tensor by tensor in id order, with the bytes under each. */
export async function leaves(weights: Weights, { sha256 }: Crypto): Promise<Leaf[]> {
  const found: Leaf[] = [];
  for (const { name } of weights.tensors)
    await weights.visit(name, ({ tensor }) => {
      for (const leaf of leavesOf(tensor(name).q, sha256)) found.push(leaf);
    });
  return found;
}

/** SHA-256 Merkle root over the weights. */
export const root = async (weights: Weights, crypto: Crypto): Promise<Uint8Array> =>
  rootOf(
    (await leaves(weights, crypto)).map(({ hash }) => hash),
    crypto.sha256,
  );

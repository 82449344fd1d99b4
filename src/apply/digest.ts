/**
 * Weights → what two replicas compare: a keyed linear checksum every few rounds, a SHA-256 Merkle root where it must
 * convince a stranger (docs/NUMBERS.md 8).
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Weights } from '../model/weights.ts';
import type { Crypto } from '../ports.ts';
import { LEAF_ELEMENTS, merkleRoot } from '../numeric/merkle.ts';

/** |q| beyond this is a fault: the sum of a round could wrap. */
export const RANGE_LIMIT = 2 ** 30;

/** Eight bytes over all tensors in id order. @throws {Fault} RANGE naming the tensor */
export function checksum({ tensors, kernels }: Weights, key: number): Uint8Array {
  let low = 0;
  let high = 0;
  let offset = 0;
  for (const { name, q } of tensors) {
    const part = kernels.checksum(q, key, offset);
    if (part.peak > RANGE_LIMIT)
      throw new Fault('RANGE', `"${name}" left the range of its fixed point: lower learning_rate`);
    low = (low + part.low) >>> 0;
    high = (high + part.high) >>> 0;
    offset += q.length;
  }
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, low, true);
  view.setUint32(4, high, true);
  return bytes;
}

/** SHA-256 Merkle root over leaves of 2^16 weights, tensor by tensor in id order. */
export function root({ tensors }: Weights, { sha256 }: Crypto): Uint8Array {
  const leaves = tensors.flatMap(({ q }) =>
    Array.from({ length: Math.ceil(q.length / LEAF_ELEMENTS) }, (_, i) =>
      littleEndian(q.subarray(i * LEAF_ELEMENTS, (i + 1) * LEAF_ELEMENTS)),
    ),
  );
  return merkleRoot(leaves, sha256);
}

const HOST_IS_LITTLE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** The bytes of int32 values, least significant first. A view where the machine stores them so. */
export function littleEndian(q: Int32Array): Uint8Array {
  if (HOST_IS_LITTLE) return new Uint8Array(q.buffer, q.byteOffset, q.byteLength);
  const bytes = new Uint8Array(q.byteLength);
  const view = new DataView(bytes.buffer);
  q.forEach((value, i) => {
    view.setInt32(4 * i, value, true);
  });
  return bytes;
}

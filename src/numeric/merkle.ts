/**
 * SHA-256 Merkle root of all weights (docs/NUMBERS.md 8): equal roots mean equal bits, and one leaf can be fetched and
 * checked alone. Leaves and nodes are hashed with different first bytes, as in RFC 6962.
 *
 * @module
 */

/** Elements under a leaf: 256 KiB. The last leaf of a tensor may hold fewer. */
export const LEAF_ELEMENTS: number = 2 ** 16;

export type Sha256 = (...parts: readonly Uint8Array[]) => Uint8Array;

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

export interface Leaf {
  readonly hash: Uint8Array;
  /** Bytes under it. */
  readonly bytes: number;
}

/** sha256(0x00 ‖ bytes) */
export const leafHash = (bytes: Uint8Array, sha256: Sha256): Uint8Array => sha256(LEAF, bytes);

/** Leaves of one tensor, whose elements are hashed as i32 little-endian, which is how every supported host keeps them. */
export function leavesOf(q: Int32Array, sha256: Sha256): Leaf[] {
  const leaves: Leaf[] = [];
  for (let i = 0; i < q.length; i += LEAF_ELEMENTS) {
    const leaf = q.subarray(i, i + LEAF_ELEMENTS);
    const bytes = new Uint8Array(leaf.buffer, leaf.byteOffset, leaf.byteLength);
    leaves.push({ hash: leafHash(bytes, sha256), bytes: bytes.length });
  }
  return leaves;
}

/** Root over leaves: pairs from the left, sha256(0x01 ‖ left ‖ right); an odd one out moves up as it is. */
export function rootOf(leaves: readonly Uint8Array[], sha256: Sha256): Uint8Array {
  if (leaves.length === 0) throw new RangeError('"leaves" expected at least one, got none');
  let level = leaves;
  while (level.length > 1) {
    const next: Uint8Array[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const right = level[i + 1];
      next.push(right ? sha256(NODE, level[i]!, right) : level[i]!);
    }
    level = next;
  }
  return level[0]!;
}

/** @param tensors fixed-point weights in id order. @returns 32 bytes. */
export function merkleRoot(tensors: Iterable<Int32Array>, sha256: Sha256): Uint8Array {
  const leaves: Uint8Array[] = [];
  for (const q of tensors) for (const { hash } of leavesOf(q, sha256)) leaves.push(hash);
  return rootOf(leaves, sha256);
}

/**
 * What a coordinator has signed for must be in the journal: who finds that it is not, holds the proof of censorship.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Audit, Hex, Merge, Round } from '../nouns.ts';
import { equalBytes, fromHex } from '../numeric/bytes.ts';
import type { Crypto } from '../ports.ts';
import { decodeOffer } from '../wire/chunks.ts';
import { receiptMessage } from '../wire/signed.ts';

/** A contribution for which the coordinator signed. */
export interface Receipt {
  readonly round: number;
  readonly slot: number;
  readonly from: number;
  readonly codes: Int8Array;
}

/**
 * @param signature by `coordinator`, over the receipt as it is bound to `run` and `anchor`.
 * @throws {Fault} SIGNATURE_WRONG
 */
export function checkReceipt(
  { round, slot, from, codes }: Receipt,
  signature: Uint8Array,
  { run, anchor, coordinator }: { readonly run: Uint8Array; readonly anchor: Uint8Array; readonly coordinator: Hex },
  crypto: Crypto,
): void {
  const signed = receiptMessage(run, round, anchor, slot, from, codes);
  if (!crypto.verify(fromHex(coordinator), signed, signature))
    throw new Fault('SIGNATURE_WRONG', `the receipt for round ${round} is not signed by the coordinator`);
}

const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

/**
 * @param audits before the round. Of records that several peers measured it holds one version, and these all of them.
 * @throws {Fault} CENSORED
 */
export function checkCommitted(
  receipt: Receipt | undefined,
  { header, segments }: Round,
  audits: readonly Audit[],
): void {
  if (receipt === undefined || receipt.round !== header.round) return;
  const audited = audits.flatMap(({ from, claims }) => claims.map((claim) => ({ ...claim, from })));
  const found = [...segments, ...audited].find(({ slot, from }) => slot === receipt.slot && from === receipt.from);
  if (found !== undefined && equalBytes(octets(found.codes), octets(receipt.codes))) return;
  const detail = `round ${header.round} was committed without the records it had receipted; do not trust this run`;
  throw new Fault('CENSORED', detail);
}

/** @throws {Fault} CENSORED */
export function checkMerged(
  receipt: Receipt | undefined,
  { round, shares }: Merge,
  { sha256 }: Pick<Crypto, 'sha256'>,
): void {
  if (receipt === undefined || receipt.round !== round || decodeOffer(receipt.codes).hashes.length === 0) return;
  const found = shares.find(({ slot }) => slot === receipt.slot);
  if (found !== undefined && equalBytes(found.digest, sha256(octets(receipt.codes)))) return;
  const detail = `round ${round} was merged without the share it had receipted; do not trust this run`;
  throw new Fault('CENSORED', detail);
}

/**
 * A replica that follows a journal: reads records, believes none, and applies their rounds. It outlives connections.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { JournalReader, type JournalRecord } from '../journal/reader.ts';
import { memorySource } from '../model/source.ts';
import type { Audit, Manifest, Merge, Round } from '../nouns.ts';
import { equalBytes, fromHex } from '../numeric/bytes.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { recentOf } from '../optimizer/steps.ts';
import type { Crypto } from '../ports.ts';
import { decodeOffer } from '../wire/chunks.ts';
import { receiptMessage } from '../wire/signed.ts';
import type { Fetcher } from './fetcher.ts';
import { extend, type Ledger } from './ledger.ts';
import type { Merged, Replica } from './replica.ts';

/** Rounds applied in one call: progress shows, and a stop is heard. */
const BATCH_ROUNDS = 64;
/** With fewer rounds to go, replaying them is quicker than asking for a snapshot. */
const SNAPSHOT_ROUNDS = 16;
/** A snapshot is about as long as a merge in f32: with more to go than so many merges it is asked for. */
const MERGES_BEFORE_SNAPSHOT = 2;

/** A contribution for which the coordinator signed. */
interface Receipt {
  readonly round: number;
  readonly slot: number;
  readonly from: number;
  readonly codes: Int8Array;
}

export class Follower {
  readonly #crypto: Crypto;
  readonly #reader: JournalReader;
  readonly #run: Uint8Array;
  readonly #makeReplica: (manifest: Manifest, run: Uint8Array) => Promise<Replica>;
  readonly #rounds: Round[] = [];
  readonly #merges: Merge[] = [];
  #ledger: Ledger | undefined;
  #replica: Replica | undefined;
  #receipt: Receipt | undefined;
  /** Of the round to come. */
  #audits: Audit[] = [];
  /** A snapshot is asked for once per connection. */
  #mayAsk = true;

  constructor(crypto: Crypto, run: Uint8Array, makeReplica: (manifest: Manifest, run: Uint8Array) => Promise<Replica>) {
    this.#crypto = crypto;
    this.#run = run;
    this.#reader = new JournalReader(crypto, run);
    this.#makeReplica = makeReplica;
  }

  get run(): Uint8Array {
    return this.#run;
  }

  /** Chain hash that contributions to the next round are signed with. */
  get anchor(): Uint8Array {
    return this.#reader.position.anchor;
  }

  /** @throws {Fault} JOURNAL_ORDER before the first `fetch` */
  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Fault('JOURNAL_ORDER', 'a record came before the journal was read');
    return this.#ledger;
  }

  /** The journal says that the run is done, and to which weights it led. */
  get isComplete(): boolean {
    if (this.#ledger === undefined) return false;
    const { digests, manifest } = this.#ledger;
    // The journal has the hash of a merge and not the merge: only the host can bring what was not applied.
    const isHere = manifest.exchange === undefined || this.appliedRounds === manifest.max_steps;
    return isHere && digests.has(manifest.max_steps);
  }

  /** The merge of a round, once it is in the journal. */
  mergeAt(round: number): Merge | undefined {
    return this.#merges[round];
  }

  /** 0 without a replica. */
  get appliedRounds(): number {
    return this.#replica?.round() ?? 0;
  }

  /** @throws {Fault} INTERNAL before the first `advance` */
  get replica(): Replica {
    if (this.#replica === undefined) throw new Fault('INTERNAL', 'the replica was used before it was built');
    return this.#replica;
  }

  /**
   * Reads the rest of the journal.
   * @throws {Fault} what reading it refuses; JOURNAL_FORKED if it is valid and not a continuation of what was read
   */
  async fetch(fetcher: Fetcher): Promise<void> {
    this.#mayAsk = true;
    const { length } = this.#reader.position;
    const bytes = await fetcher.journal(length);
    let records: readonly JournalRecord[];
    try {
      records = this.#reader.read(bytes);
    } catch (error) {
      if (length > 0 && error instanceof Fault) await this.#refuseFork(fetcher);
      throw error;
    }
    for (const record of records) this.#learn(record);
  }

  /** The tail does not continue our journal: is the host's own valid from its start, then there are two. */
  async #refuseFork(fetcher: Fetcher): Promise<void> {
    new JournalReader(this.#crypto, this.#run).read(await fetcher.journal(0));
    const at = this.#reader.position.length;
    throw new Fault(
      'JOURNAL_FORKED',
      `the host signed two journals that part before byte ${at}; do not trust this run`,
    );
  }

  /**
   * A record as the host sent it.
   * @returns false if records before it are missing; nothing has changed then.
   * @throws {Fault} what reading it refuses, HEADER_WRONG, CENSORED
   */
  take(offset: number, record: Uint8Array): boolean {
    const { length } = this.#reader.position;
    if (offset > length) return false;
    if (offset === length) this.#learn(this.#reader.push(record));
    return true; // or it had come with the journal
  }

  #learn({ entry }: JournalRecord): void {
    this.#ledger = extend(this.#ledger, entry);
    if (entry.type === 'evict' && entry.slot === this.#receipt?.slot) this.#receipt = undefined;
    if (entry.type === 'merge') {
      this.#merges.push(entry.merge);
      this.#checkShare(entry.merge);
    }
    if (entry.type === 'audit') this.#audits.push(entry.audit);
    if (entry.type !== 'round') return;
    this.#rounds.push(entry.round);
    this.#checkReceipt(entry.round);
  }

  /** @throws {Fault} SIGNATURE_WRONG */
  takeReceipt(receipt: Receipt, signature: Uint8Array): void {
    const { round, slot, from, codes } = receipt;
    if (round !== this.ledger.round) return;
    const signed = receiptMessage(this.#run, round, this.anchor, slot, from, codes);
    if (!this.#crypto.verify(fromHex(this.ledger.manifest.coordinator), signed, signature))
      throw new Fault('SIGNATURE_WRONG', `the receipt for round ${round} is not signed by the coordinator`);
    this.#receipt = receipt;
  }

  #checkShare({ round, shares }: Merge): void {
    const receipt = this.#receipt;
    this.#receipt = undefined;
    if (receipt === undefined || receipt.round !== round || decodeOffer(receipt.codes).hashes.length === 0) return;
    const found = shares.find(({ slot }) => slot === receipt.slot);
    if (found !== undefined && equalBytes(found.digest, this.#crypto.sha256(octets(receipt.codes)))) return;
    const detail = `round ${round} was merged without the share it had receipted; do not trust this run`;
    throw new Fault('CENSORED', detail);
  }

  #checkReceipt({ header, segments }: Round): void {
    const receipt = this.#receipt;
    // Of records that several peers measured a round holds one version, and the record before it all of them.
    const audited = this.#audits.flatMap(({ from, claims }) => claims.map((claim) => ({ ...claim, from })));
    this.#receipt = undefined;
    this.#audits = [];
    if (receipt === undefined || receipt.round !== header.round) return;
    const found = [...segments, ...audited].find(({ slot, from }) => slot === receipt.slot && from === receipt.from);
    if (found !== undefined && equalBytes(octets(found.codes), octets(receipt.codes))) return;
    const detail = `round ${header.round} was committed without the records it had receipted; do not trust this run`;
    throw new Fault('CENSORED', detail);
  }

  /**
   * Builds the replica if there is none, and applies a batch of rounds that it lacks.
   * @param fetcher to ask for a snapshot. @param bring fetches the chunks of a merge.
   * @returns whether it stands at the end of the journal.
   */
  async advance(fetcher?: Fetcher, bring?: (merge: Merge) => Promise<Merged>): Promise<boolean> {
    const { manifest } = this.ledger;
    this.#replica ??= await this.#makeReplica(manifest, this.#run);
    const replica = this.#replica;
    const far =
      this.ledger.round - replica.round() >= (manifest.exchange ? 1 + MERGES_BEFORE_SNAPSHOT : SNAPSHOT_ROUNDS);
    if (fetcher !== undefined && far && this.#mayAsk && promisesOf(manifest).snapshots.holds)
      await this.#restore(replica, fetcher);
    const next = this.#merges[replica.round()];
    if (next !== undefined && bring === undefined)
      throw new Fault('HOST_UNREACHABLE', `merge ${next.round} is not here, and the host that has it is gone`);
    if (next !== undefined) await replica.exchange!.merge([await bring!(next)]);
    const missed = this.#rounds.slice(replica.round(), replica.round() + BATCH_ROUNDS);
    if (missed.length > 0) await replica.apply(missed);
    return replica.round() === this.ledger.round;
  }

  /** Takes the host's snapshot if it saves replaying many rounds. One that is not what it says is left alone. */
  async #restore(replica: Replica, fetcher: Fetcher): Promise<void> {
    this.#mayAsk = false;
    const offer = await fetcher.snapshot();
    if (offer === undefined || offer.round > this.ledger.round) return;
    if (offer.round <= replica.round()) return;
    const { manifest, digests } = this.ledger;
    try {
      const snapshot = memorySource('the snapshot', await offer.read());
      const recent = recentOf(manifest, this.#rounds, offer.round);
      await replica.restore(offer.round, snapshot, digests.get(offer.round) ?? offer.root, recent);
    } catch (error) {
      if (!(error instanceof Fault && error.code === 'BLOB_MISMATCH')) throw error;
    }
  }

  /** Gives up the weights: they are not what the journal says. `advance` builds them anew. */
  async discardReplica(): Promise<void> {
    const replica = this.#replica;
    this.#replica = undefined;
    await replica?.close();
  }
}

const octets = (codes: Int8Array): Uint8Array => new Uint8Array(codes.buffer, codes.byteOffset, codes.length);

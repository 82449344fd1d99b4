/**
 * A replica that follows a journal: reads records, believes none, and applies their rounds. It outlives connections.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { JournalReader, type JournalRecord } from '../journal/reader.ts';
import { revisionOf } from '../method/revise.ts';
import type { Audit, Entry, Manifest, Merge, Round } from '../nouns.ts';
import { equalBytes } from '../numeric/bytes.ts';
import { promisesOf } from '../optimizer/algebra.ts';
import { recentOf } from '../optimizer/steps.ts';
import type { Crypto } from '../ports.ts';
import type { ParticipantEvent } from './events.ts';
import type { Fetcher } from './fetcher.ts';
import { roundsIn } from './history.ts';
import { extend, type Ledger } from './ledger.ts';
import { checkCommitted, checkMerged, checkReceipt, type Receipt } from './receipts.ts';
import type { Merged, Replica } from './replica.ts';
import { type OpenChunks, restoreFrom } from './restoring.ts';
import { decodeStanding, isSigned, recentIn, type Standing, standingAt, standingChecker } from './standing.ts';

/** Rounds applied in one call: progress shows, and a stop is heard. */
const BATCH_ROUNDS = 64;
/** With no more rounds to go, replaying them is quicker than asking for a snapshot. */
const SNAPSHOT_ROUNDS = 15;
/** A snapshot is about as long as a merge in f32: with more to go than so many merges it is asked for. */
const MERGES_BEFORE_SNAPSHOT = 2;

/** What is said of a journal that a standing does not lead to: the standing may be at fault. */
const NOT_THIS_JOURNAL: ReadonlySet<string> = new Set([
  'JOURNAL_CORRUPT',
  'JOURNAL_FOREIGN',
  'JOURNAL_FORKED',
  'JOURNAL_ORDER',
  'SIGNATURE_WRONG',
]);

export interface FollowerOptions {
  /** Where a snapshot is gathered. Default: in memory. */
  readonly chunks?: OpenChunks;
  /** `replica` has weights that the host takes a snapshot of. What it is asked before this returns, it answers of these. */
  readonly onSnapshot?: (round: number, replica: Replica) => void;
  /** The coordinator signed the root of the weights after so many rounds. */
  readonly onDigest?: (round: number, root: Uint8Array) => void;
  readonly emit?: (event: ParticipantEvent) => void;
}

export class Follower {
  readonly #crypto: Crypto;
  readonly #options: FollowerOptions;
  #reader: JournalReader;
  readonly #run: Uint8Array;
  readonly #makeReplica: (manifest: Manifest, run: Uint8Array) => Promise<Replica>;
  /** The round that weights must stand at, at least, to go on with what is here: what was before is in a snapshot. */
  #start = 0;
  /** Number of the first of `#rounds`: steps look back on some before `#start`. */
  #before = 0;
  /** As they count. */
  #rounds: Round[] = [];
  /** Rounds as the replica holds them from `#before` on, where the journal has taken something of them back since. */
  #held: readonly Round[] | undefined;
  /** The replica holds what counts no more and cannot be taken back there. */
  #isVoid = false;
  #revisions = 0;
  #merges: Merge[] = [];
  #check: ((record: JournalRecord) => void) | undefined;
  #ledger: Ledger | undefined;
  #replica: Replica | undefined;
  #receipt: Receipt | undefined;
  #mustGoBack = false;
  /** Of the round to come. */
  #audits: Audit[] = [];
  /** A snapshot is asked for once per connection. */
  #mayAsk = true;

  constructor(
    crypto: Crypto,
    run: Uint8Array,
    makeReplica: (manifest: Manifest, run: Uint8Array) => Promise<Replica>,
    options: FollowerOptions = {},
  ) {
    this.#crypto = crypto;
    this.#options = options;
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

  /** No round is missing; the digest that ends the run may be. */
  get hasAllRounds(): boolean {
    return this.#ledger !== undefined && this.#ledger.round === this.#ledger.manifest.max_steps;
  }

  /** Undefined before the first `fetch`. */
  get manifest(): Manifest | undefined {
    return this.#ledger?.manifest;
  }

  /** The journal says that the run is done, and to which weights it led. */
  get isComplete(): boolean {
    if (this.#ledger === undefined) return false;
    const { digests, manifest } = this.#ledger;
    // The journal has the hash of a merge and not the merge: only the host can bring what was not applied.
    const isHere = manifest.exchange === undefined || this.appliedRounds === manifest.max_steps;
    return isHere && digests.has(manifest.max_steps);
  }

  /** Revocations and rewinds so far: what was measured before one is of weights that are no more. */
  get revisions(): number {
    return this.#revisions;
  }

  /** Whether the replica holds what the journal says, all of it that was read. */
  get isUpToDate(): boolean {
    return !this.#isBehindTime && this.#replica !== undefined && this.appliedRounds === this.ledger.round;
  }

  /** Something was taken back, and the replica does not know. */
  get #isBehindTime(): boolean {
    return this.#held !== undefined || this.#isVoid;
  }

  /** The merge of a round, once it is in the journal. */
  mergeAt(round: number): Merge | undefined {
    return this.#merges[round - this.#before];
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
    if (this.#mustGoBack) return this.#goBack(fetcher);
    if (this.#reader.position.length > 0 || !(await this.#begin(fetcher))) await this.#readOn(fetcher);
  }

  async #readOn(fetcher: Fetcher): Promise<void> {
    const { length } = this.#reader.position;
    const bytes = await fetcher.journal(length);
    let records: readonly JournalRecord[];
    try {
      records = this.#reader.read(bytes);
    } catch (error) {
      if (length > 0 && error instanceof Fault) await this.#refuseFork(fetcher);
      throw error;
    }
    if (records.some(({ entry }) => this.#reachesBack(entry))) await this.#goBack(fetcher);
    else for (const record of records) this.#learn(record);
  }

  /** Whether an entry takes back what was before this follower began: only the whole journal says what is left of it. */
  #reachesBack(entry: Entry): boolean {
    return (
      (entry.type === 'revoke' && entry.from < this.#start) || (entry.type === 'rewind' && entry.round < this.#start)
    );
  }

  /**
   * Begins where the host's snapshot does, with the records behind it.
   * @returns false where there is none to begin with, or nobody has signed for it: then the whole journal is read.
   */
  async #begin(fetcher: Fetcher): Promise<boolean> {
    const offer = await fetcher.snapshot();
    if (offer?.standing === undefined) return false;
    let standing: Standing;
    let records: readonly JournalRecord[];
    let reader: JournalReader;
    try {
      standing = decodeStanding(offer.standing, this.#run, this.#crypto);
      reader = new JournalReader(this.#crypto, this.#run, standing.position);
      records = reader.read(await fetcher.journal(standing.position.length));
    } catch (error) {
      if (error instanceof Fault && NOT_THIS_JOURNAL.has(error.code)) return false;
      throw error;
    }
    const { ledger } = standing;
    if (!isSigned(offer.standing, ledger.round, records, this.#crypto)) return false;
    this.#start = ledger.round;
    if (records.some(({ entry }) => this.#reachesBack(entry))) {
      this.#start = 0;
      return false;
    }
    this.#reader = reader;
    this.#ledger = ledger;
    const recent = recentIn(ledger);
    this.#before = this.#start - recent.length;
    this.#rounds = [...recent];
    this.#merges = [];
    this.#check = standingChecker(standing, this.#crypto);
    for (const record of records) this.#learn(record);
    return true;
  }

  /**
   * Reads the whole journal, as there is no other way to the weights any more. It must hold what was read before.
   * @throws {Fault} as `fetch`
   */
  async #startOver(fetcher: Fetcher): Promise<void> {
    const { index, head } = this.#reader.position;
    const reader = new JournalReader(this.#crypto, this.#run);
    const records = reader.read(await fetcher.journal(0));
    const same = records[index - 1];
    if (same === undefined || !equalBytes(same.hash, head))
      throw new Fault('JOURNAL_FORKED', `the host's journal does not lead to record ${index - 1}, which it had sent`);
    this.#reader = reader;
    this.#ledger = undefined;
    this.#start = 0;
    this.#before = 0;
    this.#rounds = [];
    this.#merges = [];
    this.#check = undefined;
    const receipt = this.#receipt;
    for (const record of records) this.#learn(record);
    this.#receipt = receipt;
  }

  /** What was before our beginning was taken back: weights made of it are given up, and all is read. */
  async #goBack(fetcher: Fetcher): Promise<void> {
    this.#mustGoBack = true;
    this.#isVoid = true;
    this.#receipt = undefined;
    await this.#startOver(fetcher);
    this.#mustGoBack = false;
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
    if (offset > length || this.#mustGoBack) return false;
    if (offset < length) return true; // it had come with the journal
    const read = this.#reader.push(record);
    if (this.#reachesBack(read.entry)) {
      this.#mustGoBack = true;
      return false;
    }
    this.#learn(read);
    return true;
  }

  #learn(record: JournalRecord): void {
    const { entry } = record;
    this.#ledger = extend(this.#ledger, entry);
    if (entry.type === 'manifest') this.#check = standingChecker(standingAt(record, this.#crypto), this.#crypto);
    else this.#check?.(record);
    if (entry.type === 'digest') this.#options.onDigest?.(entry.round, entry.root);
    if (entry.type === 'evict' && entry.slot === this.#receipt?.slot) this.#receipt = undefined;
    if (entry.type === 'merge') {
      this.#merges.push(entry.merge);
      checkMerged(this.#spent(), entry.merge, this.#crypto);
    }
    if (entry.type === 'revoke' || entry.type === 'rewind') this.#takeBack();
    if (entry.type === 'audit') this.#audits.push(entry.audit);
    if (entry.type !== 'round') return;
    this.#rounds.push(entry.round);
    checkCommitted(this.#spent(), entry.round, this.#audits);
    this.#audits = [];
  }

  /** The receipt, which is of one round. */
  #spent(): Receipt | undefined {
    const receipt = this.#receipt;
    this.#receipt = undefined;
    return receipt;
  }

  #takeBack(): void {
    this.#revisions++;
    this.#receipt = undefined; // it is bound to weights that are no more
    const { manifest, round, past } = this.ledger;
    if (manifest.exchange) {
      this.#isVoid ||= this.appliedRounds > round;
      this.#merges.splice(round - this.#before);
      return;
    }
    if (this.appliedRounds > this.#before) this.#held ??= this.#rounds.slice(0, this.appliedRounds - this.#before);
    this.#rounds = roundsIn(past);
  }

  /** @throws {Fault} SIGNATURE_WRONG */
  takeReceipt(receipt: Receipt, signature: Uint8Array): void {
    if (receipt.round !== this.ledger.round) return;
    const { coordinator } = this.ledger.manifest;
    checkReceipt(receipt, signature, { run: this.#run, anchor: this.anchor, coordinator }, this.#crypto);
    this.#receipt = receipt;
  }

  /**
   * Builds the replica if there is none, and applies a batch of rounds that it lacks.
   * @param fetcher to ask for a snapshot. @param bring fetches the chunks of a merge.
   * @returns whether it stands at the end of the journal.
   */
  async advance(fetcher?: Fetcher, bring?: (merge: Merge) => Promise<Merged>): Promise<boolean> {
    const { manifest } = this.ledger;
    await this.#revise();
    this.#replica ??= await this.#makeReplica(manifest, this.#run);
    const replica = this.#replica;
    const few = manifest.exchange ? MERGES_BEFORE_SNAPSHOT : SNAPSHOT_ROUNDS;
    const wants = this.ledger.round - replica.round() > few || replica.round() < this.#start;
    if (fetcher !== undefined && wants && this.#mayAsk && promisesOf(manifest).snapshots.holds)
      await this.#restore(replica, fetcher);
    if (this.#isBehindTime) return false;
    if (replica.round() < this.#start) {
      if (fetcher === undefined)
        throw new Fault('HOST_UNREACHABLE', 'the weights have to be built anew, and the host that has them is gone');
      await this.#startOver(fetcher);
    }
    const next = this.mergeAt(replica.round());
    if (next !== undefined && bring === undefined)
      throw new Fault('HOST_UNREACHABLE', `merge ${next.round} is not here, and the host that has it is gone`);
    if (next !== undefined) await replica.exchange!.merge([await bring!(next)]);
    const from = replica.round() - this.#before;
    const missed = this.#rounds.slice(from, from + BATCH_ROUNDS);
    if (missed.length > 0) await replica.apply(missed);
    return replica.round() === this.ledger.round;
  }

  /** What was taken back since the replica applied it is taken back there, or the replica is given up. */
  async #revise(): Promise<void> {
    const { manifest } = this.ledger;
    const revision = this.#held && revisionOf(manifest, this.#held, this.#rounds);
    if (this.#isVoid || (revision && !promisesOf(manifest).revocable.holds)) await this.discardReplica();
    else if (revision) await this.replica.revise(revision);
    this.#held = undefined;
  }

  /**
   * Takes a snapshot if it saves replaying many rounds. One that is not what it says is left alone. What of it was
   * gathered before a connection broke stays where `chunks` keeps it.
   */
  async #restore(replica: Replica, fetcher: Fetcher): Promise<void> {
    this.#mayAsk = false;
    const offer = await fetcher.snapshot();
    if (offer === undefined) return;
    // The run went on while the base was fetched: what has been heard of it since lies unread.
    if (offer.round > this.ledger.round) await this.#readOn(fetcher);
    if (this.#isBehindTime || offer.round <= replica.round() || offer.round < this.#start) return;
    const { chunks, emit, onDigest } = this.#options;
    const recent = recentOf(this.ledger.manifest, this.#rounds, offer.round - this.#before);
    const root = await restoreFrom(offer, { replica, ledger: this.ledger, recent, crypto: this.#crypto, chunks, emit });
    if (root === undefined || !this.ledger.digests.has(offer.round)) return;
    this.keep(offer.round);
    onDigest?.(offer.round, root);
  }

  /** The host takes a snapshot after so many rounds. */
  keep(round: number): void {
    if (!this.#isBehindTime && this.#replica?.round() === round) this.#options.onSnapshot?.(round, this.#replica);
  }

  /** Gives up the weights: they are not what the journal says. `advance` builds them anew. */
  async discardReplica(): Promise<void> {
    const replica = this.#replica;
    this.#replica = undefined;
    this.#held = undefined;
    this.#isVoid = false;
    await replica?.close();
  }
}

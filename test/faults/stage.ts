/** The stage of a scenario: a run of real processes whose peers come by way of a proxy, and what must be true at its end. */
import { assert, expect } from 'vitest';
import { readJournal } from '../../src/journal/reader.ts';
import { equalBytes, fromHex, toHex } from '../../src/numeric/bytes.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { receiptMessage } from '../../src/wire/signed.ts';
import type { Running, Line as Told } from '../swarm/processes.ts';
import {
  again,
  expectOneDigest,
  type Joining,
  journalOf,
  linkOf,
  type Place,
  place,
  type Settings,
} from '../swarm/run.ts';
import { type Fate, type FaultyLine, type Passing, proxyTo, type Seen } from './proxy.ts';

/** What a scenario came to. */
export interface Ending {
  readonly rounds: number;
  /** Records for which the host gave a receipt, and those of them that are not in the journal. */
  readonly acknowledged: number;
  readonly lost: number;
  /** Peers that were there at the end, with the digest of the host and of the replay. */
  readonly peers: number;
}

export interface Stage extends Omit<Place, 'host'> {
  /** `Place.host` */
  readonly start: Place['host'];
  readonly host: Running;
  /** As the host printed it. */
  readonly link: string;
  /** The line that a peer takes unless it says otherwise. */
  readonly line: FaultyLine;
  /** Another line to the same host. */
  lineTo(): Promise<FaultyLine>;
  /** `murmur join`, by way of a line. */
  peer(name: string, options?: Joining & { readonly over?: FaultyLine }): Running;
  /** The same command once more; peers find the host where it was. */
  resume(more?: Settings, how?: Parameters<Place['host']>[1]): Running;
  /** Waits for the end of `host` and of those peers, and checks everything. */
  end(host: Running, peers: readonly Running[]): Promise<Ending>;
}

/** Two peers at least, rounds of tens of milliseconds. */
export const SMALL: Settings = { peers: 0, min_peers: 2, per_device_train_batch_size: 4, max_steps: 40 };

export interface Staging {
  readonly settings?: Settings;
  readonly how?: Parameters<Place['host']>[1];
  readonly dataOf?: (folder: string) => Settings;
  /** Where something has happened already. */
  readonly at?: Place;
}

export async function stage({ settings: own = {}, how, dataOf, at = place(dataOf) }: Staging = {}): Promise<Stage> {
  const settings = { ...SMALL, ...own };
  const host = at.host(settings, how);
  const link = await linkOf(host);
  const lines: FaultyLine[] = [];
  const lineTo = async (): Promise<FaultyLine> => {
    const line = await proxyTo(link);
    lines.push(line);
    return line;
  };
  const line = await lineTo();
  return {
    ...at,
    start: at.host,
    host,
    link,
    line,
    lineTo,
    peer: (name, { over = line, ...options } = {}) => at.join(over.link(link), name, options),
    resume: (more, under) => at.host({ ...settings, ...again(link), ...more }, under),
    async end(last, peers) {
      await expectOneDigest(at, last, peers);
      const found = accounted(
        at.out,
        lines.flatMap(({ receipts }) => receipts),
      );
      expect(found.lost, 'acknowledged records that the journal lacks').toBe(0);
      return { ...found, peers: peers.length };
    },
  };
}

/**
 * Holds every receipt that left the host against the journal: its signature must fit the very codes that the round has.
 * What a peer delivered to the round in which it was evicted is not in the journal, by the rule.
 */
function accounted(out: string, receipts: readonly Seen[]): Omit<Ending, 'peers'> {
  const { bytes, rounds } = journalOf(out);
  const { records, position } = readJournal(bytes, nodeCrypto);
  const [first] = records;
  assert(first?.entry.type === 'manifest');
  const coordinator = fromHex(first.entry.manifest.coordinator);
  const committed = records.filter(({ entry }) => ['manifest', 'round', 'merge'].includes(entry.type));
  const evicted = new Map(records.flatMap(({ entry, index }) => (entry.type === 'evict' ? [[entry.slot, index]] : [])));
  let lost = 0;
  const counted = new Map<string, number>();
  for (const { slot, receipt, codes } of receipts) {
    const { round, from, count, signature } = receipt;
    if ((evicted.get(slot) ?? Number.POSITIVE_INFINITY) < (committed[round + 1]?.index ?? 0)) continue;
    const entry = committed[round + 1]?.entry;
    const isSigned = (some: Int8Array): boolean =>
      nodeCrypto.verify(
        coordinator,
        receiptMessage(position.run!, round, committed[round]!.hash, slot, from, some),
        signature,
      );
    const isThere =
      entry?.type === 'round'
        ? entry.round.segments.some((one) => one.slot === slot && one.from === from && isSigned(one.codes))
        : entry?.type === 'merge' &&
          isSigned(codes) &&
          entry.merge.shares.some((one) => one.slot === slot && equalBytes(one.digest, digestOf(codes)));
    const name = `${slot} ${toHex(signature)}`; // a resend gets the same receipt
    if (!isThere && !counted.has(name)) lost += count;
    counted.set(name, count);
  }
  const acknowledged = [...counted.values()].reduce((sum, count) => sum + count, 0);
  return { rounds: rounds.length || committed.length - 1, acknowledged, lost };
}

const digestOf = (codes: Int8Array): Uint8Array =>
  nodeCrypto.sha256(new Uint8Array(codes.buffer, codes.byteOffset, codes.length));

/** The first thing to pass that `holds`, met by this fate. */
export function upon(line: FaultyLine, holds: (passing: Passing) => boolean, fate: Fate = 'pass'): Promise<void> {
  return new Promise((met) => {
    let over = false;
    line.decide((passing) => {
      if (over || !holds(passing)) return undefined;
      over = true;
      met();
      return fate;
    });
  });
}

/** A message of this type, of `round` or later. */
export const message =
  (type: 'open' | 'receipt' | 'commit' | 'contribution' | 'checksum', round = 0) =>
  (passing: Passing): boolean =>
    'message' in passing &&
    passing.message.type === type &&
    !('round' in passing.message && passing.message.round < round);

/** A line of a process with these fields. */
export const told =
  (event: string, fields: Readonly<Record<string, unknown>> = {}) =>
  (line: Told): boolean =>
    line.event === event && Object.entries(fields).every(([name, value]) => line[name] === value);

/** How often a process said so. */
export const times = ({ lines }: Running, event: string, fields: Readonly<Record<string, unknown>> = {}): number =>
  lines.filter(told(event, fields)).length;

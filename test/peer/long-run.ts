/** Journals of long runs, as a coordinator writes them, with random codes. */
import type { Journal } from '../../src/journal/journal.ts';
import { type Entry, HOST_SLOT, type Manifest, type Segment } from '../../src/nouns.ts';
import { codeSums } from '../../src/optimizer/gain.ts';
import { headerOf, usableCodes } from '../../src/optimizer/header.ts';
import { extend, type Ledger } from '../../src/peer/ledger.ts';
import { fakeCrypto, secretOf, seeded } from './fake.ts';

/** Entries that bring a run on by `rounds` rounds, peers that come and go included. */
export function moreRounds(before: Ledger, rounds: number, seed = 1): Entry[] {
  const random = seeded(seed);
  const below = (n: number): number => Math.floor(random() * n);
  let ledger = before;
  const entries: Entry[] = [];
  const add = (entry: Entry): void => {
    ledger = extend(ledger, entry);
    entries.push(entry);
  };
  const present = (): number[] => [...ledger.admitted.values()].flatMap(({ slot, evicted }) => (evicted ? [] : [slot]));
  for (let n = 0; n < rounds; n++) {
    const slot = ledger.admitted.size;
    const key = fakeCrypto.publicKey(secretOf(slot + 100 * seed));
    if (present().length < 2 || below(40) === 0) add({ type: 'admit', slot, key, name: `peer ${slot}` });
    if (present().length > 2 && below(40) === 0) add({ type: 'evict', slot: present()[0]!, reason: 'test' });
    const { manifest, scale, round } = ledger;
    const segments = present()
      .slice(0, 4)
      .map((owner, i): Segment => {
        const codes = Int8Array.from({ length: 1 + below(6) }, () => below(256) - 128);
        return { slot: owner, from: 6 * i, codes };
      });
    const header = headerOf(manifest, scale, round, usableCodes(segments), codeSums(segments, manifest.clip));
    add({ type: 'round', round: { header, segments } });
    if (below(20) === 0)
      add({ type: 'evaluation', round: round + 1, slot: HOST_SLOT, metrics: { 'eval/loss': random() } });
  }
  return entries;
}

/** A journal of `rounds` rounds. */
export async function longRun(journal: Journal, manifest: Manifest, rounds: number, seed = 1): Promise<Ledger> {
  const start = extend(undefined, { type: 'manifest', manifest });
  const entries = moreRounds(start, rounds, seed);
  await journal.appendAll(entries);
  return entries.reduce(extend, start);
}

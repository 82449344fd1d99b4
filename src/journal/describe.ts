/**
 * What a journal entry says, in one line for people.
 *
 * @module
 */
import { type Entry, HOST_SLOT } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';

const summary: { readonly [T in Entry['type']]: (entry: Extract<Entry, { readonly type: T }>) => string } = {
  manifest: ({ manifest }) => `base ${manifest.base.name}, ${manifest.method}`,
  admit: ({ slot, name }) => `slot ${slot}, ${name}`,
  evict: ({ slot, reason }) => `slot ${slot}: ${reason}`,
  round: ({ round: { header, segments } }) =>
    `round ${header.round}, ${header.usable} usable of ${segments.reduce((sum, s) => sum + s.codes.length, 0)} from ${segments.length} peers`,
  merge: ({ merge: { round, shares, chunks } }) =>
    `round ${round}, ${shares.reduce((sum, { count }) => sum + count, 0)} steps of ${shares.length} peers, in ${chunks.length} chunks`,
  audit: ({ audit: { round, from, claims } }) =>
    `round ${round}, records from ${from}, measured by slots ${claims.map(({ slot }) => slot).join(', ')}`,
  evaluation: ({ round, slot, metrics }) =>
    `after ${round} rounds${slot === HOST_SLOT ? '' : `, by slot ${slot}`}: ${Object.entries(metrics)
      .map(([name, value]) => `${name} ${value.toPrecision(6)}`)
      .join(', ')}`,
  digest: ({ round, root }) => `after ${round} rounds: ${toHex(root)}`,
  revoke: ({ slot, from, to }) => `slot ${slot}: its records of rounds ${from} to ${to - 1} count no more`,
  rewind: ({ round }) => `to round ${round}: it and later ones count no more`,
  standing: ({ round, hash }) => `of the journal after ${round} rounds: ${toHex(hash)}`,
};

export const describe = (entry: Entry): string => (summary[entry.type] as (entry: Entry) => string)(entry);

/**
 * Peers that share snapshots, as a host knows them: each has signed, with the key that it takes part with, that it has the
 * chunks of a round at some port of its machine. Nobody believes what they send: `gather.ts` checks every chunk.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { Member } from '../journal/rules.ts';
import type { Hex } from '../nouns.ts';
import { fromHex, toHex } from '../numeric/bytes.ts';
import type { Crypto } from '../ports.ts';
import { mirrorMessage } from '../wire/signed.ts';
import { type Announcement, decodeAnnouncement, MAX_MIRRORS } from '../wire/snapshot-offer.ts';

export interface Mirrors {
  /**
   * @param text hexadecimal digits of an `Announcement`. @param address that it came from: nobody can name another's.
   * @returns whether it is one of a member of the run.
   */
  announce(text: string | undefined, address: string): boolean;
  /** `host:port` of those that have the chunks of `round`, as `asker` reaches them. */
  of(round: number, asker: string): readonly string[];
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
/** An IPv4 address as a socket for both says it. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '');

/** @param members of the run at present: what others announced is forgotten. */
export function openMirrors(run: Uint8Array, crypto: Crypto, members: () => Iterable<Pick<Member, 'key'>>): Mirrors {
  const known = new Map<Hex, { readonly round: number; readonly address: string; readonly port: number }>();
  const isMember = (key: Hex): boolean => [...members()].some((member) => member.key === key);
  return {
    announce(text, address) {
      const said = parse(text ?? '');
      if (said === undefined || said.port === 0) return false;
      const { round, port } = said;
      const key = toHex(said.key);
      if (!isMember(key) || !crypto.verify(said.key, mirrorMessage(run, round, port), said.signature)) return false;
      known.set(key, { round, address: plain(address), port });
      return true;
    },
    of(round, asker) {
      for (const key of known.keys()) if (!isMember(key)) known.delete(key);
      const near = isLoopback(plain(asker));
      return [...known.values()]
        .filter((mirror) => mirror.round === round && (near || !isLoopback(mirror.address)))
        .slice(-MAX_MIRRORS)
        .map(({ address, port }) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`));
    },
  };
}

function parse(text: string): Announcement | undefined {
  try {
    return decodeAnnouncement(fromHex(text));
  } catch (error) {
    if (error instanceof Fault || error instanceof RangeError) return undefined;
    throw error;
  }
}

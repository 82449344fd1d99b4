/**
 * Peers that share snapshots, as a host knows them: each has signed, with the key that it takes part with, that it has the
 * chunks of a round at some port of its machine. Nobody believes what they send: `gather.ts` checks every chunk.
 *
 * @module
 */
import { z } from 'zod';
import type { Member } from '../journal/rules.ts';
import type { Hex } from '../nouns.ts';
import { fromHex } from '../numeric/bytes.ts';
import type { Crypto } from '../ports.ts';
import { mirrorMessage } from '../wire/signed.ts';
import { MAX_MIRRORS } from '../wire/snapshot-offer.ts';

/** What a peer tells its host. */
export interface Announcement {
  readonly key: Hex;
  readonly round: number;
  readonly port: number;
  readonly signature: Hex;
}

const announcement: z.ZodType<Announcement> = z.strictObject({
  key: z.string().regex(/^[0-9a-f]{64}$/),
  round: z.int().min(0).max(0xffff_ffff),
  port: z.int().min(1).max(65_535),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

/** Bytes that one takes at most. */
export const MAX_ANNOUNCEMENT_BYTES = 1024;

export interface Mirrors {
  /**
   * @param json `Announcement`. @param address that it came from: nobody can name another's.
   * @returns whether it is one of a member of the run.
   */
  announce(json: string | undefined, address: string): boolean;
  /** `host:port` of those that have the chunks of `round`, as `asker` reaches them. */
  of(round: number, asker: string): readonly string[];
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
/** An IPv4 address as a socket for both says it. */
const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '');

/** @param members of the run at present: what others announced is forgotten. */
export function openMirrors(
  run: Uint8Array,
  crypto: Crypto,
  members: () => Iterable<Pick<Member, 'key'>>,
): Mirrors {
  const known = new Map<Hex, { readonly round: number; readonly address: string; readonly port: number }>();
  const isMember = (key: Hex): boolean => [...members()].some((member) => member.key === key);
  return {
    announce(json, address) {
      const parsed = announcement.safeParse(parse(json ?? ''));
      if (!parsed.success) return false;
      const { key, round, port, signature } = parsed.data;
      const signed = mirrorMessage(run, round, port);
      if (!isMember(key) || !crypto.verify(fromHex(key), signed, fromHex(signature))) return false;
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

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

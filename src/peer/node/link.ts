/**
 * Where a host that listens can be dialled: the addresses that its join links are made of.
 *
 * @module
 */
import type { NetworkInterfaceInfo } from 'node:os';
import { toHex } from '../../numeric/bytes.ts';
import { toUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { parseJoinLink } from '../link.ts';

/**
 * What lets somebody look and no more. It follows from the join code, so there is nothing to keep; the way back is as long
 * as guessing the join code.
 */
export const viewCode = (joinCode: string, crypto: Pick<Crypto, 'sha256'>): string =>
  toHex(crypto.sha256(toUtf8('murmur view v1\0'), toUtf8(joinCode))).slice(0, 32);

/** The link of those who may look, from that of those who may join. */
export const viewLink = (link: string, crypto: Pick<Crypto, 'sha256'>): string => {
  const { origin } = new URL(link);
  return `${origin}/view/${viewCode(parseJoinLink(link).joinCode, crypto)}`;
};

/** An address that listens everywhere, which is no place to go to. */
const EVERYWHERE = /^(wss?:\/\/)(0\.0\.0\.0|\[::\])(?=:)/;

/** An address that nobody else can reach. */
const LOOPBACK = /^wss?:\/\/(127\.|localhost(?=:)|\[::1\])/;

/**
 * Addresses to dial a host at: itself, or where it listens on all interfaces, those of this machine.
 * @param interfaces as `os.networkInterfaces` gives them.
 * @param names that its certificate is for: others reach it by these, or find that it is not what they asked for.
 * @returns the one for this machine first, then those for others.
 */
export function dialable(
  address: string,
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>,
  names: readonly string[] = [],
): readonly string[] {
  const named = names.map((name) => address.replace(/^(wss?:\/\/).*(?=:\d+$)/, (_, scheme) => `${scheme}${name}`));
  if (!EVERYWHERE.test(address)) return LOOPBACK.test(address) ? [address] : [address, ...named];
  if (named.length > 0) return [address.replace(EVERYWHERE, (_, scheme) => `${scheme}127.0.0.1`), ...named];
  const others = Object.values(interfaces).flatMap((found = []) =>
    found.flatMap(({ family, internal, address: own }) => (family === 'IPv4' && !internal ? [own] : [])),
  );
  return ['127.0.0.1', ...others].map((host) => address.replace(EVERYWHERE, (_, scheme) => `${scheme}${host}`));
}

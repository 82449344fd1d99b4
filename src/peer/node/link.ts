/**
 * Where a host that listens can be dialled: the addresses that its join links are made of.
 *
 * @module
 */
import type { NetworkInterfaceInfo } from 'node:os';

/** An address that listens everywhere, which is no place to go to. */
const EVERYWHERE = /^(wss?:\/\/)(0\.0\.0\.0|\[::\])(?=:)/;

/**
 * Addresses to dial a host at: itself, or where it listens on all interfaces, those of this machine.
 * @param interfaces as `os.networkInterfaces` gives them.
 * @returns the one for this machine first, then those for others.
 */
export function dialable(address: string, interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): readonly string[] {
  if (!EVERYWHERE.test(address)) return [address];
  const others = Object.values(interfaces).flatMap((found = []) =>
    found.flatMap(({ family, internal, address: own }) => (family === 'IPv4' && !internal ? [own] : [])),
  );
  return ['127.0.0.1', ...others].map((host) => address.replace(EVERYWHERE, (_, scheme) => `${scheme}${host}`));
}

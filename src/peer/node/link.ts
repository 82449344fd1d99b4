/**
 * The join link: `http://host:port/join/<code>`. One text to copy says where the run is and lets its holder in.
 *
 * @module
 */
import type { NetworkInterfaceInfo } from 'node:os';
import { Fault } from '../../faults.ts';

export interface JoinLink {
  /** For `Transport.dial`. */
  readonly address: string;
  /** Where the files are, code included, without a slash at the end. */
  readonly files: string;
  readonly joinCode: string;
}

/** @param address as `Transport.listen` returned it */
export const joinLink = (address: string, joinCode: string): string =>
  `${address.replace(/^ws/, 'http')}/join/${joinCode}`;

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

/** @throws {Fault} CONFIG_INVALID */
export function parseJoinLink(link: string): JoinLink {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const path = /^\/join\/([^/]+)$/.exec(url?.pathname ?? '');
  if (url === undefined || path === null || !/^https?:$/.test(url.protocol))
    throw new Fault('CONFIG_INVALID', `"${link}" is no join link; it looks like http://host:port/join/code`);
  const joinCode = decodeURIComponent(path[1]!);
  const address = `${url.protocol.replace('http', 'ws')}//${url.host}`;
  return { address, files: `${url.origin}/${path[1]}`, joinCode };
}

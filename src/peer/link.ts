/**
 * The join link: `http://host:port/join/<code>`. One text to copy says where the run is and lets its holder in.
 *
 * @module
 */
import { Fault } from '../faults.ts';

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

/** Where the journal is, from a link to join by or to look by. @throws {Fault} CONFIG_INVALID */
export function filesOf(link: string): string {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const path = /^\/(?:join|view)\/([^/]+)$/.exec(url?.pathname ?? '');
  if (url === undefined || path === null || !/^https?:$/.test(url.protocol))
    throw new Fault('CONFIG_INVALID', `"${link}" is no link of a run; it looks like http://host:port/view/code`);
  return `${url.origin}/${path[1]}`;
}

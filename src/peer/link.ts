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
  const { joinCode, ...places } = parseRunLink(link) ?? { joinCode: undefined };
  if (joinCode === undefined || !('address' in places))
    throw new Fault('CONFIG_INVALID', `"${link}" is no join link; it looks like http://host:port/join/code`);
  return { ...places, joinCode };
}

/** A join link, or one of those who may only look, which has no join code; undefined for any other text. */
export function parseRunLink(
  link: string,
): (Omit<JoinLink, 'joinCode'> & { readonly joinCode: string | undefined }) | undefined {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const path = /^\/(join|view)\/([^/]+)$/.exec(url?.pathname ?? '');
  if (url === undefined || path === null || !/^https?:$/.test(url.protocol)) return undefined;
  const address = `${url.protocol.replace('http', 'ws')}//${url.host}`;
  const joinCode = path[1] === 'join' ? decodeURIComponent(path[2]!) : undefined;
  return { address, files: `${url.origin}/${path[2]}`, joinCode };
}

/** Where the journal is, from a link to join by or to look by. @throws {Fault} CONFIG_INVALID */
export function filesOf(link: string): string {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  const path = /^\/(?:join|view)\/([^/]+)$/.exec(url?.pathname ?? '');
  if (url === undefined || path === null || !/^https?:$/.test(url.protocol))
    throw new Fault('CONFIG_INVALID', `"${link}" is no link of a run; it looks like http://host:port/view/code`);
  return `${url.origin}/${path[1]}`;
}

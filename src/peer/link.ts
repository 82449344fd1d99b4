/**
 * The join link: `http://host:port/join/<code>`, or `nats://host:port,host:port/<run>/<code>` where coordinators share a
 * log. One text to copy says where the run is and lets its holder in.
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

/** Servers of NATS, and as whom to come. */
export interface NatsServers {
  /** `host:port`, for browsers `wss://host:port`. */
  readonly servers: readonly string[];
  /** They are WebSocket listeners, as browsers need them. */
  readonly web?: true;
  readonly user?: string;
  readonly password?: string;
}

export interface NatsLink extends NatsServers {
  /** Name of the run (`nats/names.ts`). */
  readonly run: string;
  readonly joinCode: string;
}

const NATS =
  /^nats(\+wss?)?:\/\/(?:([^:@/\s]+):([^@/\s]+)@)?([^@/\s,]+(?:,[^@/\s,]+)*)(?:\/([0-9a-f]{12})\/([^/\s]+))?$/;

export const isNats = (link: string): boolean => /^nats[:+]/.test(link);

/** @throws {Fault} CONFIG_INVALID */
function parseNats(text: string, what: string, like: string, withRun: boolean): NatsServers & Partial<NatsLink> {
  const [, plus, user, password, hosts, run, code] = NATS.exec(text) ?? [];
  const servers = hosts?.split(',') ?? [];
  if (servers.length === 0 || !servers.every(isHost) || withRun !== (run !== undefined))
    throw new Fault('CONFIG_INVALID', `"${text}" is no ${what}; it looks like ${like}`);
  return {
    ...(plus === undefined
      ? { servers: servers.map((host) => (/:\d+$/.test(host) ? host : `${host}:4222`)) }
      : { servers: servers.map((host) => `${plus.slice(1)}://${host}`), web: true }),
    ...(user === undefined ? {} : { user: decodeURIComponent(user), password: decodeURIComponent(password!) }),
    ...(run === undefined ? {} : { run, joinCode: decodeURIComponent(code!) }),
  };
}

const isHost = (host: string): boolean => {
  const url = URL.canParse(`http://${host}`) ? new URL(`http://${host}`) : undefined;
  return url !== undefined && url.pathname === '/' && url.search === '' && url.hash === '';
};

/** What `--store` names. @throws {Fault} CONFIG_INVALID */
export const parseStore = (text: string): NatsServers =>
  parseNats(text, 'store', 'nats://host:4222 or nats://one:4222,two:4222,three:4222', false);

/** @throws {Fault} CONFIG_INVALID */
export const parseNatsLink = (link: string): NatsLink =>
  parseNats(link, 'join link', 'nats://host:4222,host:4222/run/code', true) as NatsLink;

/** Without user and password: what a coordinator may, a peer must not. */
export const natsLink = ({ servers }: NatsServers, run: string, joinCode: string): string =>
  `nats://${servers.join(',')}/${run}/${encodeURIComponent(joinCode)}`;

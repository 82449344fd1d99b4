/**
 * Limits for strangers: whoever has opened a connection and not proved yet who it is, or only ever asks by HTTP. They
 * hold before anything of what comes is kept or decoded.
 *
 * @module
 */
import { BlockList, isIPv6, type Socket } from 'node:net';

/**
 * Connections of strangers from one address. A room of people behind one router, each with a browser, fits; those that
 * proved a key do not count.
 */
export const MAX_STRANGERS_PER_ADDRESS = 128;
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** IPv4 in the form of IPv6, as sockets that listen for both have it. */
const MAPPED = /^::ffff:(?=\d+\.)/i;

/** Of this machine: whoever can connect from here needs no network to do harm. */
const isLoopback = (address: string): boolean => LOOPBACK.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');

/** Who counts as one: an address of IPv4, or the /64 of one of IPv6, of which a single customer has all. */
export function groupOf(remote: string): string {
  const address = remote.replace(MAPPED, '').replace(/%.*$/, '');
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  const groups = [...left, ...new Array<string>(Math.max(0, zeros)).fill('0'), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

export interface Guard {
  /** A connection was opened: it is closed again if its address has too many. */
  enter(socket: Socket): void;
  /** `Channel.confine` of a socket. @param cut ends it. */
  confining(socket: Socket, cut: () => void): (octets: number | undefined) => void;
}

export function openGuard(perAddress: number = MAX_STRANGERS_PER_ADDRESS): Guard {
  const counts = new Map<string, number>();
  // By its two ends: a socket with TLS is another object than the one below it.
  const leaves = new Map<string, () => void>();
  const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
  return {
    enter(socket) {
      const remote = socket.remoteAddress?.replace(MAPPED, '');
      if (remote === undefined || isLoopback(remote)) return;
      const group = groupOf(remote);
      const count = (counts.get(group) ?? 0) + 1;
      if (count > perAddress) {
        socket.destroy();
        return;
      }
      counts.set(group, count);
      const name = nameOf(socket); // it has none when it is closed
      let counted = true;
      const leave = (): void => {
        if (!counted) return;
        counted = false;
        leaves.delete(name);
        const left = counts.get(group)! - 1;
        if (left === 0) counts.delete(group);
        else counts.set(group, left);
      };
      leaves.set(name, leave);
      socket.once('close', leave);
    },
    confining(socket, cut) {
      let most = Number.POSITIVE_INFINITY;
      const count = (): void => {
        if (socket.bytesRead > most) cut();
      };
      return (octets) => {
        socket.off('data', count);
        if (octets === undefined) {
          leaves.get(nameOf(socket))?.();
          return;
        }
        most = socket.bytesRead + octets;
        socket.on('data', count);
      };
    },
  };
}

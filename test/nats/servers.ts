/** Real servers of NATS on loopback, for tests: `nats-server` from the path, in a folder of their own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { toHex } from '../../src/numeric/bytes.ts';
import { parseStore } from '../../src/peer/link.ts';
import { namesOf } from '../../src/peer/nats/names.ts';
import { type Nats, natsOf } from '../../src/peer/nats/nats.ts';
import { connectNats } from '../../src/peer/node/nats.ts';
import { systemClock, systemEntropy } from '../../src/peer/node/system.ts';
import { eventually } from '../swarm/processes.ts';

/** Debian's package `nats-server` has it; tests that need it are skipped elsewhere. */
export const HAS_SERVER: boolean = spawnSync('nats-server', ['--version']).status === 0;

export interface NatsServer {
  readonly url: string;
  /** Of its WebSocket listener, if it has one. */
  readonly websocket: string | undefined;
  readonly name: string;
  /** At once. */
  kill(): void;
  /** The same server once more, with what it had written. */
  revive(): void;
}

export interface Servers {
  readonly servers: readonly NatsServer[];
  /** All of them, as a run file names them. */
  readonly store: string;
  stop(): Promise<void>;
}

/** @param more of the configuration. */
export async function startServer(more = ''): Promise<Servers> {
  return startServers(1, () => more);
}

/** A cluster, or one server alone. @param more what else is in the configuration of a server. */
export async function startServers(count: number, more: (index: number) => string = () => ''): Promise<Servers> {
  const folder = mkdtempSync(join(tmpdir(), 'murmur-nats-'));
  // Servers of a cluster must know each other's ports before they start.
  const routes = count > 1 ? await freePorts(count) : [];
  const servers: NatsServer[] = [];
  const running: ChildProcess[] = [];
  for (let i = 0; i < count; i++) {
    const own = join(folder, `n${i}`);
    mkdirSync(own);
    const cluster =
      count === 1
        ? ''
        : `cluster { name: test, listen: "127.0.0.1:${routes[i]}", routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ')}] }`;
    const config = `server_name: n${i}\nlisten: "127.0.0.1:-1"\nports_file_dir: "${own}"\njetstream { store_dir: "${own}/js" }\n${cluster}\n${more(i)}\n`;
    writeFileSync(join(own, 'nats.conf'), config);
    const start = (...more: readonly string[]): ChildProcess => {
      const argv = ['-c', join(own, 'nats.conf'), '-l', join(own, 'log'), ...more];
      const child = spawn('nats-server', argv, { stdio: 'ignore' });
      running[i] = child;
      return child;
    };
    const child = start();
    let url = '';
    let websocket: string | undefined;
    await eventually(`server ${i} listens`, () => {
      if (child.exitCode !== null) throw new RangeError(readFileSync(join(own, 'log'), 'utf8'));
      const file = readdirSync(own).find((name) => name.endsWith('.ports'));
      const ports = JSON.parse((file && readFileSync(join(own, file), 'utf8')) || '{}') as {
        nats?: string[];
        websocket?: string[];
      };
      url = ports.nats?.[0] ?? '';
      websocket = ports.websocket?.[0];
      return url !== '';
    });
    servers.push({
      ...{ url, websocket, name: `n${i}` },
      kill: () => void running[i]!.kill('SIGKILL'),
      revive: () => void start('-p', new URL(url).port),
    });
  }
  return {
    servers,
    store: `nats://${servers.map(({ url }) => url.replace('nats://', '')).join(',')}`,
    async stop() {
      await Promise.all(
        running.map((child) => {
          if (child.exitCode !== null || child.signalCode !== null) return undefined;
          const ended = new Promise((resolve) => child.once('exit', resolve));
          child.kill('SIGKILL');
          return ended;
        }),
      );
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A server for all tests of a block. @returns makes a run of its own on it. */
export function runsOnOneServer(): () => Promise<Nats> {
  let servers: Servers;
  let base: Nats;
  beforeAll(async () => {
    servers = await startServer();
    base = await connectNats(parseStore(servers.store), '0'.repeat(12));
  });
  afterAll(async () => {
    await base.connection.close();
    await servers.stop();
  });
  return () =>
    natsOf(base.connection, namesOf(toHex(systemEntropy(6))), { clock: systemClock, entropy: systemEntropy });
}

async function freePorts(count: number): Promise<number[]> {
  const open = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
        }),
    ),
  );
  const ports = open.map((server) => (server.address() as { port: number }).port);
  await Promise.all(open.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

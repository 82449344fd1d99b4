/**
 * A link to test on: a proxy of TCP on the loopback that moves no more bytes a second than asked, so that "a slow link"
 * is a number.
 *
 *     node bench/link.mjs --target 127.0.0.1:7777 --listen 0 --mbit 10 --latency 40
 *
 * prints the address to dial in place of the target's, and at SIGINT or SIGTERM its counters, as JSON. `--mbit` is of
 * each direction, `--up` or `--down` of one; `--latency` and `--jitter` are of each, in ms: a round trip has them twice.
 *
 * What it is a model of: the uplink of one machine. Up is from who dials to the target. All connections share what a
 * direction has: one packet is on it at a time, a packet of each connection in turn. A packet arrives when its last byte
 * has left, `latencyMs` later, and up to `jitterMs` later still, never before the one ahead of it. What no timer can do
 * in time is late, a millisecond or so on an idle machine: a link is as slow as asked or slower, never faster.
 * What it does not have: loss, or the round trip of a handshake: a dial succeeds at once, and reaches the target after
 * the latency up. What a kernel buffers on either side is its own and not counted.
 *
 * @module
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { flagsOf } from './harness.mjs';

/** What a packet has room for. */
export const PACKET_BYTES = 1460;
/** What a connection may have in the link one way, on top of the bandwidth-delay product: late timers lose no pace. */
export const HELD_BYTES = 2 ** 20;
/** The most that a socket gives at once. It may give so twice after it was told to pause. */
const READ_BYTES = 2 ** 16;
/** Of a direction without a limit, what its bandwidth-delay product is reckoned with. */
const UNLIMITED_BYTES_PER_MS = 1e9 / 8000;
const BIN_MS = 100;
const BINS = 1000 / BIN_MS;
const HOST = '127.0.0.1';
/** Nothing is read ahead of a pause, nothing waits for more, and the end of one way is not that of the other. */
const SOCKET = { allowHalfOpen: true, noDelay: true, highWaterMark: 1 };
const NOTHING = Buffer.alloc(0);

/**
 * @typedef {{ bitsPerSecond?: number, latencyMs?: number, jitterMs?: number }} Shape without a number: no limit.
 * @typedef {{ host: string, port: number }} Address
 * @typedef {object} Passed what went one way
 * @property {number} bytes that the kernel took for the receiver
 * @property {number[]} perSecond the same, by seconds since the link was opened
 * @property {number} peakBytesPerSecond the most in any second
 * @property {number} held bytes that are in the link now
 * @property {number} mostHeld the most that any one connection had in it
 * @property {number} heldLimit which `mostHeld` never exceeds: bandwidth-delay product and `HELD_BYTES`
 * @typedef {{ connections: number, open: number, up: Passed, down: Passed }} Counters connections ever and now
 *
 * @typedef {object} Link
 * @property {string} host
 * @property {number} port
 * @property {string} address of it, for a URL: `host:port`
 * @property {() => Counters} counters
 * @property {() => void} cut resets all connections, now, and loses what is in the link; new ones are welcome
 * @property {() => void} stall moves nothing until `resume`: accepts connections, which do not reach the target, and
 *   bytes until it is full; nobody is told
 * @property {() => void} resume goes on where `stall` stopped; nothing is lost
 * @property {() => void} refuse new connections, as a port that nobody listens on; those there are stay
 * @property {() => Promise<void>} accept them again, at the same port
 * @property {() => void} close cuts and refuses, for good
 */

/** Of the packet `index` of a connection one way (0 up, 1 down): its part of `jitterMs`, from 0 to 1. A dial is one too. */
export function jitterOf(seed, connection, way, index) {
  let h = 0x9e3779b9;
  for (const word of [seed, connection, way, index]) {
    h = Math.imul(h ^ word, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    h ^= h >>> 16;
  }
  return (h >>> 0) / 2 ** 32;
}

/** Resets where possible. What is about to send its last cannot be reset until it has. */
function reset(socket) {
  if (!socket || socket.destroyed) return;
  const ending = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0;
  if (ending && !socket.connecting) setImmediate(reset, socket);
  else socket.resetAndDestroy();
}

/**
 * One direction, which all connections share. Its time is `clock`'s, which stands still in a stall.
 *
 * @param {Shape} shape
 */
function direction({ bitsPerSecond = Infinity, latencyMs = 0, jitterMs = 0 }, { seed, way, clock, stalled }) {
  if (!(bitsPerSecond > 0)) throw new RangeError(`bitsPerSecond expected a number above 0, got ${bitsPerSecond}`);
  for (const [name, ms] of Object.entries({ latencyMs, jitterMs }))
    if (!(ms >= 0 && ms < Infinity)) throw new RangeError(`${name} expected a number from 0, got ${ms}`);
  const bytesPerMs = bitsPerSecond / 8000;
  const delayed = Math.ceil(Math.min(bytesPerMs, UNLIMITED_BYTES_PER_MS) * (latencyMs + jitterMs));
  const heldLimit = delayed + HELD_BYTES;
  const opened = performance.now();
  const pipes = new Set();
  const ready = new Set(); // pipes that wait for the link, in turn
  const bins = [];
  let free = 0; // when the last packet has left
  let bytes = 0;
  let mostHeld = 0;
  let timer;

  function weigh(pipe) {
    const held = pipe.held + (pipe.from?.readableLength ?? 0);
    mostHeld = Math.max(mostHeld, held);
    return held;
  }

  /** The pipe whose turn it is of those that waited when the link was free, or else the first to wait. */
  function next() {
    let first;
    for (const pipe of ready) {
      if (pipe.waiting[0].at <= free) return pipe;
      if (!first || pipe.waiting[0].at < first.waiting[0].at) first = pipe;
    }
    return first;
  }

  /** Sends what of `pipe` has its turn: a packet, or what takes no room. */
  function send(pipe, begins) {
    const [head] = pipe.waiting;
    const part = head.bytes.subarray(0, PACKET_BYTES);
    if (part.length < head.bytes.length) head.bytes = head.bytes.subarray(part.length);
    else pipe.waiting.shift();
    ready.delete(pipe);
    if (pipe.waiting.length > 0) ready.add(pipe);
    free = begins + part.length / bytesPerMs;
    const delay = latencyMs + jitterMs * jitterOf(seed, pipe.connection, way, pipe.packets++);
    pipe.due = Math.max(pipe.due, free + delay);
    pipe.flying.push({ at: pipe.due, bytes: part, act: head.act });
  }

  function landed(pipe, length, error) {
    pipe.writing = false;
    if (error) return;
    bytes += length;
    const bin = Math.floor((performance.now() - opened) / BIN_MS);
    bins[bin] = (bins[bin] ?? 0) + length;
    if (pipe.over) return;
    weigh(pipe);
    pipe.held -= length;
    if (pipe.held < heldLimit - 2 * READ_BYTES) pipe.from.resume();
    pump();
  }

  /** Hands over what has arrived. One write at a time: what the receiver does not take stays here, and counts. */
  function deliver(pipe, now) {
    while (!pipe.writing && pipe.flying[0]?.at <= now) {
      const parts = [];
      let act;
      while (!act && pipe.flying[0]?.at <= now) {
        const packet = pipe.flying.shift();
        parts.push(packet.bytes);
        act = packet.act;
      }
      const whole = parts.length === 1 ? parts[0] : Buffer.concat(parts);
      if (whole.length > 0) {
        pipe.writing = true;
        pipe.to.write(whole, (error) => landed(pipe, whole.length, error));
      }
      act?.();
    }
    if (pipe.resetAt <= now) {
      drop(pipe);
      reset(pipe.to);
    }
  }

  function pump() {
    clearTimeout(timer);
    if (stalled()) return;
    const now = clock();
    let pipe;
    let begins = Infinity;
    while ((pipe = next()) && (begins = Math.max(free, pipe.waiting[0].at)) <= now) send(pipe, begins);
    let soonest = pipe ? begins : Infinity;
    for (const each of pipes) {
      deliver(each, now);
      if (each.over) continue;
      if (!each.writing && each.flying.length > 0) soonest = Math.min(soonest, each.flying[0].at);
      soonest = Math.min(soonest, each.resetAt);
    }
    clearTimeout(timer);
    if (soonest < Infinity) timer = setTimeout(pump, Math.max(1, Math.ceil(soonest - now)));
  }

  function wait(pipe, part, act) {
    if (pipe.over || pipe.resetAt < Infinity) return;
    pipe.waiting.push({ at: clock(), bytes: part, act });
    ready.add(pipe);
    pump();
  }

  function drop(pipe) {
    pipe.over = true;
    pipe.from?.pause();
    Object.assign(pipe, { waiting: [], flying: [], held: 0 });
    ready.delete(pipe);
    pipes.delete(pipe);
  }

  return {
    pump,
    drop,
    pipe(connection) {
      const state = { waiting: [], flying: [], held: 0, packets: 0, due: 0, writing: false, over: false };
      const pipe = { connection, from: undefined, to: undefined, resetAt: Infinity, ...state };
      pipes.add(pipe);
      return pipe;
    },
    /** Passes on what `pipe.from` says, and its end. */
    read(pipe) {
      pipe.from.on('data', (part) => {
        if (pipe.over) return;
        pipe.held += part.length;
        weigh(pipe);
        if (pipe.held >= heldLimit - 2 * READ_BYTES) pipe.from.pause();
        wait(pipe, part);
      });
      pipe.from.on('end', () => wait(pipe, NOTHING, () => pipe.to.end()));
    },
    /** What is to be done where `pipe` ends, as if it had been sent. */
    signal: (pipe, act) => wait(pipe, NOTHING, act),
    /** Passes on that the sender is gone: what has left arrives before it, what has not never does. */
    abort(pipe) {
      if (pipe.over || pipe.resetAt < Infinity) return;
      pipe.waiting = [];
      ready.delete(pipe);
      pipe.resetAt = Math.max(pipe.due, clock() + latencyMs);
      pump();
    },
    /** @returns {Passed} */
    passed() {
      const perSecond = [];
      let peakBytesPerSecond = 0;
      for (let i = 0, window = 0; i < bins.length; i++) {
        const second = Math.floor(i / BINS);
        perSecond[second] = (perSecond[second] ?? 0) + (bins[i] ?? 0);
        window += (bins[i] ?? 0) - (bins[i - BINS] ?? 0);
        peakBytesPerSecond = Math.max(peakBytesPerSecond, window);
      }
      const held = [...pipes].reduce((sum, pipe) => sum + weigh(pipe), 0);
      return { bytes, perSecond, peakBytesPerSecond, held, mostHeld, heldLimit };
    },
  };
}

const isLoopback = (host) => host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host);

/**
 * @param {object} options
 * @param {Address} options.target on this machine
 * @param {Shape} [options.up] to the target
 * @param {Shape} [options.down] from it
 * @param {number} [options.seed] of the jitter: packet by packet of a connection, what is added is the same
 * @param {number} [options.listen] the port; 0: any
 * @returns {Promise<Link>}
 */
export async function openLink({ target, up = {}, down = {}, seed = 0, listen = 0 }) {
  if (!isLoopback(target.host)) throw new RangeError(`a link is of this machine alone, got ${target.host}`);
  let stalledAt;
  let stood = 0;
  const time = {
    seed,
    clock: () => (stalledAt ?? performance.now()) - stood,
    stalled: () => stalledAt !== undefined,
  };
  const there = direction(up, { ...time, way: 0 });
  const back = direction(down, { ...time, way: 1 });
  const open = new Set();
  let connections = 0;
  let server;
  let port = listen;

  /** Of a socket: the pipe that it speaks into and the one that it hears. */
  function watch(socket, spoken, heard, connection) {
    socket.on('error', () => undefined); // 'close' follows
    socket.on('close', () => {
      connection.closed++;
      const clean = socket.readableEnded && socket.writableFinished;
      heard.by.drop(heard.pipe);
      if (!clean) spoken.by.abort(spoken.pipe);
      if (connection.closed === 2 || !connection.server) open.delete(connection);
    });
  }

  function joined(client) {
    const out = { by: there, pipe: there.pipe(connections) };
    const home = { by: back, pipe: back.pipe(connections) };
    const connection = { client, server: undefined, out, home, closed: 0 };
    connections++;
    open.add(connection);
    out.pipe.from = home.pipe.to = client;
    watch(client, out, home, connection);
    there.signal(out.pipe, () => {
      const server = connect({ ...target, ...SOCKET });
      connection.server = out.pipe.to = home.pipe.from = server;
      open.add(connection);
      watch(server, home, out, connection);
      back.read(home.pipe);
    });
    there.read(out.pipe);
  }

  async function accept() {
    if (server) return;
    const opening = createServer(SOCKET, joined).listen(port, HOST);
    await once(opening, 'listening');
    server = opening;
    port = server.address().port;
  }

  function refuse() {
    server?.close();
    server = undefined;
  }

  function cut() {
    for (const { client, server: other, out, home } of open) {
      there.drop(out.pipe);
      back.drop(home.pipe);
      reset(client);
      reset(other);
    }
    open.clear();
  }

  function resume() {
    if (stalledAt === undefined) return;
    stood += performance.now() - stalledAt;
    stalledAt = undefined;
    there.pump();
    back.pump();
  }

  await accept();
  return {
    host: HOST,
    port,
    address: `${HOST}:${port}`,
    counters: () => ({ connections, open: open.size, up: there.passed(), down: back.passed() }),
    cut,
    stall() {
      stalledAt ??= performance.now();
    },
    resume,
    refuse,
    accept,
    close() {
      refuse();
      cut();
      resume();
    },
  };
}

async function main() {
  const flags = flagsOf({ target: '', listen: 0, mbit: Infinity, up: 0, down: 0, latency: 0, jitter: 0, seed: 0 });
  const [, host, port] = /^\[?([^[\]]+)\]?:(\d+)$/.exec(flags.target) ?? [];
  if (!host) throw new RangeError(`--target expected host:port, got ${flags.target || 'nothing'}`);
  const shape = (mbit) => ({
    bitsPerSecond: (mbit || flags.mbit) * 1e6,
    latencyMs: flags.latency,
    jitterMs: flags.jitter,
  });
  const target = { host, port: Number(port) };
  const { up, down, seed, listen } = flags;
  const link = await openLink({ target, up: shape(up), down: shape(down), seed, listen });
  console.log(link.address);
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      console.log(JSON.stringify(link.counters()));
      link.close();
    });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();

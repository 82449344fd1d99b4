/**
 * The door of Murmur for browsers: a tab as a peer of a run.
 *
 *     import { join } from 'murmur/browser';
 *     const membership = join('https://host/join/kq3…', { onEvent: (event) => console.log(event) });
 *     const { digest } = await membership.finished;
 *
 * @module
 */
import type { Backend } from './engine/backend.ts';
import { Fault } from './faults.ts';
import { isNats, parseJoinLink, parseNatsLink } from './peer/link.ts';
import type { ParticipantOutcome } from './peer/participant.ts';
import type { PauseReason, WebPeerEvent } from './peer/web/events.ts';
import type { FromPeer, ToPeer } from './peer/web/peer-worker.ts';

export type { Backend } from './engine/backend.ts';
export { FAULTS, Fault, type FaultCode } from './faults.ts';
export type JoinEvent = WebPeerEvent;
export type JoinOutcome = ParticipantOutcome;

export interface JoinOptions {
  /** What others see this tab as. */
  readonly name?: string;
  /** Default: webgpu where an adapter passes the known-answer test, else wasm. */
  readonly backend?: Backend;
  /** Of WebAssembly; 1 where the page is not isolated from other origins. Default: all cores. */
  readonly threads?: number;
  /** Leaves the run while nobody sees the tab, and comes back. Default: no. */
  readonly pauseWhenHidden?: boolean;
  readonly onEvent?: (event: JoinEvent) => void;
}

export interface Membership {
  /** @throws {Fault} what cannot be cured by trying again */
  readonly finished: Promise<JoinOutcome>;
  pause(): void;
  resume(): void;
  /** Sends what is measured, and leaves. */
  leave(): void;
}

/**
 * @param link as the host printed it; of a run on NATS, with the address of the WebSocket listener of its servers:
 *     nats+wss://host:port/run/code.
 * @throws {Fault} CONFIG_INVALID
 */
export function join(link: string, options: JoinOptions = {}): Membership {
  const { name = 'a browser', backend, threads = navigator.hardwareConcurrency, pauseWhenHidden, onEvent } = options;
  const parsed = isNats(link) ? parseNatsLink(link) : parseJoinLink(link);
  if ('run' in parsed && !parsed.web)
    throw new Fault(
      'CONFIG_INVALID',
      `a browser reaches NATS by its WebSocket listener: nats+wss://host:port/run/code`,
    );
  const worker = new Worker(new URL('./peer/web/peer-worker.ts', import.meta.url), {
    type: 'module',
    name: 'murmur peer',
  });
  const say = (message: ToPeer): void => worker.postMessage(message);
  /** Why it should pause; it goes on when no reason is left. */
  const reasons = new Set<PauseReason>();
  const pauseFor = (why: PauseReason): void => {
    reasons.add(why);
    say({ type: 'pause', why });
  };
  const resumeFrom = (why: PauseReason): void => {
    if (reasons.delete(why) && reasons.size === 0) say({ type: 'resume' });
  };
  const watch = (): void => (document.hidden ? pauseFor('hidden') : resumeFrom('hidden'));

  const finished = new Promise<JoinOutcome>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromPeer>) => {
      if (data.type === 'event') onEvent?.(data.event);
      else if (data.type === 'finished') resolve(data.outcome);
      else reject(new Fault(data.code, data.detail));
    };
    worker.onerror = ({ message }) => reject(new Fault('INTERNAL', `the peer's worker failed: ${message}`));
  }).finally(() => {
    document.removeEventListener('visibilitychange', watch);
    worker.terminate();
  });
  finished.catch(() => undefined); // the caller may look later

  say({ type: 'join', link: parsed, name, backend, threads });
  if (pauseWhenHidden) {
    document.addEventListener('visibilitychange', watch);
    if (document.hidden) watch();
  }
  return {
    finished,
    pause: () => pauseFor('asked'),
    resume: () => resumeFrom('asked'),
    leave: () => say({ type: 'leave' }),
  };
}

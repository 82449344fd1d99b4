/**
 * A peer in a worker of its own: the page draws, this answers the network, and `replica-worker.ts` computes.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import type { FaultCode } from '../../faults.ts';
import { httpFetcher } from '../http-fetcher.ts';
import type { JoinLink, NatsLink } from '../link.ts';
import type { ParticipantOutcome } from '../participant.ts';
import { refusalOf } from '../replica-calls.ts';
import { openDatabase } from './database.ts';
import { webSocketDialler } from './dial.ts';
import type { PauseReason, WebPeerEvent } from './events.ts';
import { freeIdentity } from './identity.ts';
import { beginStay, type Stay } from './stay.ts';

/** What the page says; `join` first and once. */
export type ToPeer =
  | {
      readonly type: 'join';
      readonly link: JoinLink | NatsLink;
      readonly name: string;
      readonly backend: Backend | undefined;
      readonly threads: number;
    }
  | { readonly type: 'pause'; readonly why: PauseReason }
  | { readonly type: 'resume' }
  | { readonly type: 'leave' };

/** What the peer says; `finished` or `refused` last. */
export type FromPeer =
  | { readonly type: 'event'; readonly event: WebPeerEvent }
  | { readonly type: 'finished'; readonly outcome: ParticipantOutcome }
  | { readonly type: 'refused'; readonly code: FaultCode; readonly detail: string };

const say = (message: FromPeer): void => postMessage(message);

/** The system went offline: a socket may not hear of that for minutes. */
function whenOffline(lost: () => void): () => void {
  addEventListener('offline', lost);
  return () => removeEventListener('offline', lost);
}

async function begin({ link, name, backend, threads }: Extract<ToPeer, { type: 'join' }>): Promise<Stay> {
  const db = await openDatabase();
  const { secret, release } = await freeIdentity(db, navigator.locks);
  // The client of NATS is loaded by those who need it.
  const way =
    'run' in link
      ? await (await import('./nats-way.ts')).natsWay(link)
      : { link, host: httpFetcher(link.files), transport: webSocketDialler(WebSocket, whenOffline) };
  const stay = beginStay({
    ...{ ...way, secret, name, backend, threads, db },
    emit: (event) => say({ type: 'event', event }),
  });
  return { ...stay, finished: stay.finished.finally(release) };
}

let stay: Promise<Stay> | undefined;
addEventListener('message', async ({ data }: MessageEvent<ToPeer>) => {
  try {
    if (data.type === 'join') {
      stay = begin(data);
      const { finished } = await stay;
      say({ type: 'finished', outcome: await finished });
      return;
    }
    const own = await stay;
    if (data.type === 'pause') own?.pause(data.why);
    else own?.[data.type]();
  } catch (error) {
    const { code, message } = refusalOf(error);
    say({ type: 'refused', code, detail: message });
  }
});

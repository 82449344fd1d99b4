/**
 * The other end of `replica-thread.ts`: finds a device, puts it to the test, opens the replica from what the browser keeps,
 * and answers calls by name.
 *
 * @module
 */
import type { Backend } from '../../engine/backend.ts';
import { type WebEngine, webEngine } from '../../engine/web.ts';
import { Fault } from '../../faults.ts';
import { residentShelf } from '../../model/resident.ts';
import { withIdleWork } from '../idle.ts';
import { checkDevice } from '../known-answer.ts';
import { type Machine, openReplica } from '../open-replica.ts';
import { type Answering, answerCalls, type Call, type Reply } from '../replica-calls.ts';
import { webCrypto } from './crypto.ts';
import { type Database, openDatabase } from './database.ts';
import type { Found, Start } from './replica-thread.ts';
import { webEntropy } from './system.ts';
import { fileOf } from './wholes.ts';

/** The last samples are for the host to judge. */
const MAX_EVAL_SAMPLES = 1;

/** Messages are received between two turns of the event loop, and this is how a browser begins one at once. */
const turns = new MessageChannel();
const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    turns.port1.onmessage = () => resolve();
    turns.port2.postMessage(undefined);
  });

const machineOf = (db: Database): Machine => ({
  crypto: webCrypto,
  file: (blob) => fileOf(db, blob),
  shelf: residentShelf,
  tokens: async (_, __, make) => make(),
  reward: async () => undefined,
  entropy: webEntropy,
});

async function engineOn(backend: Backend, threads: number): Promise<WebEngine> {
  if (backend === 'wasm') return webEngine({ backend, threads });
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new Fault('ENGINE_FAILED', 'the browser offers no GPU; leave the backend out');
  return webEngine({ backend, threads }, adapter);
}

async function open({ manifest, backend, threads }: Start): Promise<Answering> {
  const engine = await engineOn(backend, threads);
  await checkDevice(engine);
  const { adapter, threads: own } = engine;
  postMessage({ device: { backend, adapter, threads: own } } satisfies Found);
  const opening = { manifest, maxEvalSamples: MAX_EVAL_SAMPLES };
  const replica = await openReplica(opening, machineOf(await openDatabase()), engine);
  return { replica, attend: withIdleWork(() => replica.settleOne(), nextTurn) };
}

let answer: ((message: Call | Reply) => Promise<void>) | undefined;
addEventListener('message', ({ data }: MessageEvent<Start | Call | Reply>) => {
  if ('manifest' in data) answer = answerCalls((message) => postMessage(message), open(data));
  else void answer?.(data);
});

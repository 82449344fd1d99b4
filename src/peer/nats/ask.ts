/**
 * What peers ask the leader for, piece by piece: the journal, the newest snapshot, and files that the object store does
 * not have. A request says which, from which byte, and shows the join code; the answer is as many bytes as fit into a
 * message, and how many there are in all.
 *
 * @module
 */
import { headers } from '@nats-io/nats-core';
import { FAULTS, Fault, type FaultCode } from '../../faults.ts';
import type { ByteSource } from '../../model/source.ts';
import type { BlobRef, Hex } from '../../nouns.ts';
import { fromUtf8, toUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { equalSlowly } from '../door.ts';
import { type Nats, partBytes, REQUEST_MS } from './nats.ts';

type Source = Pick<ByteSource, 'size' | 'read'>;

/** What a leader has to give. */
export interface Sources {
  journal(): Promise<Uint8Array>;
  /** What `blob` has: the base and the data. */
  readonly files: readonly BlobRef[];
  blob(sha256: Hex): Promise<Source | undefined>;
  snapshot(): Promise<{ readonly round: number; readonly root: Hex; readonly source: Source } | undefined>;
}

export interface Ask {
  readonly get: 'journal' | 'blob' | 'snapshot';
  readonly from: number;
  /** Of a blob its hash; of a snapshot, from its second piece on, the root that the first one had. */
  readonly hash?: Hex;
}

export interface Answer {
  readonly bytes: Uint8Array;
  readonly total: number;
  /** Of a snapshot. */
  readonly round: number;
  readonly root: Hex;
}

const HEADERS = { total: 'Murmur-Total', round: 'Murmur-Round', root: 'Murmur-Root', fault: 'Murmur-Fault' } as const;
/** A request longer than this is none. */
const MAX_ASK_BYTES = 1024;

interface Found {
  readonly source: Source;
  readonly round?: number;
  readonly root?: Hex;
}

/**
 * Answers until the result is called.
 * @param leads whether to answer at all: a leader that was frozen must not show how little it knows.
 */
export function answerAsks(
  nats: Nats,
  {
    me,
    joinCode,
    crypto,
    sources,
    leads,
  }: {
    readonly me: string;
    readonly joinCode: string;
    readonly crypto: Pick<Crypto, 'sha256'>;
    readonly sources: Sources;
    readonly leads: () => boolean;
  },
): () => void {
  const { connection, names } = nats;
  const codeHash = crypto.sha256(toUtf8(joinCode));
  /** The journal only grows: pieces of one reading are of the same bytes. */
  let journal: Uint8Array = new Uint8Array(0);

  async function find({ get, from, hash = '' }: Ask): Promise<Found> {
    if (get === 'journal') {
      if (from === 0 || from >= journal.length) journal = await sources.journal();
      const bytes = journal;
      return { source: { size: bytes.length, read: async (at, length) => bytes.subarray(at, at + length) } };
    }
    if (get === 'blob') {
      const source = await sources.blob(hash);
      if (source === undefined) throw new Fault('DOWNLOAD_FAILED', `the coordinator has no file ${hash}`);
      return { source };
    }
    const latest = await sources.snapshot();
    if (latest === undefined) return { source: { size: 0, read: async () => new Uint8Array(0) } };
    if (hash !== '' && hash !== latest.root) throw new Fault('DOWNLOAD_FAILED', 'there is a newer snapshot by now');
    return latest;
  }

  async function answer(data: Uint8Array): Promise<{ bytes: Uint8Array; with_: ReturnType<typeof headers> }> {
    const with_ = headers();
    try {
      const ask = parseAsk(data);
      if (ask === undefined || !equalSlowly(crypto.sha256(toUtf8(ask.code)), codeHash))
        throw new Fault('CODE_WRONG', 'the join code is not the one of this run; copy the whole link');
      const { source, round, root } = await find(ask);
      with_.set(HEADERS.total, String(source.size));
      if (round !== undefined) with_.set(HEADERS.round, String(round));
      if (root !== undefined) with_.set(HEADERS.root, root);
      const length = Math.max(0, Math.min(partBytes(nats), source.size - ask.from));
      return { bytes: length === 0 ? new Uint8Array(0) : await source.read(ask.from, length), with_ };
    } catch (error) {
      const { code, detail } = error instanceof Fault ? error : new Fault('DOWNLOAD_FAILED', 'it could not be read');
      with_.set(HEADERS.fault, `${code} ${detail}`);
      return { bytes: new Uint8Array(0), with_ };
    }
  }

  const subscription = connection.subscribe(names.ask(me), {
    callback(error, message) {
      if (error !== null || !leads()) return;
      void answer(message.data).then(({ bytes, with_ }) => {
        if (leads() && !connection.isClosed()) message.respond(bytes, { headers: with_ });
      });
    },
  });
  return () => {
    if (!connection.isClosed()) subscription.unsubscribe();
  };
}

function parseAsk(data: Uint8Array): (Ask & { readonly code: string }) | undefined {
  try {
    if (data.length > MAX_ASK_BYTES) return undefined;
    const { get, from, hash, code } = JSON.parse(fromUtf8(data) ?? '') as Record<string, unknown>;
    const known = get === 'journal' || get === 'blob' || get === 'snapshot';
    if (!known || typeof code !== 'string' || !Number.isSafeInteger(from) || Number(from) < 0) return undefined;
    return { get, from: Number(from), code, ...(typeof hash === 'string' ? { hash } : {}) };
  } catch {
    return undefined;
  }
}

/** @param leader that is asked. @throws {Fault} HOST_UNREACHABLE, DOWNLOAD_FAILED, CODE_WRONG */
export async function ask(nats: Nats, leader: string, joinCode: string, what: Ask): Promise<Answer> {
  const { connection, names } = nats;
  const text = JSON.stringify({ ...what, code: joinCode });
  const message = await connection.request(names.ask(leader), text, { timeout: 5 * REQUEST_MS }).catch((cause) => {
    throw new Fault('HOST_UNREACHABLE', `the ${what.get} could not be fetched; does the coordinator run?`, { cause });
  });
  const got = (name: keyof typeof HEADERS): string => message.headers?.get(HEADERS[name]) ?? '';
  const [code = '', ...words] = got('fault').split(' ');
  if (code !== '')
    throw new Fault(Object.hasOwn(FAULTS, code) ? (code as FaultCode) : 'DOWNLOAD_FAILED', words.join(' '));
  const bytes = new Uint8Array(message.data);
  return { bytes, total: Number(got('total')), round: Number(got('round')), root: got('root') };
}

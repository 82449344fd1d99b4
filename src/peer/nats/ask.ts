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
import { toHex } from '../../numeric/bytes.ts';
import { fromUtf8 } from '../../numeric/text.ts';
import type { Crypto } from '../../ports.ts';
import { type Nats, partBytes, REQUEST_MS } from './nats.ts';

type Source = Pick<ByteSource, 'size' | 'read'>;

/** What a leader has to give. */
export interface Sources {
  journal(): Promise<Uint8Array>;
  /** What `blob` has: the base and the data. */
  readonly files: readonly BlobRef[];
  blob(sha256: Hex): Promise<Source | undefined>;
  /** Bytes of an `OfferedSnapshot`, the newest. */
  snapshot(): Uint8Array | undefined;
  /** Of a snapshot, by its name. */
  chunk(name: Hex): Promise<Uint8Array | undefined>;
  /** Whether a code lets its holder have all this. */
  opens(code: string): boolean;
}

export interface Ask {
  readonly get: 'journal' | 'blob' | 'snapshot' | 'chunk';
  readonly from: number;
  /** Of a blob or a chunk its name; of the offer of a snapshot, from its second piece on, the hash of the first one's. */
  readonly hash?: Hex;
}

export interface Answer {
  readonly bytes: Uint8Array;
  readonly total: number;
  /** Of the offer of a snapshot. */
  readonly hash: Hex;
}

const HEADERS = { total: 'Murmur-Total', hash: 'Murmur-Hash', fault: 'Murmur-Fault' } as const;
/** A request longer than this is none. */
const MAX_ASK_BYTES = 1024;

interface Found {
  readonly source: Source;
  readonly hash?: Hex;
}

const inMemory = (bytes: Uint8Array): Source => ({
  size: bytes.length,
  read: async (at, length) => bytes.subarray(at, at + length),
});

/**
 * Answers until the result is called.
 * @param leads whether to answer at all: a leader that was frozen must not show how little it knows.
 */
export function answerAsks(
  nats: Nats,
  {
    me,
    crypto,
    sources,
    leads,
  }: {
    readonly me: string;
    readonly crypto: Pick<Crypto, 'sha256'>;
    readonly sources: Sources;
    readonly leads: () => boolean;
  },
): () => void {
  const { connection, names } = nats;
  /** The journal only grows: pieces of one reading are of the same bytes. */
  let journal: Uint8Array = new Uint8Array(0);

  async function find({ get, from, hash = '' }: Ask): Promise<Found> {
    if (get === 'journal') {
      if (from === 0 || from >= journal.length) journal = await sources.journal();
      return { source: inMemory(journal) };
    }
    if (get === 'blob') {
      const source = await sources.blob(hash);
      if (source === undefined) throw new Fault('DOWNLOAD_FAILED', `the coordinator has no file ${hash}`);
      return { source };
    }
    if (get === 'chunk') {
      const bytes = await sources.chunk(hash);
      if (bytes === undefined) throw new Fault('DOWNLOAD_FAILED', `the coordinator has no chunk ${hash}`);
      return { source: inMemory(bytes) };
    }
    const offer = sources.snapshot() ?? new Uint8Array(0);
    const own = toHex(crypto.sha256(offer));
    if (hash !== '' && hash !== own) throw new Fault('DOWNLOAD_FAILED', 'there is a newer snapshot by now');
    return { source: inMemory(offer), hash: own };
  }

  async function answer(data: Uint8Array): Promise<{ bytes: Uint8Array; with_: ReturnType<typeof headers> }> {
    const with_ = headers();
    try {
      const ask = parseAsk(data);
      if (ask === undefined || !sources.opens(ask.code))
        throw new Fault('CODE_WRONG', 'the join code is not the one of this run; copy the whole link');
      const { source, hash } = await find(ask);
      with_.set(HEADERS.total, String(source.size));
      if (hash !== undefined) with_.set(HEADERS.hash, hash);
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
    const known = get === 'journal' || get === 'blob' || get === 'snapshot' || get === 'chunk';
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
  return { bytes, total: Number(got('total')), hash: got('hash') };
}

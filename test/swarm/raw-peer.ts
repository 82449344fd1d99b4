/**
 * A peer that is driven by hand, over a real socket: it speaks the protocol as well or as badly as its test wants. It
 * has no weights: the checksum that lets it in is one that a real peer told.
 */
import { assert, onTestFinished } from 'vitest';
import { JournalReader } from '../../src/journal/reader.ts';
import type { HostMessage, PeerMessage } from '../../src/nouns.ts';
import { fromHex } from '../../src/numeric/bytes.ts';
import { httpFetcher } from '../../src/peer/http-fetcher.ts';
import { parseJoinLink } from '../../src/peer/link.ts';
import { nodeCrypto } from '../../src/peer/node/crypto.ts';
import { webSocketTransport } from '../../src/peer/node/transport-websocket.ts';
import { PROTOCOL_VERSION } from '../../src/wire/limits.ts';
import { decodeHostMessage, encodePeerMessage } from '../../src/wire/messages.ts';
import { challengeMessage, contributionMessage } from '../../src/wire/signed.ts';
import type { Running } from './processes.ts';
import { atRound } from './run.ts';

export type Open = Extract<HostMessage, { readonly type: 'open' }>;
export type Contribution = Extract<PeerMessage, { readonly type: 'contribution' }>;
type Of<T extends HostMessage['type']> = Extract<HostMessage, { readonly type: T }>;

export interface RawPeer {
  readonly slot: number;
  /** Rounds committed when it was admitted. */
  readonly head: number;
  readonly heard: readonly HostMessage[];
  readonly closed: () => boolean;
  /** The next message of a type that is not read yet, past ones first. */
  next<T extends HostMessage['type']>(type: T | readonly T[], holds?: (message: Of<T>) => boolean): Promise<Of<T>>;
  send(message: PeerMessage): void;
  sendFrame(frame: Uint8Array): void;
  /** Reports the weights of a real peer as its own, and so gets work. */
  enterAs(peer: Running): Promise<void>;
  /** Signed with the end of the journal as it has come in. */
  contribution(open: Open, codes?: readonly number[]): Contribution;
  /** Delivers to every round before `round`. @returns what it is asked for then, undefined if the run ends first. */
  deliverUntil(round: number): Promise<Open | undefined>;
  close(): void;
}

const TIMEOUT_MS = 60_000;

export async function rawPeer(link: string, number: number): Promise<RawPeer> {
  const { address, files, joinCode } = parseJoinLink(link);
  const secret = new Uint8Array(32).fill(number);
  const key = nodeCrypto.publicKey(secret);
  const transport = webSocketTransport();
  onTestFinished(() => transport.close());
  const heard: HostMessage[] = [];
  const unread: HostMessage[] = [];
  let gone = false;
  let wake: () => void = () => undefined;
  const channel = await transport.dial(address, {
    frame(bytes) {
      const message = decodeHostMessage(bytes);
      heard.push(message);
      unread.push(message);
      follow();
      wake();
    },
    closed() {
      gone = true;
      wake();
    },
  });

  let reader: JournalReader | undefined;
  /** Takes the records that continue the journal; the others have come with it. */
  function follow(): void {
    for (const message of heard)
      if (message.type === 'commit' && message.offset === reader?.position.length) reader.push(message.record);
  }

  const next: RawPeer['next'] = async (type, holds = () => true) => {
    const types: readonly string[] = [type].flat();
    const end = performance.now() + TIMEOUT_MS;
    for (;;) {
      const at = unread.findIndex((message) => types.includes(message.type) && holds(message as never));
      if (at >= 0) return unread.splice(at, 1)[0] as never;
      assert(!gone && performance.now() < end, `no ${types} came; last: ${JSON.stringify(heard.at(-1))}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
        setTimeout(resolve, 1000);
      });
    }
  };
  const sendFrame = (frame: Uint8Array): void => channel.send(frame);
  const send = (message: PeerMessage): void => sendFrame(encodePeerMessage(message));

  send({ type: 'hello', version: PROTOCOL_VERSION, key, code: joinCode, name: `raw-${number}` });
  const { nonce, run } = await next('challenge');
  send({ type: 'prove', signature: nodeCrypto.sign(secret, challengeMessage(nonce, run, key)) });
  const { slot, head } = await next('admitted');
  reader = new JournalReader(nodeCrypto, run);
  reader.read(await httpFetcher(files).journal(0));
  follow();

  const contribution: RawPeer['contribution'] = ({ round, from, count }, some) => {
    const codes = Int8Array.from(some ?? new Array<number>(count).fill(1));
    const message = contributionMessage(run, round, reader.position.anchor, from, codes);
    return { type: 'contribution', round, from, codes, signature: nodeCrypto.sign(secret, message) };
  };
  return {
    slot,
    head,
    heard,
    closed: () => gone,
    next,
    send,
    sendFrame,
    async enterAs(peer) {
      const { round, checksum } = await peer.waitFor(atRound('checksum', head));
      send({ type: 'ready', round: Number(round), checksum: fromHex(String(checksum)) });
    },
    contribution,
    async deliverUntil(round) {
      for (;;) {
        const message = await next(['open', 'done']);
        if (message.type === 'done') return undefined;
        if (message.round >= round) return message;
        send(contribution(message));
      }
    },
    close: () => channel.close('the test is over'),
  };
}

/** Says one thing to a host without an introduction. @returns the code of its answer. */
export async function greetWith(link: string, frame: Uint8Array): Promise<string> {
  const transport = webSocketTransport();
  onTestFinished(() => transport.close());
  return new Promise((answered, failed) => {
    transport
      .dial(parseJoinLink(link).address, {
        frame(bytes) {
          const message = decodeHostMessage(bytes);
          answered(message.type === 'refused' ? message.code : message.type);
        },
        closed: failed,
      })
      .then((channel) => channel.send(frame), failed);
  });
}

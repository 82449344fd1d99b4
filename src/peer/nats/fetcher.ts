/**
 * Fetches over NATS: files from the object store, everything else from the leader that a peer talks to.
 *
 * @module
 */
import { Fault } from '../../faults.ts';
import { concatBytes } from '../../numeric/bytes.ts';
import { decodeSnapshotOffer } from '../../wire/snapshot-offer.ts';
import type { ChunkSource, Fetcher } from '../fetcher.ts';
import { type Answer, type Ask, ask } from './ask.ts';
import { type Files, openFiles } from './files.ts';
import type { Nats } from './nats.ts';

/** Requests under way at once. */
const AHEAD = 4;

/** @param leader that the peer's channel was opened to. */
export function natsFetcher(nats: Nats, joinCode: string, leader: () => string | undefined): Fetcher {
  const request = (what: Ask): Promise<Answer> => {
    const to = leader();
    if (to === undefined) throw new Fault('HOST_UNREACHABLE', 'no coordinator was reached yet');
    return ask(nats, to, joinCode, what);
  };

  /** Bytes from `what.from` to `end`, or to where the first answer says it ends. */
  async function pieces(what: Ask, first: Answer, end: number = first.total): Promise<Uint8Array> {
    const size = first.bytes.length;
    const starts: number[] = [];
    for (let at = what.from + size; size > 0 && at < end; at += size) starts.push(at);
    const found = [first.bytes];
    for (let i = 0; i < starts.length; i += AHEAD)
      found.push(
        ...(await Promise.all(starts.slice(i, i + AHEAD).map((from) => request({ ...what, from })))).map(
          ({ bytes }) => bytes,
        ),
      );
    const all = concatBytes(...found).subarray(0, end - what.from);
    if (all.length !== end - what.from) throw new Fault('DOWNLOAD_FAILED', `the ${what.get} broke off`);
    return all;
  }

  const source: ChunkSource = {
    name: 'the coordinator',
    async chunk(name) {
      const one: Ask = { get: 'chunk', from: 0, hash: name };
      return pieces(one, await request(one));
    },
  };

  let files: Promise<Files | undefined> | undefined;
  return {
    async journal(from) {
      const what: Ask = { get: 'journal', from };
      const first = await request(what);
      // Every record that a peer has is in the log; a coordinator that lacks one has been overtaken and will notice.
      if (first.total < from)
        throw new Fault('HOST_UNREACHABLE', 'the coordinator that was asked is behind; another should lead by now');
      return pieces(what, first);
    },
    async blob(sha256, from, length) {
      files ??= openFiles(nats, false).catch(() => undefined); // there is none, or it is not for us: the leader helps
      const stored = await (await files)?.get(sha256, from, length).catch(() => undefined);
      if (stored !== undefined) return stored;
      const what: Ask = { get: 'blob', from, hash: sha256 };
      const first = await request(what);
      return pieces(what, first, Math.min(first.total, from + length));
    },
    async snapshot() {
      const what: Ask = { get: 'snapshot', from: 0 };
      const first = await request(what);
      if (first.total === 0) return undefined;
      const offer = decodeSnapshotOffer(await pieces({ ...what, hash: first.hash }, first));
      const { round, leaves, sums, standing } = offer;
      if (leaves.length === 0) throw new Fault('DOWNLOAD_FAILED', 'the coordinator offers a snapshot of nothing');
      return {
        ...{ round, leaves, sources: [source] },
        ...(sums.length > 0 ? { sums } : {}),
        ...(standing.length > 0 ? { standing } : {}),
      };
    },
  };
}

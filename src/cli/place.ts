/**
 * A coordinator's place beside others, where a run is kept on NATS (`--store`): connects, stands by, leads when it is its
 * turn, and says what came of a run that ended under another.
 *
 * @module
 */
import { hostname } from 'node:os';
import { join } from 'node:path';
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';
import { toHex } from '../numeric/bytes.ts';
import { toUtf8 } from '../numeric/text.ts';
import { OPEN_CODE } from '../peer/admission.ts';
import type { Outcome } from '../peer/events.ts';
import type { Host } from '../peer/host.ts';
import { natsLink, parseStore } from '../peer/link.ts';
import { type Leadership, openCoordinator } from '../peer/nats/coordinator.ts';
import { runName } from '../peer/nats/names.ts';
import { nodeCrypto } from '../peer/node/crypto.ts';
import { connectNats } from '../peer/node/nats.ts';
import { JOURNAL_FILE } from '../peer/node/run-folder.ts';
import { openFileStore } from '../peer/node/store.ts';
import type { RunConfig } from './config.ts';
import type { Output } from './output.ts';
import { checkSameRun } from './prepare.ts';
import { withPerplexity } from './report.ts';
import { onInterrupt } from './signals.ts';

export interface Place {
  /** For peers: to whichever coordinator leads. */
  readonly link: string;
  readonly joinCode: string;
  /**
   * Waits to lead.
   * @param following is called when another is found to lead. @returns undefined when the run ended under another, or it was interrupted.
   * @throws {Fault} OUTPUT_EXISTS if the others have other settings
   */
  lead(following: () => void): Promise<Leadership | undefined>;
  /** @returns undefined when another leads now. */
  whileLeading(host: Host): Promise<Outcome | undefined>;
  /** Of a run that ended under another. @throws {Fault} INTERRUPTED if it did not */
  result(seconds: number): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Another coordinator has begun to write. */
const isLost = (error: unknown): boolean => error instanceof Fault && error.code === 'LEASE_LOST';

/** Join code of all coordinators with one key, so that a link outlives each of them. 96 bits. */
const codeOf = (secret: Uint8Array): string =>
  toHex(nodeCrypto.sha256(toUtf8('murmur join code v1\0'), secret)).slice(0, 24);

/** @throws {Fault} CONFIG_INVALID, STORE_UNREACHABLE, JOURNAL_* */
export async function openPlace(
  { store, nats_creds, admission, code, name, output_dir: folder }: RunConfig,
  draft: Manifest,
  secret: Uint8Array,
  output: Output,
): Promise<Place> {
  if (draft.exchange)
    throw new Fault(
      'CONFIG_INVALID',
      'store: a run that exchanges vectors keeps its chunks in the folder of one coordinator; leave the key out',
    );
  const servers = parseStore(store!);
  const run = runName(nodeCrypto.publicKey(secret));
  const joinCode = admission === 'open' ? OPEN_CODE : (code ?? codeOf(secret));
  const file = await openFileStore(join(folder, JOURNAL_FILE));
  const nats = await connectNats(servers, run, nats_creds);
  let isFollowing = (): void => undefined;
  const coordinator = await openCoordinator({
    ...{ nats, file, crypto: nodeCrypto, name: name ?? hostname() },
    onEvent(event) {
      output.event({ ...event });
      if (event.state === 'following') isFollowing();
    },
  });
  const link = natsLink(servers, run, joinCode);
  output.event({ event: 'link', link });
  let leadership: Leadership | undefined;
  return {
    link,
    joinCode,
    async lead(following) {
      isFollowing = following;
      const released = onInterrupt({ first: coordinator.stop, second: () => process.exit(130) }, output);
      leadership = await coordinator.lead().finally(released);
      const ledger = coordinator.ledger();
      if (ledger) checkSameRun(folder, ledger.manifest, draft);
      return leadership;
    },
    async whileLeading(host) {
      let lost = false;
      leadership?.onLost(() => {
        lost = true;
        host.abort();
      });
      const outcome = await host.finished.catch((error) => {
        if (isLost(error)) return undefined;
        throw error;
      });
      return lost && outcome?.reason === 'aborted' ? undefined : outcome;
    },
    result(seconds) {
      const ledger = coordinator.ledger();
      const digest = ledger?.digests.get(ledger.manifest.max_steps);
      if (!ledger || !digest)
        throw new Fault('INTERRUPTED', 'stopped while another coordinator leads; repeat the command to stand by again');
      const { max_steps, task } = ledger.manifest;
      return {
        ...withPerplexity(ledger.evaluated.get(max_steps) ?? {}, task),
        ...{ rounds: ledger.round, digest: toHex(digest), seconds: Math.round(seconds * 10) / 10 },
      };
    },
    async close() {
      await coordinator.close();
      await nats.connection.close();
      await file.close();
    },
  };
}

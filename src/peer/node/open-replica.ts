/**
 * What `peer/open-replica.ts` opens, from files of this machine.
 *
 * @module
 */

import { cachedTokens } from '../../data/node/token-cache.ts';
import { Fault } from '../../faults.ts';
import type { Learner } from '../../method/onebyte.ts';
import { fileSource } from '../../model/node/files.ts';
import { pageFile } from '../../model/node/page-file.ts';
import { offloadedShelf } from '../../model/offloaded.ts';
import { residentShelf } from '../../model/resident.ts';
import type { Hex, Manifest, View } from '../../nouns.ts';
import type { Engine } from '../../ports.ts';
import type { LocalReplica } from '../local-replica.ts';
import * as anywhere from '../open-replica.ts';
import { nodeCrypto } from './crypto.ts';
import { loadReward, rewardOf } from './reward.ts';
import { systemEntropy } from './system.ts';

export type { MakeData, Measuring, OpenedReplica as NodeReplica } from '../open-replica.ts';

/** What a replica is opened from. Plain data: it crosses to a worker thread. */
export interface ReplicaSpec extends anywhere.Opening {
  /** Where the files that the manifest names lie on this machine, by hash. */
  readonly paths: Readonly<Record<Hex, string>>;
  /** Threads of ONNX Runtime. */
  readonly threads: number;
  /** Folder to keep the blocks of the model in, for models larger than memory. */
  readonly offloadFolder?: string | undefined;
  /** Folder to keep the tokens of texts in, so that they are made once. */
  readonly tokenCache?: string | undefined;
}

/** @throws {Fault} CONFIG_INVALID for a run whose replicas keep more than weights */
export function checkOffload({ optimizer }: Pick<Manifest, 'optimizer'>, folder: string | undefined): void {
  if (optimizer?.kind === 'adam' && folder !== undefined)
    throw new Fault(
      'CONFIG_INVALID',
      'offload_folder: optimizer adam keeps 16 bytes a weight in memory, which a model on disk has no room for; leave it out',
    );
}

const machineOf = (spec: ReplicaSpec): anywhere.Machine => ({
  crypto: nodeCrypto,
  async file({ sha256 }) {
    const path = spec.paths[sha256];
    return path === undefined ? undefined : fileSource(path);
  },
  shelf: async (pages, scratch, make) =>
    spec.offloadFolder === undefined
      ? residentShelf(pages, scratch, make)
      : offloadedShelf(pages, scratch, make, await pageFile(spec.offloadFolder)),
  tokens: (tokenizer, text, make) => cachedTokens(spec.tokenCache, tokenizer, text, make),
  reward: () => rewardFrom(spec),
  entropy: systemEntropy,
});

/** The user's copy of the run's reward, where one was named. */
async function rewardFrom({ manifest, paths }: ReplicaSpec): Promise<Learner['reward']> {
  const reward = rewardOf(manifest);
  const path = reward && paths[reward.sha256];
  return reward && path !== undefined ? loadReward(path, reward) : undefined;
}

/** @throws {Fault} FILE_MISSING, MODEL_*, TOKENIZER_MISMATCH, DATA_INVALID, LABEL_WORD, CONFIG_INVALID, TOO_LARGE */
export async function openLearner(
  spec: ReplicaSpec,
  engine: Engine,
  makeData?: anywhere.MakeData,
): Promise<anywhere.Opened> {
  checkOffload(spec.manifest, spec.offloadFolder);
  return anywhere.openLearner(spec, machineOf(spec), engine, makeData);
}

/** @throws {Fault} as `openLearner` */
export async function openReplica(spec: ReplicaSpec, engine: Engine): Promise<anywhere.OpenedReplica & LocalReplica> {
  checkOffload(spec.manifest, spec.offloadFolder);
  return anywhere.openReplica(spec, machineOf(spec), engine);
}

/** @param names of the files of a base. @param path where one of them lies on this machine. */
export const openModel = (
  names: ReadonlySet<string>,
  path: (name: string) => string,
  view: View,
): Promise<Pick<anywhere.Base, 'config' | 'model' | 'checkpoint'>> =>
  anywhere.openModel(names, (name) => fileSource(path(name)), view);

/** A base, but for its weights. @param names @param path as `openModel` */
export const openBase = (
  names: ReadonlySet<string>,
  path: (name: string) => string,
  of: Pick<Manifest, 'view' | 'seed'>,
): Promise<anywhere.Base> => anywhere.openBase(names, (name) => fileSource(path(name)), of);

/**
 * Which checkpoint a run goes on from, where one is asked for. The journal is the truth and rebuilds any round; a
 * checkpoint saves time. So what is refused here is what the user would be wrong about: a checkpoint that is not there,
 * is not of this run, or is not its last.
 *
 * @module
 */
import { join } from 'node:path';
import { Fault } from '../../faults.ts';

/** `round` of a `checkpoint-N`; absent: the last one, if there is any. */
export interface Asked {
  readonly round?: number | undefined;
}

const nameOf = (folder: string, round: number): string => join(folder, `checkpoint-${round}`);

/**
 * @param present rounds of the checkpoints in `folder`, ascending. @param digests of the journal, by round.
 * @returns the round of the one to go on from; undefined where the journal is all there is.
 * @throws {Fault} FILE_MISSING, CHECKPOINT_WRONG
 */
export function chooseCheckpoint(
  folder: string,
  present: readonly number[],
  digests: ReadonlyMap<number, unknown>,
  { round }: Asked,
): number | undefined {
  const last = present.findLast((at) => digests.has(at));
  if (round === undefined || round === last) return last;
  const name = nameOf(folder, round);
  const remedy = last === undefined ? 'name the folder: its journal has it all' : `name ${nameOf(folder, last)}`;
  if (!present.includes(round)) throw new Fault('FILE_MISSING', `${name} is not there; ${remedy}`);
  if (!digests.has(round))
    throw new Fault(
      'CHECKPOINT_WRONG',
      `${name} is not of this run: its journal has no digest of round ${round}; ${remedy}`,
    );
  throw new Fault(
    'CHECKPOINT_WRONG',
    `${name} is not the last of this run; ${remedy}, or have later rounds forgotten by "murmur rewind"`,
  );
}

/** @param restored round of the checkpoint that was what the journal says. @throws {Fault} CHECKPOINT_WRONG */
export function requireRestored(folder: string, chosen: number | undefined, restored: number | undefined): void {
  if (chosen === undefined || chosen === restored) return;
  throw new Fault(
    'CHECKPOINT_WRONG',
    `${nameOf(folder, chosen)} is damaged or of another run: it is not what the journal says; delete it, and the journal rebuilds it`,
  );
}

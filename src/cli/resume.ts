/**
 * `--resume_from_checkpoint`, as the Hugging Face Trainer has it: `true` for what is in `output_dir`, or a folder, or a
 * checkpoint in one.
 *
 * @module
 */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Fault } from '../faults.ts';
import type { Manifest } from '../nouns.ts';
import type { Asked } from '../peer/node/resume.ts';

/** A folder that a run goes on in. */
export interface Resume extends Asked {
  readonly folder: string;
}

/** Of a training on one machine, below `output_dir`. */
export const STATE_FILE = 'training.state';

/** @param value of the key. @param outputDir what `true` means. @returns undefined where nothing is asked for. */
export function resumeOf(value: boolean | string | undefined, outputDir: string): Resume | undefined {
  if (value === undefined || value === false || value === 'false') return undefined;
  if (value === true || value === 'true') return { folder: outputDir };
  const last = basename(value); // without a slash at the end
  if (last === STATE_FILE) return { folder: dirname(value) };
  const round = /^checkpoint-(\d+)$/.exec(last)?.[1];
  return round === undefined ? { folder: value } : { folder: dirname(value), round: Number(round) };
}

/** @param begun the run in the folder. @throws {Fault} FILE_MISSING where there is none */
export async function requireRun({ folder }: Resume, begun: Manifest | undefined): Promise<void> {
  if (begun) return;
  const isAlone = await isThere(join(folder, STATE_FILE));
  throw new Fault(
    'FILE_MISSING',
    isAlone
      ? `${folder} holds a training of one machine, and no journal; give the --method that it was begun with`
      : `${folder} holds no run to resume; name its output_dir, or leave --resume_from_checkpoint out to begin one`,
  );
}

/** @throws {Fault} FILE_MISSING where no state was saved; CONFIG_INVALID */
export async function requireState({ folder, round }: Resume): Promise<void> {
  if (round !== undefined)
    throw new Fault(
      'CONFIG_INVALID',
      `--resume_from_checkpoint: what one machine trains alone has one state, ${STATE_FILE}, and no checkpoint-${round}; name the folder`,
    );
  if (await isThere(join(folder, STATE_FILE))) return;
  throw new Fault(
    'FILE_MISSING',
    `${folder} holds no ${STATE_FILE} to resume; name its output_dir, or leave --resume_from_checkpoint out to begin one`,
  );
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

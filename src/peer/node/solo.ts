/**
 * A run of one peer in this process, without sockets, signatures or files: what a comparison of methods wants many of.
 * The arithmetic is that of every run, so its weights are, bit for bit, those of a swarm that measured the same records.
 *
 * @module
 */
import type { Manifest, Round } from '../../nouns.ts';
import { codeSums } from '../../optimizer/gain.ts';
import { headerOf, usableCodes } from '../../optimizer/header.ts';
import { extend } from '../ledger.ts';
import type { NodeReplica } from './open-replica.ts';

/** Held-out metrics of the weights after so many rounds. */
export interface Judged {
  readonly round: number;
  readonly metrics: Readonly<Record<string, number>>;
  /** Milliseconds of measuring and applying up to there, evaluations left out. */
  readonly spent: number;
}

export interface SoloOptions {
  /** Rounds between evaluations. The base and the last round are always judged. */
  readonly evalSteps: number;
  readonly now: () => number;
  /** Asked before every round. */
  readonly isStopped?: () => boolean;
  /** Hears every evaluation. @returns why the run is over, if it is. */
  readonly judge?: (judged: Judged) => string | undefined;
}

export interface SoloOutcome {
  readonly judged: readonly Judged[];
  /** Rounds applied. */
  readonly rounds: number;
  /** What `judge` said. */
  readonly stopped?: string;
}

/** @param replica of the manifest, at its base. @throws {Fault} RANGE */
export async function soloRun(
  manifest: Manifest,
  replica: NodeReplica,
  { evalSteps, now, isStopped = () => false, judge = () => undefined }: SoloOptions,
): Promise<SoloOutcome> {
  const { max_steps, records_per_round } = manifest;
  const judged: Judged[] = [];
  let ledger = extend(undefined, { type: 'manifest', manifest });
  let spent = 0;

  const look = async (): Promise<string | undefined> => {
    const one = { round: ledger.round, metrics: await replica.evaluate(), spent };
    judged.push(one);
    return judge(one);
  };

  let stopped = await look();
  while (stopped === undefined && ledger.round < max_steps && !isStopped()) {
    const from = now();
    const { round: number, scale } = ledger;
    const codes = await replica.measure(
      { round: number, scale: scale.scale, clip: manifest.clip },
      0,
      records_per_round,
    );
    const segments = [{ slot: 0, from: 0, codes }];
    const usable = usableCodes(segments);
    const header = headerOf(manifest, scale, number, usable, codeSums(segments, manifest.clip));
    const round: Round = { header, segments };
    await replica.apply([round]);
    ledger = extend(ledger, { type: 'round', round });
    spent += now() - from;
    if (ledger.round % evalSteps === 0 || ledger.round === max_steps) stopped = await look();
  }
  return { judged, rounds: ledger.round, ...(stopped === undefined ? {} : { stopped }) };
}

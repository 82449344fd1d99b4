/**
 * A step that is tried before it is sent (ZO-SGD-Cons of ZO-Bench, arXiv:2402.11592, section 3):
 *
 *     argmin of L(θ), L(θ - η g z), L(θ + η g z) on the samples that measured g
 *
 * and what is sent is 0, g or -g: one byte still, and the round stays a sum. Alone in its round, a record thus never
 * raises the loss of its own samples.
 *
 * Departures: the trial goes along what is sent, the byte, and not along the float; θ is never moved, where the published
 * code takes 1, -2 and 0 to 2 steps of an optimizer, which is wrong for one that remembers.
 *
 * @module
 */
import { batchExamples } from '../data/batch.ts';
import { type Direction, NO_LOSS } from '../nouns.ts';
import { decodeSlope, encodeSlope } from '../numeric/byte.ts';
import type { Kept } from '../numeric/mask.ts';
import { headOf } from '../objective/forward.ts';
import { sequenceLosses } from '../objective/loss.ts';
import { type Measurement, meansOf, type Probe, sidesOf, spsa } from './spsa.ts';

/** Losses of each probe where the weights are. @returns (probes) */
async function lossesHere(m: Measurement, probes: readonly Probe[]): Promise<Float64Array> {
  const examples = probes.flatMap((probe) => probe.examples);
  const batches = batchExamples(examples, m.positions);
  const [outputs] = await m.forward.run(batches, headOf(m.task), { kind: 'none' }, m.choices);
  const losses = new Float64Array(examples.length);
  for (const [i, batch] of batches.entries())
    for (const [s, loss] of sequenceLosses(m.task, batch, outputs![i]!).entries()) losses[batch.members[s]!] = loss;
  return meansOf(probes, losses);
}

/** A loss that is not a number is never the least. */
const orWorst = (loss: number): number => (Number.isNaN(loss) ? Number.POSITIVE_INFINITY : loss);

/** What to send for a code. @param here loss without a step. @param there with that of the code. @param back with the opposite. */
export function chosen(code: number, here: number, there: number, back: number): number {
  const least = Math.min(orWorst(here), orWorst(there), orWorst(back));
  if (here === least) return 0;
  return there === least ? code : -code;
}

/**
 * Codes of many probes, each tried by itself: four forward passes and a fifth for all at the weights as they are.
 *
 * @param rate η: learning rate of the round.
 * @param scale @param clip of the round's bytes.
 * @returns (probes) NO_LOSS where a loss along z was not a number.
 */
export async function conservative(
  measurement: Measurement,
  direction: Direction,
  eps: number,
  probes: readonly Probe[],
  kept: Kept,
  { rate, scale, clip }: { readonly rate: number; readonly scale: number; readonly clip: number },
): Promise<Int8Array> {
  const slopes = await spsa(measurement, direction, eps, probes, kept);
  const here = await lossesHere(measurement, probes);
  const codes = Int8Array.from(slopes, (slope) => encodeSlope(slope, scale, clip));
  for (const [i, code] of codes.entries()) {
    if (code === NO_LOSS || code === 0) continue;
    const delta = rate * direction.scale * decodeSlope(code, scale);
    const { above, below } = await sidesOf(measurement, direction, delta, [probes[i]!], kept);
    codes[i] = chosen(code, here[i]!, meansOf([probes[i]!], below)[0]!, meansOf([probes[i]!], above)[0]!);
  }
  return codes;
}

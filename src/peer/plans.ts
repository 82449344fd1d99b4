/**
 * The shapes of all calls that a replica may make: what memory is taken for before anything is computed.
 *
 * @module
 */
import { batchExamples, sequencesFor } from '../data/batch.ts';
import type { Dims, Model } from '../model/stage.ts';
import type { Example, Manifest, Precision } from '../nouns.ts';
import { longestText } from '../objective/decode.ts';
import { headOf, type Plan } from '../objective/forward.ts';
import type { PerturbationKind } from '../objective/perturbation.ts';

/** One call of every shape that training, evaluation and generation may make. */
export function plansOf(
  manifest: Pick<Manifest, 'task' | 'direction' | 'forward_precision' | 'objective'>,
  model: Model,
  train: readonly Example[],
  held: readonly Example[],
): Plan[] {
  const { task, objective, forward_precision } = manifest;
  const { kind, rank } = manifest.direction;
  const head = headOf(task);
  // One example of each length, in the largest call that it may be part of.
  const shapes = (examples: readonly Example[]): Dims[] => {
    const all = examples.flatMap((example) => [example, ...(example.choice?.candidates ?? [])]);
    const lengths = new Map(all.map((example) => [`${example.tokens.length} ${example.at.length}`, example]));
    const batches = batchExamples([...lengths.values()], model.positions);
    return batches.map(({ tokens, scored }) => ({ sequences: sequencesFor(tokens), tokens, scored }));
  };
  // What is measured in int8 is compared with f32 before a run begins, and judged in f32 always.
  const precisions: readonly Precision[] = forward_precision === 'f32' ? ['f32'] : ['f32', forward_precision];
  const probes = precisions.map((precision): PerturbationKind => {
    return kind === 'lowrank' ? { kind: 'sided', rank, precision } : { kind: 'dense' };
  });
  const none = { kind: 'none' } as const;
  return [
    ...shapes(train).flatMap((dims) => probes.map((perturbation): Plan => ({ dims, head, perturbation }))),
    ...shapes(held).map((dims): Plan => ({ dims, head, perturbation: none })),
    ...writingPlans(model, none),
    // What is written on both sides of a direction is written like any text.
    ...(objective === undefined || objective === 'accuracy' ? [] : probes.flatMap((p) => writingPlans(model, p))),
  ];
}

/** Calls that write texts: the longest, and the one with the most of them. Every other takes less of everything. */
function writingPlans(model: Model, perturbation: PerturbationKind): Plan[] {
  const longest = longestText(model);
  const most = Math.min(longest, FULL_CALL);
  const head = { kind: 'logits' } as const;
  return [longest, most].map((tokens): Plan => {
    const dims = { sequences: sequencesFor(tokens), tokens, scored: 1, past: tokens };
    return { dims, head, perturbation };
  });
}

/** The longest sequence of which a call takes as many as of the shortest. */
const FULL_CALL = 64;

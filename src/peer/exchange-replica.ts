/**
 * A replica of a run that exchanges vectors: the weights that the journal says, and beside them those that the peer has
 * trained on its own and has not yet given up.
 *
 * @module
 */
import { checksum, leaves, root } from '../apply/digest.ts';
import { addFlat, differenceOf, type Flat, flatOf, partOf, readFlat, writeFlat } from '../apply/flat.ts';
import { Fault } from '../faults.ts';
import { applyGradient, gradientOf, type Trainee, trainee } from '../method/backprop.ts';
import { mix } from '../method/diloco.ts';
import {
  fragmentsOf,
  innerRate,
  isDropped,
  isLocal,
  isSeparable,
  isTentative,
  mergeRate,
  samplesOf,
  stepOf,
} from '../method/exchange.ts';
import {
  chunksOf,
  copyOf,
  type MergeState,
  mergeState,
  mixShares,
  type Summed,
  settleShares,
  sumShares,
  valuesOf,
} from '../method/merge.ts';
import type { Learner } from '../method/onebyte.ts';
import type { Model } from '../model/stage.ts';
import { elementsOf, pagesOf } from '../model/weights.ts';
import { CHUNK_WEIGHTS, type Example, type Exchange } from '../nouns.ts';
import { equalBytes } from '../numeric/bytes.ts';
import type { Backward } from '../objective/backward.ts';
import { checkRevocable } from '../optimizer/algebra.ts';
import { globalNorm, squares } from '../optimizer/clip.ts';
import type { Crypto } from '../ports.ts';
import { chunkLengths } from '../wire/chunks.ts';
import { evaluate } from './evaluate.ts';
import type { InTurn } from './local-replica.ts';
import type { Exchanger, Merged, Replica } from './replica.ts';
import { takeSnapshot, writeSnapshot } from './snapshot.ts';

export interface ExchangeReplica extends Replica {
  readonly exchange: Exchanger;
}

/** A fragment of the weights: where its tensors lie, and what is kept of it. */
interface Fragment {
  readonly flat: Flat;
  readonly parts: readonly Part[];
  /** As the journal says; undefined while the weights themselves are that. */
  merged?: Int32Array;
}

/** What of a fragment is merged together: a chunk where that is possible. */
interface Part {
  readonly from: number;
  readonly flat: Flat;
  /** Values of its chunks, and the first of them among those of the fragment. */
  readonly chunks: readonly number[];
  readonly first: number;
  /** Of whoever merges it. */
  state?: MergeState | undefined;
  summed?: Summed | undefined;
  /** What it came to, and the state that follows if just that is in the journal, which it may never be. */
  tried?: { readonly state: MergeState; readonly chunks: readonly Uint8Array[] } | undefined;
}

/** @param separable whether chunks are merged apart. */
function partsOf(flat: Flat, separable: boolean): Part[] {
  const lengths = chunkLengths(flat.length);
  if (!separable) return [{ from: 0, flat, chunks: lengths, first: 0 }];
  return lengths.map((length, i) => {
    const from = i * CHUNK_WEIGHTS;
    return { from, flat: partOf(flat, from, length), chunks: [length], first: i };
  });
}

/** @param held examples to evaluate on. @param turn of everything that uses the learner. */
export function exchangeReplica(
  learner: Learner,
  model: Model,
  backward: Backward,
  exchange: Exchange,
  held: readonly Example[],
  crypto: Crypto,
  turn: InTurn,
): ExchangeReplica {
  const { weights, manifest, dataset } = learner;
  const view = new Set(learner.view);
  const specs = new Map(weights.tensors.map((tensor) => [tensor.id, tensor]));
  const pages = pagesOf(model)
    .map((page) => page.filter(({ id }) => view.has(id)))
    .filter(({ length }) => length > 0)
    .map((page) => ({ ids: page.map(({ id }) => id), elements: elementsOf(page) }));
  const fragments: readonly Fragment[] = fragmentsOf(pages, exchange.fragments).map((ids) => {
    const flat = flatOf(ids.map((id) => specs.get(id)!));
    return { flat, parts: partsOf(flat, isSeparable(exchange)) };
  });
  /** Parts that were summed last. */
  let summing: readonly Part[] = [];
  const of: Trainee = trainee(learner, backward, exchange, (id) => view.has(id));
  /** Whether peers take steps of their own, or hand in gradients; whether their weights part from those of the journal. */
  const descends = isLocal(exchange);
  const departs = descends || exchange.kind === 'acco';
  let rounds = 0;
  let stepped = false;
  /** Where peers hand in gradients: Σ over the batches since the last share. */
  let gradient: Float32Array | undefined;
  let batchesIn = 0;
  /** Rounds whose share stayed here: the weights that led to it do as well. */
  const keeps = new Set<number>();

  const fragmentOf = (round: number): Fragment => fragments[round % fragments.length]!;

  /** Before the first step of its own, a peer's weights are those of the journal. */
  async function depart(): Promise<void> {
    for (const fragment of fragments) fragment.merged ??= await readFlat(weights, fragment.flat);
  }

  /** Puts the weights of the journal in place of the peer's own. @returns what takes that back. */
  async function showMerged(): Promise<() => Promise<void>> {
    const own: Int32Array[] = [];
    for (const { flat, merged } of fragments) {
      if (merged === undefined) continue;
      own.push(await readFlat(weights, flat));
      await writeFlat(weights, flat, merged);
    }
    return async () => {
      if (own.length > 0) for (const [i, { flat }] of fragments.entries()) await writeFlat(weights, flat, own[i]!);
    };
  }

  /** Weights as the journal says, for as long as `work` takes. */
  async function asMerged<T>(work: () => Promise<T>): Promise<T> {
    const back = await showMerged();
    return work().finally(back);
  }

  async function takeStep(slot: number, t: number): Promise<{ loss: number; norm: number }> {
    const examples = dataset.train;
    const batches = Array.from({ length: exchange.gradient_accumulation_steps }, (_, batch) =>
      samplesOf(manifest, exchange, slot, examples.length, t, batch).map((index) => examples[index]!),
    );
    const found = await gradientOf(of, batches);
    stepped ||= descends;
    if (descends) return { loss: found.loss, norm: await applyGradient(of, found, innerRate(manifest, exchange, t)) };
    const { flat } = fragmentOf(0);
    gradient ??= new Float32Array(flat.length);
    batchesIn++;
    for (const { name, at } of flat.spans) {
      const g = found.tensors.get(name)!;
      for (let i = 0; i < g.length; i++) gradient[at + i]! += g[i]!;
    }
    return { loss: found.loss, norm: globalNorm(found.tensors.values()) };
  }

  /** The peer's own weights of the next round, where it has heard the others. */
  async function mixed({ flat, merged }: Fragment, others: readonly (readonly Uint8Array[])[]): Promise<Int32Array> {
    const change = mixShares(exchange, differenceOf(flat, merged!, await readFlat(weights, flat)), others);
    const own = merged!.slice();
    addFlat(
      flat,
      own,
      Float32Array.from(change, (x) => -x),
    );
    return own;
  }

  /** A merge is in the journal: where it is the one that was made here, so is the state that it left. */
  function adopt(part: Part, merge: readonly Uint8Array[]): void {
    const { tried, first } = part;
    part.summed = undefined;
    part.tried = undefined;
    if (tried?.chunks.every((chunk, i) => equalBytes(chunk, merge[first + i]!))) part.state = tried.state;
  }

  /** Adds the merge of the present round to the weights. */
  async function take(fragment: Fragment, { chunks, others }: Merged): Promise<void> {
    const { flat, merged, parts } = fragment;
    for (const part of parts) adopt(part, chunks);
    const tentative = isTentative(exchange, rounds);
    if (tentative && merged === undefined) return; // who takes no steps has no use for an estimate
    const own = merged && others && (await mixed(fragment, others));
    const next = tentative ? merged!.slice() : (merged ?? (await readFlat(weights, flat)));
    addFlat(flat, next, valuesOf(exchange.format, chunks, flat.length));
    if (merged === undefined || !descends) await writeFlat(weights, flat, next);
    else if (own) await writeFlat(weights, flat, own);
    else if (!keeps.has(rounds)) {
      const local = await readFlat(weights, flat);
      mix(local, next, exchange.mixing);
      await writeFlat(weights, flat, local);
    }
  }

  const exchanger: Exchanger = {
    train: (slot, round, from, count) =>
      turn(async () => {
        if (departs) await depart();
        let sum = 0;
        let norm = 0;
        for (let i = 0; i < count; i++) {
          const step = await takeStep(slot, stepOf(exchange, round, from + i));
          sum += step.loss;
          norm = step.norm;
        }
        return { loss: sum / count, grad_norm: norm };
      }),

    share: (slot, round) =>
      turn(async () => {
        const { flat, merged } = fragmentOf(round);
        if (isDropped(manifest, exchange, slot, round) && !keeps.has(round)) {
          keeps.add(round);
          return undefined;
        }
        keeps.delete(round);
        if (!descends) {
          const mean = (gradient ?? new Float32Array(flat.length)).map((sum) => sum / batchesIn);
          gradient = undefined;
          batchesIn = 0;
          return chunksOf(exchange.format, mean);
        }
        return chunksOf(exchange.format, differenceOf(flat, merged!, await readFlat(weights, flat)));
      }),

    sum: (shares, parts) =>
      turn(async () => {
        const all = fragmentOf(rounds).parts;
        for (const [index, part] of all.entries()) {
          part.summed = undefined;
          // What somebody else makes now is not remembered here: what is kept would be of long ago when it comes back.
          if (!parts.includes(index)) part.state = undefined;
        }
        const squared: number[] = [];
        const refused = new Set<number>();
        let first = 0;
        summing = parts.map((index) => all[index]!);
        for (const part of summing) {
          const own = shares.map((share) => ({
            ...share,
            chunks: share.chunks.slice(first, first + part.chunks.length),
          }));
          first += part.chunks.length;
          part.state ??= mergeState(exchange, part.flat.length);
          part.summed = sumShares(exchange, part.flat.length, own, part.state, rounds);
          for (const slot of part.summed.refused) refused.add(slot);
          squared.push(squares(part.summed.mean));
        }
        return { squares: squared, refused: [...refused] };
      }),

    settle: (norm) =>
      turn(async () => {
        const fragment = fragmentOf(rounds);
        const q = fragment.merged ?? (await readFlat(weights, fragment.flat));
        const settling = { round: rounds, rate: mergeRate(manifest, exchange, rounds), norm };
        return summing.flatMap((part) => {
          const { flat, from, summed } = part;
          if (summed === undefined) return []; // of a round that is over
          const state = copyOf(part.state!);
          const own = q.subarray(from, from + flat.length);
          const chunks = settleShares(exchange, flat, own, summed, state, settling);
          part.summed = undefined;
          part.tried = { state, chunks };
          return chunks;
        });
      }),

    memory: () =>
      turn(async () => {
        const moments = [...of.moments.values()].flat();
        const parted = fragments.every(({ merged }) => merged !== undefined);
        const own = await Promise.all(parted ? fragments.map(({ flat }) => readFlat(weights, flat)) : []);
        return {
          round: rounds,
          ...(stepped ? { inner: { moments, powers: of.powers } } : {}),
          ...(parted ? { own } : {}),
          outer: fragments.map(({ parts }) => parts.map(({ state }) => state)),
        };
      }),

    recall: ({ round, inner, own, outer }) =>
      turn(async () => {
        if (inner) {
          const into = [...of.moments.values()].flat();
          for (const [i, array] of inner.moments.entries()) into[i]!.set(array);
          of.powers = inner.powers;
          stepped = true;
        }
        if (round !== rounds) return;
        for (const [i, states] of outer.entries())
          for (const [j, state] of states.entries()) fragments[i]!.parts[j]!.state = state;
        if (own === undefined) return;
        await depart();
        for (const [i, q] of own.entries()) await writeFlat(weights, fragments[i]!.flat, q);
      }),

    sizes: async () => fragments.map(({ parts }) => parts.map(({ chunks }) => chunks)),

    merge: (merges) =>
      turn(async () => {
        for (const each of merges) {
          if (each.merge.round !== rounds)
            throw new Fault('JOURNAL_ORDER', `round ${each.merge.round} cannot follow ${rounds} rounds`);
          await take(fragmentOf(rounds), each);
          keeps.delete(rounds);
          rounds++;
        }
      }),
  };

  return {
    round: () => rounds,
    apply: async () => {
      throw new RangeError('"rounds" expected merges: this run exchanges vectors');
    },
    revise: async () => checkRevocable(manifest),
    measure: async () => {
      throw new RangeError('"header" expected none: this run exchanges vectors');
    },
    exchange: exchanger,
    evaluate: () => turn(() => asMerged(() => evaluate(learner, held))),
    checksum: () => turn(() => asMerged(() => checksum(weights, rounds, learner.run))),
    root: () => turn(() => asMerged(() => root(weights, crypto))),
    leaves: () => turn(() => asMerged(() => leaves(weights, crypto))),
    snapshot: (write) => turn(() => asMerged(() => writeSnapshot(weights, write))),
    restore: (round, snapshot, expected, _, of) =>
      turn(async () => {
        const back = await showMerged();
        try {
          await takeSnapshot(weights, crypto, snapshot, round, expected, of);
        } catch (error) {
          await back();
          throw error;
        }
        for (const fragment of fragments) delete fragment.merged;
        rounds = round;
      }),
    close: () =>
      turn(async () => {
        await learner.forward.release();
        await backward.release();
        await weights.close();
      }),
  };
}

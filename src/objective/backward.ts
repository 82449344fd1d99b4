/**
 * (weights, batches) → the gradient of their losses, stage by stage. The forward pass keeps the input of every stage and
 * its products with weights; the backward pass visits stages from the last to the first that holds a tensor of interest,
 * each with the program `splitVjp` made of its own, which computes everything else again (Korthikanti et al. 2022,
 * arXiv:2205.05198). Memory is the masters, one stage of scratch, what a group keeps of each stage, and the gradients.
 *
 * Weights are made floats as `forward.ts` makes them, so what is differentiated is what is measured.
 *
 * @module
 */

import { size } from '../graph/shape.ts';
import { BAR, KEPT, splitVjp } from '../graph/vjp.ts';
import { type Binding, behind, type Dims, type Form, type Head, type Model, type Stage } from '../model/stage.ts';
import type { Page, Weights } from '../model/weights.ts';
import type { Batch, Task, Value } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { batchFeeds, stageFeeds } from './feeds.ts';
import { arrayPool, behindPrompt, headOf, seenBy } from './forward.ts';
import { addTo, gradientSums, readLength, type Sums } from './gradients.ts';
import { headCotangents, lossGradient, type Said } from './head-gradient.ts';
import { sequenceLosses } from './loss.ts';
import type { Perturbation } from './perturbation.ts';
import { type Derivation, programStore } from './programs.ts';
import { headOutput } from './scores.ts';

/** What a gradient is taken of. */
export interface Objective {
  readonly task: Task;
  /** Token ids of the label words, empty for language modelling. */
  readonly choices: Int32Array;
  /** (batches)(S): Σ share · loss is differentiated. Absent: the mean over all sequences. */
  readonly shares?: readonly Float64Array[];
}

export interface Gradient {
  /** (batches)(S) of each sequence, nats: those of `sequenceLosses`. */
  readonly losses: readonly Float64Array[];
  /** By name of each wanted tensor, row-major in its stored shape: loss per unit of weight. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
}

export interface Backward {
  /**
   * @param wanted ids of tensors whose gradient is asked for. What lies before the first of them is not gone back to.
   * @param used tensors of a gradient that is no longer needed, whose arrays serve again: fresh memory takes time.
   * @returns the same bits for the same arguments on one machine.
   */
  gradient(
    batches: readonly Batch[],
    objective: Objective,
    wanted: Kept,
    used?: Gradient['tensors'],
  ): Promise<Gradient>;
  release(): Promise<void>;
}

/** Batches that share one making of a stage's weights. Fewer than going forward alone, as their activations are kept. */
const GROUP = 4;

/**
 * Floats of activations and their cotangents that a gradient of `batches` batches keeps, if everything is trained. Beside
 * them are the gradients, and once more those of the largest stage.
 */
export function backwardFloats(
  model: Pick<Model, 'hidden' | 'blocks' | 'head' | 'virtual'>,
  dims: Dims,
  batches: number,
  head: Head = { kind: 'lm' },
): number {
  const { hidden, blocks } = model;
  const inside = behind(model, dims);
  const { sequences, tokens, scored } = inside;
  // Inputs of the blocks and of the final stage, and its cotangent: the others take the place of inputs that are done
  // with. Scored rows, their cotangent and a piece's part of it; one of the three serves as well if all rows are scored.
  const rows = (blocks.length + 2) * tokens + 3 * scored - (scored === tokens ? tokens : 0);
  const pieces = model.head(head).map(({ stage }) => keptFloats(stage, inside));
  // Blocks are alike: one program serves all.
  const products = blocks.length * (blocks[0] ? keptFloats(blocks[0], inside) : 0) + pieces.reduce((a, b) => a + b, 0);
  return Math.min(batches, GROUP) * (sequences * rows * hidden + products);
}

/** Floats that a stage keeps of a batch for its way back. */
function keptFloats(stage: Stage, dims: Dims): number {
  const { forward } = splitVjp(stage.build(dims, FORM), ['x', ...stage.bindings.map(({ input }) => input)]);
  const kept = forward.outputs.filter(({ name }) => name.endsWith(KEPT));
  return kept.reduce((sum, { shape }) => sum + size(shape), 0);
}

const PLAIN: Perturbation = { kind: 'none' };
const FORM: Form = { kind: 'plain' };

/** What a program reads and writes besides weights and constants, and what to do when it has run. */
interface Call {
  readonly feeds: Readonly<Record<string, TypedArray>>;
  readonly outputs: Readonly<Record<string, TypedArray>>;
  readonly done?: () => void;
}

/** Of each batch of a group; the embedding reads none. */
type Activations = readonly (Float32Array | undefined)[];

/** What stays the same while a group of batches is worked on. */
interface Group {
  readonly batches: readonly Batch[];
  readonly objective: Objective;
  readonly wanted: Kept;
  /** (batches)(S) */
  readonly shares: readonly Float64Array[];
  readonly sums: Sums;
}

/** What of a stage is gone back to: inputs of its program. Empty: nothing. */
type Wrt = readonly string[];

/** What a stage kept of each batch for its way back. */
type Kepts = readonly Readonly<Record<string, Float32Array>>[];

const fed = (x: Float32Array | undefined): Record<string, TypedArray> => (x ? { x } : {});

const derivationOf = (way: 'forward' | 'backward', wrt: Wrt): Derivation => ({
  name: `${way} ${wrt.join()}`,
  derive: (graph) => splitVjp(graph, wrt)[way],
});

/** @param weights their pages have scratch of `scratchLength` floats at least, for an unperturbed call. */
export function createBackward(model: Model, weights: Weights, engine: Engine): Backward {
  const programs = programStore(engine);
  const pool = arrayPool();
  const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));
  const stages = [model.embed, ...model.blocks];

  const wantedOf = ({ bindings }: Stage, wanted: Kept): readonly Binding[] =>
    bindings.filter(({ tensor }) => wanted(specs.get(tensor)!.id));

  /** Runs one stage, or what is derived of it, on all batches of a group. */
  async function visit(
    stage: Stage,
    { batches, objective: { choices } }: Group,
    derivation: Derivation | undefined,
    own: (i: number, written: readonly Value[]) => Call,
  ): Promise<void> {
    const runBatch = async (page: Page, shared: Readonly<Record<string, TypedArray>>, i: number): Promise<void> => {
      const mark = page.scratch.mark();
      const batch = seenBy(model, stage, batches[i]!);
      const { program, constants, outputs: written } = await programs.of(stage, batch, FORM, derivation);
      const [each] = batchFeeds(stage, page, PLAIN, batch, choices, []);
      const { feeds, outputs, done } = own(i, written);
      await program.run({ ...constants, ...shared, ...each, ...feeds }, outputs);
      done?.();
      page.scratch.release(mark);
    };
    await weights.visit(stage.bindings[0]!.tensor, async (page) => {
      const start = page.scratch.mark();
      try {
        const [shared] = stageFeeds(stage, page, PLAIN, undefined);
        for (const i of batches.keys()) await runBatch(page, shared!, i);
      } finally {
        page.scratch.release(start); // whatever broke off
      }
    });
  }

  /** @param goesOn whether a stage before needs the cotangent of this one's `x`. */
  const wrtOf = (stage: Stage, { wanted }: Group, goesOn: boolean): Wrt => [
    ...(goesOn ? ['x'] : []),
    ...wantedOf(stage, wanted).map(({ input }) => input),
  ];

  /** Goes forward through a stage. @returns what it kept. */
  async function push(stage: Stage, group: Group, wrt: Wrt, own: (i: number) => Call): Promise<Kepts> {
    const kepts: Record<string, Float32Array>[] = [];
    const derivation = wrt.length > 0 ? derivationOf('forward', wrt) : undefined;
    await visit(stage, group, derivation, (i, written) => {
      const kept = written.filter(({ name }) => name.endsWith(KEPT));
      kepts[i] = Object.fromEntries(kept.map(({ name, shape }) => [name, pool.take(size(shape))]));
      const call = own(i);
      return { ...call, outputs: { ...call.outputs, ...kepts[i] } };
    });
    return kepts;
  }

  /**
   * Goes back through a stage: adds to the gradients of its wanted tensors. What it kept is given back.
   * @param feeds of a batch: the stage's own, and cotangents of its outputs.
   * @param xBar where the cotangent of a batch's `x` goes; undefined: nobody needs it.
   */
  async function pull(
    stage: Stage,
    group: Group,
    kepts: Kepts,
    feeds: (i: number) => Readonly<Record<string, TypedArray>>,
    xBar: ((i: number) => Float32Array) | undefined,
  ): Promise<void> {
    const { sums, batches, objective, wanted } = group;
    const wrt = wrtOf(stage, group, xBar !== undefined);
    if (wrt.length === 0) return;
    await visit(stage, group, derivationOf('backward', wrt), (i) => {
      const read = wantedOf(stage, wanted).map(({ input, tensor, access }) => {
        const { shape } = specs.get(tensor)!;
        const reading = { access, shape, batch: batches[i]!, choices: objective.choices };
        const place = sums.place(tensor, reading);
        const bar = place ?? pool.take(readLength(reading));
        const add = () => {
          if (place) return;
          sums.add(tensor, reading, bar);
          pool.give(bar);
        };
        return { name: input + BAR, bar, add };
      });
      return {
        feeds: { ...feeds(i), ...kepts[i] },
        outputs: {
          ...(xBar && { [`x${BAR}`]: xBar(i) }),
          ...Object.fromEntries(read.map(({ name, bar }) => [name, bar])),
        },
        done() {
          for (const { add } of read) add();
          for (const array of Object.values(kepts[i]!)) pool.give(array);
        },
      };
    });
  }

  const activations = ({ sequences, tokens }: Batch): Float32Array =>
    pool.take(sequences * (tokens + model.virtual) * model.hidden);
  const scoredRows = ({ sequences, scored }: Batch): Float32Array => pool.take(sequences * scored * model.hidden);
  const give = (xs: Activations): void => {
    for (const x of xs) if (x) pool.give(x);
  };

  /** @returns of the stages from `first` on inputs and what they kept, and the input of the final one. */
  async function body(group: Group, first: number) {
    const passed: { readonly stage: Stage; readonly xs: Activations; readonly kepts: Kepts }[] = [];
    let xs: Activations = group.batches.map(() => undefined);
    for (const [i, stage] of stages.entries()) {
      const [own, ys] = [xs, group.batches.map(activations)];
      const wrt = i < first ? [] : wrtOf(stage, group, i > first);
      const kepts = await push(stage, group, wrt, (b) => ({ feeds: fed(own[b]), outputs: { y: ys[b]! } }));
      if (i >= first) passed.push({ stage, xs, kepts });
      else give(xs);
      xs = ys;
    }
    return { passed, last: xs };
  }

  /** The head, there. @returns losses, and of each piece what it kept and cotangents of its outputs, by batch. */
  async function score(group: Group, scored: readonly Float32Array[], goesOn: boolean) {
    const { batches, objective, shares } = group;
    const { task } = objective;
    const head = headOf(task);
    const scores = batches.map((batch) => headOutput(head, batch, model.vocabulary));
    const said: Said[][] = batches.map(() => []);
    const targets: Readonly<Record<string, TypedArray>>[][] = batches.map(() => []);
    const pieces: { readonly stage: Stage; readonly kepts: Kepts }[] = [];
    for (const { stage, first, count } of model.head(head)) {
      const kepts = await push(stage, group, wrtOf(stage, group, goesOn), (b) => {
        const { feeds, outputs, done } = scores[b]!.part({ first, count });
        said[b]!.push({ first, count, outputs });
        targets[b]!.push(feeds);
        return { feeds: { x: scored[b]!, ...feeds }, outputs, done };
      });
      pieces.push({ stage, kepts });
    }
    const results = scores.map((of) => of.result());
    const cotangents = batches.map((batch, b) => {
      const bar = lossGradient(task, batch, results[b]!, shares[b]!);
      return headCotangents(task, batch, said[b]!, bar).map((own, piece) => ({ ...own, ...targets[b]![piece] }));
    });
    return { losses: batches.map((batch, b) => sequenceLosses(task, batch, results[b]!)), pieces, cotangents };
  }

  async function runGroup(group: Group): Promise<readonly Float64Array[]> {
    const { batches, wanted } = group;
    const found = stages.findIndex((stage) => wantedOf(stage, wanted).length > 0);
    const first = found < 0 ? stages.length : found;
    const intoBody = first < stages.length;
    const intoFinal = intoBody || wantedOf(model.final, wanted).length > 0;
    const { passed, last } = await body(group, first);
    const scored = batches.map(scoredRows);
    const finalFeeds = (b: number) => ({ x: last[b]!, at: behindPrompt(model, batches[b]!).at });
    const finalKepts = await push(model.final, group, wrtOf(model.final, group, intoBody), (b) => ({
      feeds: finalFeeds(b),
      outputs: { y: scored[b]! },
    }));
    const { losses, pieces, cotangents } = await score(group, scored, intoFinal);

    let bars = batches.map((batch) => scoredRows(batch).fill(0));
    for (const [piece, { stage, kepts }] of pieces.entries()) {
      const parts = intoFinal ? batches.map(scoredRows) : [];
      const feeds = (b: number) => ({ x: scored[b]!, ...cotangents[b]![piece] });
      await pull(stage, group, kepts, feeds, intoFinal ? (b) => parts[b]! : undefined);
      for (const [b, part] of parts.entries()) addTo(bars[b]!, part);
      give(parts);
    }
    give(scored);

    type Feeds = (b: number) => Record<string, TypedArray>;
    const pullStage = async (stage: Stage, kepts: Kepts, feeds: Feeds, goesOn: boolean) => {
      const next = goesOn ? batches.map(activations) : [];
      const yBars = bars;
      const all = (b: number) => ({ ...feeds(b), [`y${BAR}`]: yBars[b]! });
      await pull(stage, group, kepts, all, goesOn ? (b) => next[b]! : undefined);
      give(yBars);
      bars = next;
    };
    await pullStage(model.final, finalKepts, finalFeeds, intoBody);
    give(last);
    for (const [i, { stage, xs, kepts }] of [...passed.entries()].reverse()) {
      await pullStage(stage, kepts, (b) => fed(xs[b]), i > 0);
      give(xs);
    }
    return losses;
  }

  return {
    async gradient(batches, objective, wanted, used) {
      const total = batches.reduce((n, { sequences }) => n + sequences, 0);
      const shares = objective.shares ?? batches.map(({ sequences }) => new Float64Array(sequences).fill(1 / total));
      const sums = gradientSums(
        model.tensors.filter(({ id }) => wanted(id)),
        used,
      );
      const losses: Float64Array[] = [];
      for (let from = 0; from < batches.length; from += GROUP) {
        const [own, ownShares] = [batches, shares].map((of) => of.slice(from, from + GROUP)) as [
          Batch[],
          Float64Array[],
        ];
        losses.push(...(await runGroup({ batches: own, objective, wanted, shares: ownShares, sums })));
      }
      return { losses, tensors: sums.total() };
    },
    release: () => programs.release(),
  };
}

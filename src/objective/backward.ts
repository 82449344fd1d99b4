/**
 * (weights, batches) → the gradient of their losses, stage by stage. The forward pass keeps the input of every stage and
 * nothing else; the backward pass visits stages from the last to the first that holds a tensor of interest, each with
 * the program `vjp` made of its own, which computes again what it needs (Chen et al. 2016, arXiv:1604.06174). Memory is
 * the masters, one stage of scratch, activations of a group once for each stage, and the gradients.
 *
 * Weights are made floats as `forward.ts` makes them, so what is differentiated is what is measured.
 *
 * @module
 */
import { BAR, vjp } from '../graph/vjp.ts';
import { type Binding, behind, type Dims, type Form, type Model, type Stage } from '../model/stage.ts';
import type { Page, Weights } from '../model/weights.ts';
import type { Batch, Task } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import type { Engine, TypedArray } from '../ports.ts';
import { batchFeeds, stageFeeds } from './feeds.ts';
import { arrayPool, behindPrompt, headOf, seenBy } from './forward.ts';
import { accumulate, addTo, readLength, zeroGradients } from './gradients.ts';
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
   * @returns the same bits for the same arguments on one machine.
   */
  gradient(batches: readonly Batch[], objective: Objective, wanted: Kept): Promise<Gradient>;
  release(): Promise<void>;
}

/** Batches that share one making of a stage's weights. Fewer than going forward alone, as their activations are kept. */
const GROUP = 4;

/**
 * Floats of activations and their cotangents that a gradient of `batches` batches keeps. Beside them are the gradients,
 * and once more those of the largest stage.
 */
export function backwardFloats(
  model: Pick<Model, 'hidden' | 'blocks' | 'virtual'>,
  dims: Dims,
  batches: number,
): number {
  const { hidden, blocks } = model;
  const { sequences, tokens, scored } = behind(model, dims);
  // Inputs of the blocks and of the final stage, and its cotangent: the others take the place of inputs that are done
  // with. Scored rows, their cotangent and a piece's part of it; one of the three serves as well if all rows are scored.
  const rows = (blocks.length + 2) * tokens + 3 * scored - (scored === tokens ? tokens : 0);
  return Math.min(batches, GROUP) * sequences * rows * hidden;
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
  readonly gradients: Map<string, Float32Array>;
}

const fed = (x: Float32Array | undefined): Record<string, TypedArray> => (x ? { x } : {});

const derivationOf = (wrt: readonly string[]): Derivation => ({
  name: `vjp ${wrt.join()}`,
  derive: (graph) => vjp(graph, wrt),
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
    own: (i: number) => Call,
  ): Promise<void> {
    const runBatch = async (page: Page, shared: Readonly<Record<string, TypedArray>>, i: number): Promise<void> => {
      const mark = page.scratch.mark();
      const batch = seenBy(model, stage, batches[i]!);
      const { program, constants } = await programs.of(stage, batch, FORM, derivation);
      const [each] = batchFeeds(stage, page, PLAIN, batch, choices, []);
      const { feeds, outputs, done } = own(i);
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

  /**
   * Goes back through a stage: adds to the gradients of its wanted tensors.
   * @param feeds of a batch: the stage's own, and cotangents of its outputs.
   * @param xBar where the cotangent of a batch's `x` goes; undefined: nobody needs it.
   */
  async function pull(
    stage: Stage,
    group: Group,
    feeds: (i: number) => Readonly<Record<string, TypedArray>>,
    xBar: ((i: number) => Float32Array) | undefined,
  ): Promise<void> {
    const own = wantedOf(stage, group.wanted);
    const wrt = [...(xBar ? ['x'] : []), ...own.map(({ input }) => input)];
    if (wrt.length === 0) return;
    await visit(stage, group, derivationOf(wrt), (i) => {
      const read = own.map(({ input, tensor, access }) => {
        const { shape } = specs.get(tensor)!;
        const reading = { access, shape, batch: group.batches[i]!, choices: group.objective.choices };
        return { name: input + BAR, tensor, reading, bar: pool.take(readLength(reading)) };
      });
      return {
        feeds: feeds(i),
        outputs: {
          ...(xBar && { [`x${BAR}`]: xBar(i) }),
          ...Object.fromEntries(read.map(({ name, bar }) => [name, bar])),
        },
        done() {
          for (const { tensor, reading, bar } of read) {
            accumulate(group.gradients.get(tensor)!, reading, bar);
            pool.give(bar);
          }
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

  /** @returns inputs of the stages from `first` on, and of the final one. */
  async function body(group: Group, first: number): Promise<readonly Activations[]> {
    const inputs: Activations[] = [];
    let xs: Activations = group.batches.map(() => undefined);
    for (const [i, stage] of stages.entries()) {
      const ys = group.batches.map(activations);
      await visit(stage, group, undefined, (b) => ({ feeds: fed(xs[b]), outputs: { y: ys[b]! } }));
      if (i >= first) inputs.push(xs);
      else give(xs);
      xs = ys;
    }
    return [...inputs, xs];
  }

  /** The head, there. @returns losses, and cotangents of the outputs of each piece: (batches)(pieces). */
  async function score(group: Group, scored: readonly Float32Array[]) {
    const { batches, objective, shares } = group;
    const { task } = objective;
    const head = headOf(task);
    const scores = batches.map((batch) => headOutput(head, batch, model.vocabulary));
    const said: Said[][] = batches.map(() => []);
    const targets: Readonly<Record<string, TypedArray>>[][] = batches.map(() => []);
    for (const { stage, first, count } of model.head(head)) {
      await visit(stage, group, undefined, (b) => {
        const { feeds, outputs, done } = scores[b]!.part({ first, count });
        said[b]!.push({ first, count, outputs });
        targets[b]!.push(feeds);
        return { feeds: { x: scored[b]!, ...feeds }, outputs, done };
      });
    }
    const results = scores.map((of) => of.result());
    const cotangents = batches.map((batch, b) => {
      const bar = lossGradient(task, batch, results[b]!, shares[b]!);
      return headCotangents(task, batch, said[b]!, bar).map((own, piece) => ({ ...own, ...targets[b]![piece] }));
    });
    return { losses: batches.map((batch, b) => sequenceLosses(task, batch, results[b]!)), cotangents };
  }

  async function runGroup(group: Group): Promise<readonly Float64Array[]> {
    const { batches, wanted, objective } = group;
    const found = stages.findIndex((stage) => wantedOf(stage, wanted).length > 0);
    const first = found < 0 ? stages.length : found;
    const inputs = await body(group, first);
    const last = inputs.at(-1)!;
    const scored = batches.map(scoredRows);
    const finalFeeds = (b: number) => ({ x: last[b]!, at: behindPrompt(model, batches[b]!).at });
    await visit(model.final, group, undefined, (b) => ({ feeds: finalFeeds(b), outputs: { y: scored[b]! } }));
    const { losses, cotangents } = await score(group, scored);

    const intoBody = first < stages.length;
    const intoFinal = intoBody || wantedOf(model.final, wanted).length > 0;
    let bars = batches.map((batch) => scoredRows(batch).fill(0));
    for (const [piece, { stage }] of model.head(headOf(objective.task)).entries()) {
      const parts = intoFinal ? batches.map(scoredRows) : [];
      const feeds = (b: number) => ({ x: scored[b]!, ...cotangents[b]![piece] });
      await pull(stage, group, feeds, intoFinal ? (b) => parts[b]! : undefined);
      for (const [b, part] of parts.entries()) addTo(bars[b]!, part);
      give(parts);
    }
    give(scored);

    const pullStage = async (stage: Stage, feeds: (b: number) => Record<string, TypedArray>, on: boolean) => {
      const next = on ? batches.map(activations) : [];
      const yBars = bars;
      await pull(stage, group, (b) => ({ ...feeds(b), [`y${BAR}`]: yBars[b]! }), on ? (b) => next[b]! : undefined);
      give(yBars);
      bars = next;
    };
    await pullStage(model.final, finalFeeds, intoBody);
    give(last);
    for (let i = stages.length - 1; i >= first; i--) {
      const xs = inputs[i - first]!;
      await pullStage(stages[i]!, (b) => fed(xs[b]), i > first);
      give(xs);
    }
    return losses;
  }

  return {
    async gradient(batches, objective, wanted) {
      const total = batches.reduce((n, { sequences }) => n + sequences, 0);
      const shares = objective.shares ?? batches.map(({ sequences }) => new Float64Array(sequences).fill(1 / total));
      const gradients = zeroGradients(model.tensors.filter(({ id }) => wanted(id)));
      const losses: Float64Array[] = [];
      for (let from = 0; from < batches.length; from += GROUP) {
        const [own, ownShares] = [batches, shares].map((of) => of.slice(from, from + GROUP)) as [
          Batch[],
          Float64Array[],
        ];
        losses.push(...(await runGroup({ batches: own, objective, wanted, shares: ownShares, gradients })));
      }
      return { losses, tensors: gradients };
    },
    release: () => programs.release(),
  };
}

/**
 * (weights, batches) → what the head says. Stages are visited once for a group of batches, so that the making of a
 * stage's weights weighs little: memory is the masters, one stage of scratch, and the activations of a group.
 *
 * @module
 */
import type { Dims, Form, Head, Model, Stage } from '../model/stage.ts';
import type { Weights } from '../model/weights.ts';
import type { Batch, Task } from '../nouns.ts';
import type { Engine, Program } from '../ports.ts';
import {
  batchFeeds,
  formOf,
  lanesOf,
  type Perturbation,
  type PerturbationKind,
  stageFeeds,
  stageScratch,
} from './feeds.ts';
import { type Scratch, scratchOf } from './scratch.ts';

export interface Forward {
  /**
   * @param choices token ids of the label words, for a choice head.
   * @returns (lanes)(batches) outputs of the head, row-major: see `Head`.
   */
  run(
    batches: readonly Batch[],
    head: Head,
    perturbation: Perturbation,
    choices?: Int32Array,
  ): Promise<readonly (readonly Float32Array[])[]>;
  release(): Promise<void>;
}

/** A kind of call that memory is set aside for. */
export interface Plan {
  readonly dims: Dims;
  readonly head: Head;
  readonly perturbation: PerturbationKind;
}

/** The head that scores a task. */
export const headOf = (task: Task): Head =>
  task.kind === 'lm' ? { kind: 'lm' } : { kind: 'choice', choices: task.labels.length };

const stagesOf = (model: Model, head: Head): readonly Stage[] => [model.embed, ...model.blocks, model.head(head)];

/** Floats of scratch that the largest of the planned calls takes. */
export function scratchLength(model: Model, plans: readonly Plan[]): number {
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  const shapeOf = (name: string) => shapes.get(name)!;
  let most = 0;
  for (const { dims, head, perturbation } of plans) {
    const choices = head.kind === 'choice' ? head.choices : 0;
    for (const stage of stagesOf(model, head))
      most = Math.max(most, stageScratch(stage, shapeOf, dims, perturbation, choices));
  }
  return most;
}

/** Batches that share one making of a stage's weights. */
const GROUP = 16;
const NO_CHOICES = new Int32Array(0);
const OUTPUT = { lm: 'nll', choice: 'scores', logits: 'logits' } as const;

/** @param scratchFloats see `scratchLength`. */
export function createForward(model: Model, weights: Weights, engine: Engine, scratchFloats: number): Forward {
  const scratch: Scratch = scratchOf(weights.kernels, scratchFloats);
  const programs = new Map<string, Promise<Program>>();
  const constants = new Map<string, Readonly<Record<string, Float32Array>>>();
  const pool = arrayPool();

  const programOf = (stage: Stage, dims: Dims, form: Form): Promise<Program> =>
    remembered(programs, `${keyOf(stage, dims)} ${form.kind} ${form.kind === 'sided' ? form.rank : 0}`, () =>
      engine.compile(stage.build(dims, form)),
    );
  const constantsOf = (stage: Stage, dims: Dims): Readonly<Record<string, Float32Array>> =>
    remembered(constants, keyOf(stage, dims), () => stage.constants(dims));

  /** @returns (lanes)(batches) */
  async function runGroup(batches: readonly Batch[], head: Head, p: Perturbation, choices: Int32Array) {
    const form = formOf(p);
    const lanes = Array.from({ length: lanesOf(p) }, () => new Array<Float32Array | undefined>(batches.length));
    const results = lanes.map(() => batches.map((b) => new Float32Array(outputLength(b, head, model))));
    const stages = stagesOf(model, head);
    for (const [n, stage] of stages.entries()) {
      const last = n === stages.length - 1;
      const start = scratch.mark();
      const wholes = stageFeeds(stage, weights, p, scratch);
      for (const [i, batch] of batches.entries()) {
        const program = await programOf(stage, batch, form);
        for (const [lane, whole] of wholes.entries()) {
          const mark = scratch.mark();
          const x = lanes[lane]![i];
          const y = last ? results[lane]![i]! : pool.take(batch.sequences * batch.tokens * model.hidden);
          const feeds = {
            ...constantsOf(stage, batch),
            ...batchFeeds(stage, weights, p, whole, batch, i, choices, scratch),
            ...(x && { x }),
            ...(last && { at: batch.at }),
            ...(last && head.kind === 'lm' && { targets: batch.targets }),
          };
          await program.run(feeds, { [last ? OUTPUT[head.kind] : 'y']: y });
          if (x) pool.give(x);
          lanes[lane]![i] = y;
          scratch.release(mark);
        }
      }
      scratch.release(start);
    }
    return results;
  }

  return {
    async run(batches, head, p, choices = NO_CHOICES) {
      const outputs: Float32Array[][] = Array.from({ length: lanesOf(p) }, () => []);
      try {
        for (let from = 0; from < batches.length; from += GROUP) {
          const part = p.kind === 'sided' ? { ...p, keys: p.keys.slice(from, from + GROUP) } : p;
          const results = await runGroup(batches.slice(from, from + GROUP), head, part, choices);
          for (const [lane, arrays] of results.entries()) outputs[lane]!.push(...arrays);
        }
      } finally {
        scratch.release(0); // whatever broke off
      }
      return outputs;
    },
    async release() {
      const compiled = [...programs.values()];
      programs.clear();
      for (const program of compiled) await (await program).release();
    },
  };
}

/** Activations for use again: what a call needs, the next one needs too. */
function arrayPool(): { take(length: number): Float32Array; give(array: Float32Array): void } {
  const free = new Map<number, Float32Array[]>();
  return {
    take: (length) => free.get(length)?.pop() ?? new Float32Array(length),
    give: (array) => remembered(free, array.length, () => []).push(array),
  };
}

function remembered<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

const keyOf = ({ program }: Stage, { sequences, tokens, scored }: Dims): string =>
  `${program} ${sequences}x${tokens}x${scored}`;

/** Elements that a head puts out. */
function outputLength({ sequences, scored }: Dims, head: Head, { vocabulary }: Model): number {
  const each = head.kind === 'lm' ? 1 : head.kind === 'choice' ? head.choices : vocabulary;
  return sequences * scored * each;
}

/**
 * (weights, batches) → what the head says. Stages are visited once each, batches inside a stage, so that a stage's
 * weights are made once a call however many batches there are: memory is the masters, one stage of scratch, and the
 * activations.
 *
 * @module
 */
import type { Dims, Form, Head, Model, Stage } from '../model/stage.ts';
import type { Weights } from '../model/weights.ts';
import type { Batch } from '../nouns.ts';
import type { Engine, Program } from '../ports.ts';
import { batchFeeds, formOf, lanesOf, type Perturbation, stageFeeds, stageScratch } from './feeds.ts';
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
  readonly perturbation: Pick<Perturbation, 'kind'> & { readonly rank?: number };
}

const stagesOf = (model: Model, head: Head): readonly Stage[] => [model.embed, ...model.blocks, model.head(head)];

/** Floats of scratch that the largest of the planned calls takes. */
export function scratchLength(model: Model, plans: readonly Plan[]): number {
  const shapes = new Map(model.tensors.map(({ name, shape }) => [name, shape]));
  let most = 0;
  for (const { dims, head, perturbation } of plans) {
    const choices = head.kind === 'choice' ? head.choices : 0;
    for (const stage of stagesOf(model, head)) {
      most = Math.max(
        most,
        stageScratch(stage, (name) => shapes.get(name)!, dims, perturbation, choices),
      );
    }
  }
  return most;
}

const NO_CHOICES = new Int32Array(0);
const OUTPUT = { lm: 'nll', choice: 'scores', logits: 'logits' } as const;

export function createForward(model: Model, weights: Weights, engine: Engine, scratchFloats: number): Forward {
  const scratch: Scratch = scratchOf(weights.kernels, scratchFloats);
  const programs = new Map<string, Promise<Program>>();
  const constants = new Map<string, Readonly<Record<string, Float32Array>>>();

  const program = (stage: Stage, dims: Dims, form: Form): Promise<Program> => {
    const key = `${stage.program} ${shapeKey(dims)} ${form.kind} ${form.kind === 'sided' ? form.rank : 0}`;
    const known = programs.get(key);
    if (known) return known;
    const compiled = engine.compile(stage.build(dims, form));
    programs.set(key, compiled);
    return compiled;
  };
  const constantsOf = (stage: Stage, dims: Dims) => {
    const key = `${stage.program} ${shapeKey(dims)}`;
    const known = constants.get(key) ?? stage.constants(dims);
    constants.set(key, known);
    return known;
  };

  return {
    async run(batches, head, p, choices = NO_CHOICES) {
      const form = formOf(p);
      const lanes = Array.from({ length: lanesOf(p) }, () => batches.map((b) => activations(b, model.hidden)));
      const results = lanes.map(() => batches.map((b) => new Float32Array(headLength(b, head, model, choices))));
      const stages = stagesOf(model, head);
      for (const [n, stage] of stages.entries()) {
        const last = n === stages.length - 1;
        const start = scratch.mark();
        const whole = stageFeeds(stage, weights, p, scratch);
        for (const [i, batch] of batches.entries()) {
          const compiled = await program(stage, batch, form);
          for (const [lane, feeds] of whole.entries()) {
            const mark = scratch.mark();
            const buffers = lanes[lane]![i]!;
            const inputs = {
              ...constantsOf(stage, batch),
              ...batchFeeds(stage, weights, p, feeds, batch, i, choices, scratch),
              ...(n === 0 ? {} : { x: buffers.x }),
              ...(last ? { at: batch.at } : {}),
              ...(last && head.kind === 'lm' ? { targets: batch.targets } : {}),
            };
            await compiled.run(inputs, last ? { [OUTPUT[head.kind]]: results[lane]![i]! } : { y: buffers.y });
            [buffers.x, buffers.y] = [buffers.y, buffers.x];
            scratch.release(mark);
          }
        }
        scratch.release(start);
      }
      return results;
    },
    async release() {
      for (const compiled of programs.values()) await (await compiled).release();
      programs.clear();
    },
  };
}

const shapeKey = (d: Dims): string => `${d.sequences}x${d.tokens}x${d.scored}`;

const activations = (b: Batch, hidden: number): { x: Float32Array; y: Float32Array } => ({
  x: new Float32Array(b.sequences * b.tokens * hidden),
  y: new Float32Array(b.sequences * b.tokens * hidden),
});

function headLength(b: Batch, head: Head, model: Model, choices: Int32Array): number {
  const rows = b.sequences * b.scored;
  return head.kind === 'lm' ? rows : rows * (head.kind === 'choice' ? choices.length : model.vocabulary);
}

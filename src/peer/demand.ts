/**
 * What the calls of a method take of memory, from shapes alone: forward passes, tangents, gradients and texts. Each is a
 * list of the arrays that its code takes, and the programs that it compiles.
 *
 * @module
 */
import { jvp } from '../graph/jvp.ts';
import { splitVjp } from '../graph/vjp.ts';
import { workingSet } from '../graph/working-set.ts';
import { behind, type Dims, type Form, type Head, type Model, type Stage } from '../model/stage.ts';
import type { Batch, Direction, Graph } from '../nouns.ts';
import type { Kept } from '../numeric/mask.ts';
import { backwardFloats } from '../objective/backward.ts';
import { hasCache } from '../objective/cache.ts';
import { longestText, stepped } from '../objective/decode.ts';
import { activationFloats, type Plan, scratchLength } from '../objective/forward.ts';
import { readLength } from '../objective/gradients.ts';
import { formOf, lanesOf, type PerturbationKind } from '../objective/perturbation.ts';
import { MOST_PROGRAMS } from '../objective/programs.ts';
import { formAlong, movedInput, tangentScratch } from '../objective/tangent-feeds.ts';

export interface Demand {
  /** Floats of a page's scratch. */
  readonly scratch: number;
  /** Bytes. */
  readonly activations: number;
  /** Bytes that a runtime holds for each program, by what tells programs apart. */
  readonly programs: ReadonlyMap<string, number>;
}

type Shape = Pick<Plan, 'dims' | 'head'>;

/** A compiled program beside its working set: its text, its plan, its threads. */
const SESSION = 1e6;
/** Batches of a group of tangents: `tangent.ts`. */
const TANGENT_GROUP = 8;

const PLAIN = { kind: 'none' } as const;

const stagesOf = (model: Model, head: Head): readonly Stage[] => [
  ...[model.embed, ...model.blocks, model.final],
  ...model.head(head).map(({ stage }) => stage),
];

/** Sizes that a stage sees. */
const seenBy = (model: Model, stage: Stage, dims: Dims): Dims => (stage === model.embed ? dims : behind(model, dims));

/** A list of programs, in which the same one stands once. `held` is what a store of them holds at most. */
function programList() {
  const held = new Map<string, number>();
  return {
    held: () => new Map([...held].sort(([, a], [, b]) => b - a).slice(0, MOST_PROGRAMS)),
    add(
      stage: Stage,
      { sequences, tokens, scored, past }: Dims,
      form: Form,
      name = '',
      derive = (g: Graph) => g,
    ): void {
      const key = `${sequences} ${tokens} ${scored} ${past} ${JSON.stringify(form)} ${name} ${stage.program}`;
      const dims = { sequences, tokens, scored, ...(past === undefined ? {} : { past }) };
      if (!held.has(key)) held.set(key, SESSION + workingSet(derive(stage.build(dims, form))));
    },
  };
}

/** @param batches that one call is given. */
export function forwardDemand(model: Model, plans: readonly Plan[], batches: number): Demand {
  const { held, add } = programList();
  for (const { dims, head, perturbation } of plans) {
    const form = formOf(perturbation);
    for (const stage of stagesOf(model, head)) add(stage, seenBy(model, stage, dims), form);
  }
  return {
    scratch: scratchLength(model, plans),
    activations: 4 * Math.max(0, ...plans.map((plan) => activationFloats(model, plan, batches))),
    programs: held(),
  };
}

/** Of `Tangent.slopes`. @param moved tensors that move. */
export function tangentDemand(
  model: Model,
  direction: Direction,
  calls: readonly Shape[],
  batches: number,
  moved: Kept,
): Demand {
  const { held, add } = programList();
  const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));
  for (const { dims, head } of calls) {
    const body = [model.embed, ...model.blocks, model.final];
    let isMoving = false;
    for (const stage of stagesOf(model, head)) {
      const own = stage.bindings.filter(({ tensor }) => moved(specs.get(tensor)!.id));
      const wrt: readonly string[] = [
        ...(isMoving ? ['x'] : []),
        ...own.map((binding) => movedInput(direction, binding, specs.get(binding.tensor)!.shape)),
      ];
      if (wrt.length > 0) add(stage, dims, formAlong(direction), `jvp ${wrt}`, (graph) => jvp(graph, wrt));
      else add(stage, dims, { kind: 'plain' });
      if (body.includes(stage)) isMoving = wrt.length > 0;
    }
  }
  const most = calls.map((call) =>
    activationFloats(model, { ...call, perturbation: PLAIN }, Math.min(batches, TANGENT_GROUP)),
  );
  return {
    scratch: tangentScratch(model, direction, calls),
    activations: 2 * 4 * Math.max(0, ...most), // every array has its tangent beside it
    programs: held(),
  };
}

/** A batch of which nothing but its shape is looked at. */
const blank = ({ sequences, tokens, scored }: Dims): Batch => ({
  ...{ sequences, tokens, scored, ids: new Int32Array(sequences * tokens), at: new Int32Array(sequences * scored) },
  ...{ targets: new Int32Array(0), weights: new Float32Array(0), lengths: new Int32Array(0) },
  members: new Int32Array(0),
});

/** Of `Backward.gradient`. @param batches of a call. @param wanted tensors whose gradient is taken. */
export function backwardDemand(model: Model, calls: readonly Shape[], batches: number, wanted: Kept): Demand {
  const { held, add } = programList();
  const specs = new Map(model.tensors.map((spec) => [spec.name, spec]));
  const body = [model.embed, ...model.blocks];
  const wantedOf = ({ bindings }: Stage) => bindings.filter(({ tensor }) => wanted(specs.get(tensor)!.id));
  const found = body.findIndex((stage) => wantedOf(stage).length > 0);
  const first = found < 0 ? body.length : found;
  const intoFinal = first < body.length || wantedOf(model.final).length > 0;
  /** Length of a cotangent that a program writes → most of them at once. */
  const bars = new Map<number, number>();
  for (const { dims, head } of calls) {
    const choices = new Int32Array(head.kind === 'choice' ? head.choices : 0);
    const batch = blank(dims);
    for (const stage of stagesOf(model, head)) {
      const place = body.indexOf(stage);
      const goesOn = place >= 0 ? place > first : stage === model.final ? first < body.length : intoFinal;
      const own = place >= 0 && place < first ? [] : wantedOf(stage);
      const wrt = [...(goesOn ? ['x'] : []), ...own.map(({ input }) => input)];
      const seen = seenBy(model, stage, dims);
      if (wrt.length === 0) {
        add(stage, seen, { kind: 'plain' });
        continue;
      }
      for (const way of ['forward', 'backward'] as const)
        add(stage, seen, { kind: 'plain' }, `${way} ${wrt}`, (graph) => splitVjp(graph, wrt)[way]);
      const lengths = own.map(({ access, tensor }) =>
        readLength({ access, shape: specs.get(tensor)!.shape, batch, choices }),
      );
      for (const length of new Set(lengths))
        bars.set(length, Math.max(bars.get(length) ?? 0, lengths.filter((one) => one === length).length));
    }
  }
  const kept = { ...model, blocks: model.blocks.slice(Math.max(0, first - 1)) };
  const plain = calls.map((call): Plan => ({ ...call, perturbation: PLAIN }));
  const read = [...bars].reduce((sum, [length, count]) => sum + length * count, 0);
  return {
    scratch: scratchLength(model, plain),
    activations: 4 * (read + Math.max(0, ...calls.map(({ dims, head }) => backwardFloats(kept, dims, batches, head)))),
    programs: held(),
  };
}

/** Texts that one call of a replica writes, all of them at once. */
export interface Texts {
  /** Copies of all prompts: two of each where they are written on both sides of a direction. */
  readonly count: number;
  /** Tokens of the longest prompt. */
  readonly prompt: number;
  readonly max_new_tokens: number;
  /** Texts that share a program call. */
  readonly sequences: number;
}

/** Of `continuations`, if every text is as long as it may be. */
export function writingDemand(
  model: Model,
  perturbation: PerturbationKind,
  { count, prompt, max_new_tokens, sequences }: Texts,
): Demand {
  const longest = longestText(model);
  const most = Math.min(longest, prompt + max_new_tokens);
  const rooms = Array.from(
    { length: 1 + (stepped(most) - stepped(prompt)) / stepped(1) },
    (_, i) => stepped(prompt) + i * stepped(1),
  );
  const cached = hasCache(model);
  const whole = (tokens: number): Dims => ({ sequences, tokens: Math.min(longest, tokens), scored: 1 });
  const dims: readonly Dims[] = cached
    ? [{ ...whole(rooms[0]!), past: 0 }, ...rooms.map((past) => ({ sequences, tokens: 1, scored: 1, past }))]
    : rooms.map(whole);
  const plans = dims.map((each): Plan => ({ dims: each, head: { kind: 'logits' }, perturbation }));
  const companies = Math.ceil(count / sequences);
  const demand = forwardDemand(model, plans, companies);
  const ofToken = model.blocks.reduce((sum, { cache }) => sum + (cache ? 2 * cache.groups * cache.headDim : 0), 0);
  const caches = cached ? stepped(most) * ofToken : 0;
  const floats = lanesOf(perturbation) * companies * sequences * (caches + model.vocabulary);
  return { ...demand, activations: demand.activations + 4 * floats };
}

/**
 * Compiled programs by text and shape, for use again. Every shape is a program of its own, with working memory of its
 * own in the runtime, so those that were not used for longest are released.
 *
 * @module
 */
import { type Dims, type Form, isContinued, type Stage } from '../model/stage.ts';
import type { Graph, Value } from '../nouns.ts';
import type { Engine, Program } from '../ports.ts';

/** A compiled stage and its constant inputs: none where they depend on more than the shape. */
export interface Compiled {
  readonly program: Program;
  /** What it writes. */
  readonly outputs: readonly Value[];
  readonly constants: Readonly<Record<string, Float32Array>>;
}

/** A program made from a stage's own. */
export interface Derivation {
  /** Text that tells it apart. */
  readonly name: string;
  derive(graph: Graph): Graph;
}

export interface Programs {
  of(stage: Stage, dims: Dims, form: Form, derivation?: Derivation): Promise<Compiled>;
  release(): Promise<void>;
}

/** A model has four or five programs; so many let a task's commonest shapes stay. */
export const MOST_PROGRAMS = 256;

const shapeOf = ({ sequences, tokens, scored, past }: Dims, form: Form): string =>
  `${sequences}x${tokens}x${scored}x${past} ${form.precision ?? 'f32'} ${form.kind} ${form.kind === 'sided' ? form.rank : 0}`;

export function programStore(engine: Engine): Programs {
  /** Least recently used first. */
  const compiled = new Map<string, Compiled>();
  /** Program texts are long; their numbers make short keys. */
  const numbers = new Map<string, number>();

  function keyOf({ program }: Stage, dims: Dims, form: Form, derivation: Derivation | undefined): string {
    const text = derivation ? `${derivation.name} of ${program}` : program;
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    return `${number} ${shapeOf(dims, form)}`;
  }

  async function compile(
    stage: Stage,
    { sequences, tokens, scored, past }: Dims,
    form: Form,
    derivation: Derivation | undefined,
  ): Promise<Compiled> {
    const dims = { sequences, tokens, scored, ...(past === undefined ? {} : { past }) };
    const own = stage.build(dims, form);
    const graph = derivation ? derivation.derive(own) : own;
    const program = await engine.compile(graph);
    return { program, outputs: graph.outputs, constants: isContinued(dims) ? {} : stage.constants(dims) };
  }

  return {
    async of(stage, dims, form, derivation) {
      const key = keyOf(stage, dims, form, derivation);
      const found = compiled.get(key) ?? (await compile(stage, dims, form, derivation));
      compiled.delete(key);
      compiled.set(key, found);
      if (compiled.size > MOST_PROGRAMS) {
        const [oldest, { program }] = compiled.entries().next().value!;
        compiled.delete(oldest);
        await program.release();
      }
      return found;
    },
    async release() {
      const programs = [...compiled.values()];
      compiled.clear();
      for (const { program } of programs) await program.release();
    },
  };
}

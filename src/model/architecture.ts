/**
 * What an architecture's file gives: stages, each with the tensors it binds and their stored shapes. Both are found by
 * writing the program once at the smallest size and looking at what it used.
 *
 * @module
 */
import type { Graph } from '../nouns.ts';
import { Sketch } from './sided.ts';
import type { Binding, CacheShape, Dims, Form, Head, Stage } from './stage.ts';

/** A stage, and the stored shapes of the tensors it binds. */
export interface Written {
  readonly stage: Stage;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** The stages of a model of this architecture. */
export interface Architecture {
  readonly embed: Written;
  readonly blocks: readonly Written[];
  readonly final: Written;
  piece(head: Head, rows: { readonly first: number; readonly count: number }): Written;
}

const NO_CONSTANTS = (): Readonly<Record<string, Float32Array>> => ({});
const SMALLEST: Dims = { sequences: 1, tokens: 1, scored: 1 };

/**
 * @param name of the program. @param settings everything else that `write` and `constants` depend on.
 * @param tensor input name → name of the tensor in the checkpoint.
 * @param cache of a block whose attention is `causal`.
 */
export function stage(
  name: string,
  settings: object,
  tensor: (input: string) => string,
  write: (sketch: Sketch) => void,
  constants: Stage['constants'] = NO_CONSTANTS,
  cache?: CacheShape,
): Written {
  const draw = (dims: Dims, form: Form): Sketch => {
    const sketch = new Sketch(name, dims, form);
    write(sketch);
    return sketch;
  };
  const { uses } = draw(SMALLEST, { kind: 'plain' });
  const bindings = uses.map(({ input, access }): Binding => ({ input, tensor: tensor(input), access }));
  const shapes = new Map(uses.map(({ input, shape }) => [tensor(input), shape]));
  const build = (dims: Dims, form: Form): Graph => draw(dims, form).g.build();
  const program = `${name} ${JSON.stringify(settings)}`;
  return { stage: { program, bindings, build, constants, ...(cache ? { cache } : {}) }, shapes };
}

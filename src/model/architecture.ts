/**
 * What an architecture's file gives: stages, each with the tensors it binds and their stored shapes. Both are found by
 * writing the program once at the smallest size and looking at what it used.
 *
 * @module
 */
import type { Graph } from '../nouns.ts';
import { type AdapterView, type Addition, additionOf } from './adapter.ts';
import { Sketch } from './sided.ts';
import type { Binding, Dims, Form, Head, Stage } from './stage.ts';

/** A stage, and the stored shapes of the tensors it binds. */
export interface Written {
  readonly stage: Stage;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** The stage in a model with an adapter: its tensors, too, are bound and have shapes. */
  adapted(adapter: AdapterView | typeof CAPTURE): Written;
}

/** Keys and values of blocks become outputs: what a prefix is made from. */
export const CAPTURE = 'capture';

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
 * @param batchInputs inputs that depend on the batch: see `Stage`.
 */
export function stage(
  name: string,
  settings: object,
  tensor: (input: string) => string,
  write: (sketch: Sketch) => void,
  constants: Stage['constants'] = NO_CONSTANTS,
  batchInputs?: Stage['batchInputs'],
): Written {
  const written = (adapter: AdapterView | typeof CAPTURE | undefined): Written => {
    const addition: Addition | undefined =
      adapter === CAPTURE ? { capture: true } : adapter && additionOf(adapter, tensor);
    const before = addition?.prefix;
    const placed = (dims: Dims): Dims => (before === undefined ? dims : { ...dims, before });
    const draw = (dims: Dims, form: Form): Sketch => {
      const sketch = new Sketch(name, placed(dims), form, addition);
      write(sketch);
      return sketch;
    };
    const { uses } = draw(SMALLEST, { kind: 'plain' });
    const bindings = uses.map(({ input, access, added }): Binding => {
      return { input, tensor: tensor(input), access, ...(addition && !added ? { still: true } : {}) };
    });
    const added = uses.flatMap((use) => (use.added ? [use.input] : []));
    return {
      stage: {
        program: `${name} ${JSON.stringify(adapter ? [settings, adapter, added] : settings)}`,
        bindings,
        build: (dims, form): Graph => draw(dims, form).g.build(),
        constants: (dims) => constants(placed(dims)),
        ...(batchInputs ? { batchInputs } : {}),
      },
      shapes: new Map(uses.map(({ input, shape }) => [tensor(input), shape])),
      adapted: written,
    };
  };
  return written(undefined);
}

/**
 * Keys and values of real tokens: what a prefix must start from (MeZO, arXiv:2305.17333, section 2.1; from noise it does
 * not train). They are floats of the machine that computes them, so one machine does, and they travel as a file.
 *
 * @module
 */
import type { Engine, TypedArray } from '../ports.ts';
import { PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Dims, Model, Stage } from './stage.ts';

/** Of one block, (m, G·d) both. */
export interface KeysAndValues {
  readonly keys: Float32Array;
  readonly values: Float32Array;
}

/** (G,m,d) -> (m, G·d). */
function besides(x: Float32Array, groups: number, m: number): Float32Array {
  const headDim = x.length / groups / m;
  return Float32Array.from(x, (_, i) => {
    const [row, group, k] = [Math.floor(i / (groups * headDim)), Math.floor(i / headDim) % groups, i % headDim];
    return x[(group * m + row) * headDim + k]!;
  });
}

/** Plain feeds of a stage for one sequence. */
async function feedsOf(stage: Stage, tokens: Int32Array, read: Checkpoint['read'], width: number) {
  const feeds: Record<string, Float32Array> = {};
  for (const { input, tensor, access } of stage.bindings) {
    if (access.as !== 'rows') {
      feeds[input] = await read(tensor);
      continue;
    }
    const rows = access.of === 'positions' ? tokens.map((_, t) => t + access.offset) : tokens;
    const out = (feeds[input] = new Float32Array(rows.length * width));
    for (const [i, row] of rows.entries()) out.set(await read(tensor, row * width, width), i * width);
  }
  return feeds;
}

/**
 * @param model as `capturing` gives it. @param read tensors of the base. @param tokens (m,).
 * @returns of every block, rotated where its keys are.
 */
export async function keysAndValues(
  model: Pick<Model, 'embed' | 'blocks'>,
  hidden: number,
  read: Checkpoint['read'],
  engine: Engine,
  tokens: Int32Array,
): Promise<readonly KeysAndValues[]> {
  const dims: Dims = { sequences: 1, tokens: tokens.length, scored: 1 };
  const all: KeysAndValues[] = [];
  let x: Float32Array | undefined;
  for (const stage of [model.embed, ...model.blocks]) {
    const graph = stage.build(dims, { kind: 'plain' });
    const outputs = Object.fromEntries(
      graph.outputs.map(({ name, shape }) => [name, new Float32Array(shape.reduce((a, b) => a * b, 1))]),
    );
    const feeds: Record<string, TypedArray> = { ...stage.constants(dims), ...(x ? { x } : {}) };
    const program = await engine.compile(graph);
    await program.run({ ...feeds, ...(await feedsOf(stage, tokens, read, hidden)) }, outputs);
    await program.release();
    x = outputs['y']!;
    const captured = (end: string): Float32Array | undefined => {
      const output = graph.outputs.find(({ name }) => name.endsWith(end));
      return output && besides(outputs[output.name]!, output.shape[1]!, tokens.length);
    };
    const [keys, values] = [captured(PREFIX_KEY), captured(PREFIX_VALUE)];
    if (keys && values) all.push({ keys, values });
  }
  return all;
}

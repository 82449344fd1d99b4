/**
 * How much memory a program takes while it runs, from its text alone: what a runtime that frees every value after its
 * last use must hold at once. Inputs and outputs are the caller's and do not count.
 *
 * @module
 */
import type { Dtype, Graph } from '../nouns.ts';
import { size } from './shape.ts';

const WIDTH: Readonly<Record<Dtype, number>> = { f32: 4, i32: 4, i8: 1, u8: 1 };

/** Bytes: the largest sum of intermediate values that live side by side, nodes run in their order. */
export function workingSet({ nodes, outputs }: Graph): number {
  const given = new Set(outputs.map(({ name }) => name));
  const lastUse = new Map(nodes.flatMap(({ inputs }, i) => inputs.map((name) => [name, i] as const)));
  const bytes = new Map<string, number>();
  let live = 0;
  let most = 0;
  for (const [i, { inputs, output }] of nodes.entries()) {
    const own = given.has(output.name) ? 0 : size(output.shape) * WIDTH[output.dtype];
    bytes.set(output.name, own);
    live += own;
    most = Math.max(most, live);
    for (const name of new Set(inputs)) if (lastUse.get(name) === i) live -= bytes.get(name) ?? 0;
  }
  return most;
}

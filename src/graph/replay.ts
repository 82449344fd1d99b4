/**
 * What programs made from programs share: writing a program's nodes again into another, what of it depends on an input,
 * and leaving out what no output needs.
 *
 * @module
 */
import type { Graph, Value } from '../nouns.ts';
import type { GraphBuilder } from './graph.ts';

/**
 * Writes inputs, constants and nodes of `graph` into `g`.
 * @param given results of nodes that become inputs, by the names they then have.
 * @returns their values, by the names they have in `graph`.
 */
export function replay(
  graph: Graph,
  g: GraphBuilder,
  given: ReadonlyMap<string, string> = new Map(),
): Map<string, Value> {
  const values = new Map<string, Value>();
  for (const { name, shape, dtype } of graph.inputs) values.set(name, g.input(name, shape, dtype));
  for (const { name, shape, data } of graph.constants) values.set(name, g.constant(data, shape));
  for (const { op, inputs, output } of graph.nodes) {
    const input = given.get(output.name);
    const x = inputs.map((name) => values.get(name)!);
    values.set(output.name, input === undefined ? g.node(op, x) : g.input(input, output.shape));
  }
  return values;
}

/**
 * Names of the values that depend on the inputs `wrt`, themselves included.
 * @throws {RangeError} naming one that is no f32 input of the program
 */
export function dependents(graph: Graph, wrt: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const name of wrt) {
    if (!graph.inputs.some((input) => input.name === name && input.dtype === 'f32'))
      throw new RangeError(`"wrt" expected f32 inputs of program "${graph.name}", got "${name}"`);
    found.add(name);
  }
  for (const { inputs, output } of graph.nodes) if (inputs.some((name) => found.has(name))) found.add(output.name);
  return found;
}

/** The same program without nodes and constants that no output depends on. Inputs stay, read or not. */
export function pruned(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  for (const { inputs, output } of graph.nodes.toReversed())
    if (needed.has(output.name)) for (const name of inputs) needed.add(name);
  return {
    ...graph,
    constants: graph.constants.filter(({ name }) => needed.has(name)),
    nodes: graph.nodes.filter(({ output }) => needed.has(output.name)),
  };
}

/** The refusal of an op that rounds to bytes. */
export const noDerivative = (op: string, graph: Graph): RangeError =>
  new RangeError(`"${op}" of program "${graph.name}" has no derivative`);

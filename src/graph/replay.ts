/**
 * What programs made from programs share: writing a program's nodes again into another, what of it depends on an input,
 * and leaving out what no output needs, or what changes nothing.
 *
 * @module
 */
import type { Graph, Node, Value } from '../nouns.ts';
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

/**
 * The same program without reshapes to the shape that is there: who reads one reads what it reads, and what nobody but an
 * output reads is made under the output's name. Left are those that copy: an input, a constant or a value that others
 * read as well, into an output.
 */
export function withoutIdleReshapes(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const shapes = new Map([...graph.inputs, ...graph.constants].map(({ name, shape }) => [name, String(shape)]));
  const isIdle = ({ op, inputs: [x], output }: Node) => op.op === 'reshape' && shapes.get(x!) === String(output.shape);
  const read = new Map<string, string>();
  const kept: Node[] = [];
  for (const { op, inputs, output } of graph.nodes) {
    shapes.set(output.name, String(output.shape));
    const node = { op, inputs: inputs.map((name) => read.get(name) ?? name), output };
    if (isIdle(node) && !outputs.has(output.name)) read.set(output.name, node.inputs[0]!);
    else kept.push(node);
  }
  const makers = new Map(kept.map((node) => [node.output.name, node]));
  const readers = new Map<string, number>();
  for (const name of kept.flatMap(({ inputs }) => inputs)) readers.set(name, (readers.get(name) ?? 0) + 1);
  /** Value → the output that it is made as. */
  const made = new Map<string, Value>();
  for (const node of kept) {
    const x = node.inputs[0]!;
    if (isIdle(node) && makers.has(x) && !outputs.has(x) && readers.get(x) === 1) made.set(x, node.output);
  }
  const isDone = ({ inputs: [x], output }: Node) => made.get(x!) === output;
  return {
    ...graph,
    nodes: kept
      .filter((node) => !isDone(node))
      .map((node) => ({ ...node, output: made.get(node.output.name) ?? node.output })),
  };
}

/** The refusal of an op that rounds to bytes. */
export const noDerivative = (op: string, graph: Graph): RangeError =>
  new RangeError(`"${op}" of program "${graph.name}" has no derivative`);

/**
 * The arrays a program is called with, checked before any engine touches them.
 *
 * @module
 */
import type { Dtype, Graph, Value } from '../nouns.ts';
import type { TypedArray } from '../ports.ts';
import { size } from './shape.ts';

const KIND: Record<Dtype, string> = { f32: 'Float32Array', i32: 'Int32Array', i8: 'Int8Array', u8: 'Uint8Array' };

function check(
  graph: Graph,
  role: 'feed' | 'output',
  values: readonly Value[],
  arrays: Readonly<Record<string, TypedArray>>,
): void {
  for (const { name, dtype, shape } of values) {
    const array = arrays[name];
    const subject = `${role} "${name}" of program "${graph.name}"`;
    if (array === undefined) throw new RangeError(`${subject} is missing`);
    if (array.constructor.name !== KIND[dtype]) {
      throw new TypeError(`${subject} expected ${KIND[dtype]}, got ${array.constructor.name}`);
    }
    if (array.length !== size(shape)) {
      throw new RangeError(`${subject} expected ${size(shape)} elements (${shape.join(',')}), got ${array.length}`);
    }
    // Native runtimes refuse it, with a message that does not say so. (The global is absent from most browser pages.)
    if (array.buffer.constructor.name === 'SharedArrayBuffer')
      throw new TypeError(`${subject} must not lie in shared memory`);
  }
  if (Object.keys(arrays).length === values.length) return;
  const stranger = Object.keys(arrays).find((name) => !values.some((v) => v.name === name));
  throw new RangeError(`program "${graph.name}" has no ${role} "${stranger}"`);
}

/** @throws {RangeError | TypeError} naming the array that is missing, unknown, or of another type or length. */
export function checkArrays(
  graph: Graph,
  feeds: Readonly<Record<string, TypedArray>>,
  outputs: Readonly<Record<string, TypedArray>>,
): void {
  check(graph, 'feed', graph.inputs, feeds);
  check(graph, 'output', graph.outputs, outputs);
}

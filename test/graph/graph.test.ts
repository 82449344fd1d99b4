import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../src/graph/graph.ts';
import { broadcast, infer, size } from '../../src/graph/shape.ts';
import type { Dtype, Op, Shape } from '../../src/nouns.ts';

const f32 = (...shape: number[]) => ({ dtype: 'f32', shape }) as const;
const i32 = (...shape: number[]) => ({ dtype: 'i32', shape }) as const;
const u8 = (...shape: number[]) => ({ dtype: 'u8', shape }) as const;
const i8 = (...shape: number[]) => ({ dtype: 'i8', shape }) as const;
type Inputs = readonly { dtype: Dtype; shape: Shape }[];

describe('types of ops', () => {
  const accepted: [Op, Inputs, Shape][] = [
    [{ op: 'linear' }, [f32(5, 3), f32(7, 3)], [5, 7]],
    [{ op: 'matmul' }, [f32(5, 3), f32(3, 7)], [5, 7]],
    [{ op: 'matmul' }, [f32(2, 1, 5, 3), f32(4, 3, 7)], [2, 4, 5, 7]],
    [{ op: 'add' }, [f32(4, 1, 3), f32(2, 1)], [4, 2, 3]],
    [{ op: 'sub' }, [f32(), f32(2)], [2]],
    [{ op: 'mul' }, [f32(2), f32()], [2]],
    [{ op: 'sigmoid' }, [f32()], []],
    [{ op: 'relu' }, [f32(2, 3)], [2, 3]],
    [{ op: 'tanh' }, [f32(2, 3)], [2, 3]],
    [{ op: 'erf' }, [f32(2, 3)], [2, 3]],
    [{ op: 'exp' }, [f32(2, 3)], [2, 3]],
    [{ op: 'step' }, [f32(2, 3)], [2, 3]],
    [{ op: 'rsqrt' }, [f32(2, 3)], [2, 3]],
    [{ op: 'sum', axes: [2, 0] }, [f32(2, 3, 4)], [1, 3, 1]],
    [{ op: 'softmax' }, [f32(2, 3)], [2, 3]],
    [{ op: 'logSoftmax' }, [f32(3)], [3]],
    [{ op: 'rmsNorm', epsilon: 1e-5 }, [f32(2, 3)], [2, 3]],
    [{ op: 'layerNorm', epsilon: 1e-5 }, [f32(2, 3)], [2, 3]],
    [{ op: 'reshape', shape: [6] }, [i32(2, 3)], [6]],
    [{ op: 'reshape', shape: [] }, [f32(1, 1)], []],
    [{ op: 'transpose', perm: [2, 0, 1] }, [f32(2, 3, 4)], [4, 2, 3]],
    [{ op: 'concat', axis: 1 }, [f32(2, 3), f32(2, 1), f32(2, 5)], [2, 9]],
    [{ op: 'concat', axis: 0 }, [i32(2)], [2]],
    [{ op: 'slice', axis: 1, start: 2, end: 5 }, [f32(2, 5)], [2, 3]],
    [{ op: 'gather' }, [f32(9, 4, 2), i32(3)], [3, 4, 2]],
    [{ op: 'gather' }, [i32(9), i32(3)], [3]],
    [{ op: 'pick' }, [f32(3, 9), i32(3)], [3]],
  ];
  test.each(accepted)('%j of %j', (op, inputs, shape) => {
    expect(infer(op, inputs)).toEqual({ dtype: inputs[0]!.dtype, shape });
  });

  const changed: [Op, Inputs, ReturnType<typeof infer>][] = [
    [{ op: 'rowScale' }, [f32(5, 3)], f32(5)],
    [{ op: 'quantise' }, [f32(5, 3), f32(5)], u8(5, 3)],
    [{ op: 'linear8' }, [u8(5, 3), f32(5), i8(3, 7), f32(7)], f32(5, 7)],
    [{ op: 'reshape', shape: [6] }, [i8(2, 3)], i8(6)],
    [{ op: 'oneHot', depth: 4 }, [i32(3)], f32(3, 4)],
  ];
  test.each(changed)('%j of %j gives %j', (op, inputs, output) => {
    expect(infer(op, inputs)).toEqual(output);
  });

  const refused: [string, Op, Inputs][] = [
    ['inner lengths differ', { op: 'linear' }, [f32(5, 3), f32(3, 7)]],
    ['linear is for matrices', { op: 'linear' }, [f32(2, 5, 3), f32(7, 3)]],
    ['a row of one', { op: 'rowScale' }, [f32(3)]],
    ['another number of scales', { op: 'quantise' }, [f32(5, 3), f32(3)]],
    ['scales with an axis too many', { op: 'quantise' }, [f32(5, 3), f32(5, 1)]],
    ['floats where bytes belong', { op: 'linear8' }, [f32(5, 3), f32(5), i8(3, 7), f32(7)]],
    ['unsigned weights', { op: 'linear8' }, [u8(5, 3), f32(5), u8(3, 7), f32(7)]],
    ['weights that are not transposed', { op: 'linear8' }, [u8(5, 3), f32(5), i8(7, 3), f32(7)]],
    ['scales of activations by column', { op: 'linear8' }, [u8(5, 3), f32(3), i8(3, 7), f32(7)]],
    ['scales of weights by column', { op: 'linear8' }, [u8(5, 3), f32(5), i8(3, 7), f32(3)]],
    ['no scales of weights', { op: 'linear8' }, [u8(5, 3), f32(5), i8(3, 7)]],
    ['inner lengths differ', { op: 'matmul' }, [f32(5, 3), f32(5, 3)]],
    ['a vector is no matrix', { op: 'matmul' }, [f32(3), f32(3, 7)]],
    ['leading axes do not broadcast', { op: 'matmul' }, [f32(2, 5, 3), f32(4, 3, 7)]],
    ['do not broadcast', { op: 'add' }, [f32(2, 3), f32(2)]],
    ['arithmetic is for f32', { op: 'add' }, [i32(2), i32(2)]],
    ['arithmetic is for f32', { op: 'mul' }, [f32(2), i32(2)]],
    ['too few inputs', { op: 'sub' }, [f32(2)]],
    ['too many inputs', { op: 'relu' }, [f32(2), f32(2)]],
    ['no inputs', { op: 'sigmoid' }, []],
    ['no last axis', { op: 'softmax' }, [f32()]],
    ['no last axis', { op: 'logSoftmax' }, [f32()]],
    ['no last axis', { op: 'rmsNorm', epsilon: 1 }, [f32()]],
    ['arithmetic is for f32', { op: 'layerNorm', epsilon: 1 }, [i32(2)]],
    ['another number of elements', { op: 'reshape', shape: [5] }, [f32(2, 3)]],
    ['too few axes', { op: 'transpose', perm: [0] }, [f32(2, 3)]],
    ['an axis twice', { op: 'transpose', perm: [0, 0] }, [f32(2, 3)]],
    ['no such axis', { op: 'transpose', perm: [0, 2] }, [f32(2, 3)]],
    ['nothing to join', { op: 'concat', axis: 0 }, []],
    ['no such axis', { op: 'concat', axis: 2 }, [f32(2, 3)]],
    ['negative axis', { op: 'concat', axis: -1 }, [f32(2, 3)]],
    ['other axes differ', { op: 'concat', axis: 1 }, [f32(2, 3), f32(3, 3)]],
    ['ranks differ', { op: 'concat', axis: 1 }, [f32(2, 3), f32(2, 3, 1)]],
    ['a rank too low for the axis', { op: 'concat', axis: 1 }, [f32(2, 3), f32(2)]],
    ['dtypes differ', { op: 'concat', axis: 0 }, [f32(2), i32(2)]],
    ['an empty slice', { op: 'slice', axis: 0, start: 1, end: 1 }, [f32(2)]],
    ['past the end', { op: 'slice', axis: 0, start: 1, end: 3 }, [f32(2)]],
    ['before the start', { op: 'slice', axis: 0, start: -1, end: 1 }, [f32(2)]],
    ['between elements', { op: 'slice', axis: 0, start: 0.5, end: 2 }, [f32(2)]],
    ['no such axis', { op: 'slice', axis: 1, start: 0, end: 1 }, [f32(2)]],
    ['an index of f32', { op: 'gather' }, [f32(9, 4), f32(3)]],
    ['an index of two axes', { op: 'gather' }, [f32(9, 4), i32(3, 1)]],
    ['a scalar table', { op: 'gather' }, [f32(), i32(3)]],
    ['another number of rows', { op: 'pick' }, [f32(3, 9), i32(4)]],
    ['a sum over nothing', { op: 'sum', axes: [] }, [f32(2, 3)]],
    ['an axis twice', { op: 'sum', axes: [0, 0] }, [f32(2, 3)]],
    ['no such axis', { op: 'sum', axes: [2] }, [f32(2, 3)]],
    ['an index of two axes', { op: 'oneHot', depth: 4 }, [i32(3, 1)]],
    ['an index of f32', { op: 'oneHot', depth: 4 }, [f32(3)]],
    ['no columns', { op: 'oneHot', depth: 0 }, [i32(3)]],
    ['a vector', { op: 'pick' }, [f32(3), i32(3)]],
  ];
  test.each(refused)('%s: %j refuses %j', (_, op, inputs) => {
    expect(() => infer(op, inputs)).toThrow(RangeError);
  });

  test('a refusal names the op with its attributes, and its inputs', () => {
    expect(() => infer({ op: 'concat', axis: 1 }, [f32(2, 3), i32(4)])).toThrow(
      '{"op":"concat","axis":1} does not take f32(2,3) i32(4)',
    );
  });

  test('broadcasting is commutative, has () as its unit, and gives a shape both sides fit', () => {
    const shape = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 4 });
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        const both = broadcast(a, b);
        expect(broadcast(b, a)).toEqual(both);
        expect(broadcast(a, [])).toEqual(a);
        if (both === undefined) return;
        expect(broadcast(both, a)).toEqual(both);
        expect(size(both)).toBeGreaterThanOrEqual(Math.max(size(a), size(b)));
      }),
    );
  });
});

describe('builder', () => {
  test('gives the program as data, in the order it was written', () => {
    const g = new GraphBuilder('example');
    const x = g.input('x', [2, 3]);
    const w = g.input('w', [4, 3]);
    g.output('y', g.relu(g.linear(x, w)));
    const { name, inputs, constants, nodes, outputs } = g.build();
    expect(name).toBe('example');
    expect(inputs).toEqual([
      { name: 'x', dtype: 'f32', shape: [2, 3] },
      { name: 'w', dtype: 'f32', shape: [4, 3] },
    ]);
    expect(constants).toEqual([]);
    expect(nodes.map((n) => n.op.op)).toEqual(['linear', 'relu', 'reshape']);
    expect(nodes[0]!.inputs).toEqual(['x', 'w']);
    expect(outputs).toEqual([{ name: 'y', dtype: 'f32', shape: [2, 4] }]);
  });

  test('what was built does not change when building goes on', () => {
    const g = new GraphBuilder();
    const x = g.input('x', [1]);
    g.output('y', x);
    const before = structuredClone(g.build());
    const built = g.build();
    g.output('z', g.relu(x));
    expect(built).toEqual(before);
  });

  test.each<[string, (g: GraphBuilder) => unknown]>([
    ['"x" is declared twice', (g) => [g.input('x', [1]), g.input('x', [1])]],
    ['"x" is declared twice', (g) => g.output('x', g.input('x', [1]))],
    ['"y" is declared twice', (g) => [g.output('y', g.input('x', [1])), g.output('y', g.scalar(1))]],
    ['"x" expected positive whole dimensions, got (2,0)', (g) => g.input('x', [2, 0])],
    ['"x" expected positive whole dimensions, got (1.5)', (g) => g.input('x', [1.5])],
    ['"data" expected 4 elements for shape (2,2), got 3', (g) => g.constant(new Float32Array(3), [2, 2])],
    ['"x" is not a value of program "here"', (g) => g.relu(new GraphBuilder('there').input('x', [1]))],
    ['program "here" has no output', (g) => g.build()],
  ])('refuses: %s', (message, build) => {
    const attempt = () => build(new GraphBuilder('here'));
    expect(attempt).toThrow(RangeError);
    expect(attempt).toThrow(message);
  });
});

/**
 * A model's stages run one after the other, as plainly as can be: the caller gives weights as floats, and for the sided
 * form a direction for every sequence. `src/objective` does the same for fixed-point weights, and faster.
 */
import type { Binding, Dims, Form, Head, Model, Piece, Stage } from '../../src/model/stage.ts';
import { exponentOf, quantise } from '../../src/numeric/fixed.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import type { Engine, TypedArray } from '../../src/ports.ts';

/** z of one matrix for one sequence, u (r,R) and v (r,C); of a vector, `u` (n) is the perturbation itself. */
export interface Side {
  readonly u: Float32Array;
  readonly v: Float32Array;
}

export interface Call {
  readonly dims: Dims;
  readonly form: Form;
  readonly head: Head;
  /** (S·T) */
  readonly ids: readonly number[];
  /** (S) tokens of each sequence; absent: none is padded. */
  readonly lengths?: readonly number[];
  /** (S·P) rows of (S·T). */
  readonly at: readonly number[];
  /** (S·P), for an lm head. */
  readonly targets?: readonly number[];
  /** Token ids of the choices. */
  readonly choices?: readonly number[];
  readonly weight: (tensor: string) => Float32Array;
  readonly side?: (tensor: string, sequence: number) => Side;
}

const concat = (parts: readonly Float32Array[]): Float32Array => Float32Array.from(parts.flatMap((p) => [...p]));

/** Rows `index` of a row-major (R, width) array, for each of `count` such arrays in `x`. */
const rowsOf = (x: Float32Array, index: readonly number[], width: number): Float32Array =>
  concat(index.map((row) => x.subarray(row * width, (row + 1) * width)));

/** The transpose of a row-major matrix. */
const turned = (x: Float32Array, columns: number): Float32Array => {
  const rows = x.length / columns;
  return Float32Array.from(x, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]!);
};

/** Rows of weights as an 8-bit product takes them. */
function bytesOf(input: string, rows: Float32Array, width: number): Record<string, TypedArray> {
  const exponent = exponentOf(rows, input);
  const q = new Int32Array(rows.length);
  quantise(rows, exponent, q);
  const [out, scale] = [new Int8Array(rows.length), new Float32Array(rows.length / width)];
  referenceKernels().quantiseRows(q, width, exponent, out, scale);
  return { [input]: out, [`${input}.scale`]: scale };
}

function bind(model: Model, binding: Binding, call: Call): Record<string, TypedArray> {
  const { input, tensor, access } = binding;
  const { dims, form, weight, side } = call;
  const [length = 0, width = 0] = model.tensors.find((t) => t.name === tensor)!.shape;
  const whole = weight(tensor);
  const sides = Array.from({ length: form.kind === 'sided' ? dims.sequences : 0 }, (_, s) => side!(tensor, s));
  const part = (x: Float32Array, columns: number) =>
    access.as === 'piece' ? x.subarray(access.first * columns, (access.first + access.count) * columns) : x;
  const pick = (x: Float32Array): Float32Array => {
    if (access.as === 'vector') return x;
    return access.as === 'rows' ? rowsOf(x, call.choices!, 1) : part(x, 1);
  };
  if (access.as === 'vector' || width === 0)
    return {
      [input]: form.kind === 'plain' ? pick(whole) : concat(sides.map(({ u }) => pick(whole.map((w, i) => w + u[i]!)))),
    };

  const perSequence = (s: number): readonly number[] => {
    if (access.as === 'piece') return Array.from({ length: access.count }, (_, i) => access.first + i);
    if (access.as !== 'rows') return Array.from({ length }, (_, i) => i);
    if (access.of === 'choices') return call.choices!;
    if (access.of === 'one') return [access.row];
    if (access.of === 'positions') return Array.from({ length: dims.tokens }, (_, t) => t + access.offset);
    return call.ids.slice(s * dims.tokens, (s + 1) * dims.tokens);
  };
  const all = access.as === 'rows' && access.of === 'tokens' ? call.ids : perSequence(0);
  const rows = access.as === 'rows' ? rowsOf(whole, all, width) : part(whole, width);
  const multiplied = access.as !== 'rows' || access.of === 'choices';
  const feeds: Record<string, TypedArray> =
    form.precision !== 'int8' || !multiplied
      ? { [input]: rows }
      : access.as === 'transposed'
        ? bytesOf(input, turned(rows, width), length)
        : bytesOf(input, rows, width);
  if (form.kind === 'sided') {
    feeds[`${input}.v`] = concat(sides.map(({ v }) => v));
    feeds[`${input}.u`] = concat(
      sides.flatMap(({ u }, s) =>
        Array.from({ length: form.rank }, (_, k) =>
          rowsOf(u.subarray(k * length, (k + 1) * length), perSequence(s), 1),
        ),
      ),
    );
  }
  return feeds;
}

/** @returns what the head computes, row-major. */
export async function forward(engine: Engine, model: Model, call: Call): Promise<Float32Array> {
  const { dims, form, head } = call;
  const run = async (stage: Stage, inputs: Record<string, TypedArray>, lengths: Readonly<Record<string, number>>) => {
    const program = await engine.compile(stage.build(dims, form));
    const outputs = Object.fromEntries(
      Object.entries(lengths).map(([name, length]) => [name, new Float32Array(length)]),
    );
    const weights = Object.assign({}, ...stage.bindings.map((binding) => bind(model, binding, call)));
    const filled = Int32Array.from(call.lengths ?? Array<number>(dims.sequences).fill(dims.tokens));
    const given = stage.batchInputs?.({ ...dims, lengths: filled });
    await program.run({ ...stage.constants(dims), ...given, ...weights, ...inputs }, outputs);
    await program.release();
    return outputs;
  };
  const rows = dims.sequences * dims.tokens;
  const scored = dims.sequences * dims.scored;
  const y = rows * model.hidden;
  let x = (await run(model.embed, {}, { y }))['y']!;
  for (const block of model.blocks) x = (await run(block, { x }, { y }))['y']!;
  x = (await run(model.final, { x, at: Int32Array.from(call.at) }, { y: scored * model.hidden }))['y']!;
  const [{ stage, count }, ...more] = model.head(head) as readonly [Piece, ...Piece[]];
  if (more.length > 0) throw new RangeError('"model" expected a head of one piece');
  if (head.kind === 'lm') {
    const { share } = await run(
      stage,
      { x, targets: Int32Array.from(call.targets!) },
      { picked: scored, share: scored },
    );
    return share!.map((logarithm) => -logarithm);
  }
  const [name, width] = head.kind === 'choice' ? ['scores', head.choices] : ['logits', count];
  return (await run(stage, { x }, { [name]: scored * width }))[name]!;
}

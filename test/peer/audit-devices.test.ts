/** Two devices whose floats differ, in one redundancy group: neither is blamed for it. */
import { expect, test } from 'vitest';
import { nodeEngine } from '../../src/engine/node.ts';
import { interpreter } from '../../src/graph/interpreter.ts';
import { measureRecords } from '../../src/method/onebyte.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';
import { wasmKernels } from '../../src/numeric/wasm/wasm.ts';
import { EMPTY_BOOK, judge } from '../../src/peer/audit.ts';
import { smallLearner } from './learner.ts';

test('ONNX Runtime and the interpreter agree within the tolerance, record by record; a flipped code does not', async () => {
  const devices = [
    await smallLearner({ engine: interpreter, kernels: referenceKernels() }),
    await smallLearner({ engine: nodeEngine({ threads: 1 }), kernels: await wasmKernels({ bytes: 2 ** 22 }) }),
  ];
  const opened = { round: 0, scale: devices[0]!.manifest.initial_scale, clip: 127 };
  const [a, b] = await Promise.all(devices.map((learner) => measureRecords(learner, opened, 0, 8)));
  expect(Math.max(...a!.map(Math.abs)), 'there is something to compare').toBeGreaterThan(5);
  for (let i = 0; i < 8; i++) {
    const of = (codes: Int8Array) => codes.slice(i, i + 1);
    const claims = [a!, b!, b!].map((codes, slot) => ({ slot, codes: of(codes) }));
    expect(judge(EMPTY_BOOK, { round: 0, from: i, claims }, 'f32').failed).toBeUndefined();
  }
  const lie = a!.map((code) => -code);
  const claims = [a!, b!, lie].map((codes, slot) => ({ slot, codes }));
  expect(judge(EMPTY_BOOK, { round: 0, from: 0, claims }, 'f32').failed).toBe(2);
});

/**
 * Three machines, one record each a round, on weights and a loss small enough to follow by hand; twice. As the paper's
 * reference code does it, every machine perturbs its own float weights in place and takes the perturbation back
 * (ALGORITHMS 1.1, step 3); as Murmur does it, weights are integers that a probe never touches. Directions, data and
 * the order in which a machine applies its round are the same in both.
 */

import { recordKey } from '../../src/apply/apply.ts';
import { encodeSlope } from '../../src/numeric/byte.ts';
import { coefficient } from '../../src/numeric/coefficient.ts';
import { crc32c } from '../../src/numeric/crc32c.ts';
import { exponentOf, quantise } from '../../src/numeric/fixed.ts';
import type { TensorNoise } from '../../src/numeric/kernels.ts';
import { roundingWord } from '../../src/numeric/noise.ts';
import { referenceKernels } from '../../src/numeric/reference/reference.ts';

export const MACHINES = 3;
const WEIGHTS = 2048;
const EPS = 1e-3;
const RATE = 7e-4;
const RUN = 7;
const KIND = 'binomial';
/** Unit variance for integer noise of this kind. */
const UNIT = 0.5;

const kernels = referenceKernels();
const tensor: TensorNoise = { id: 0, shape: [WEIGHTS] };

/** z of record `machine` of `round`, in units of one standard deviation. */
function direction(round: number, machine: number): Float32Array {
  const z = new Int32Array(WEIGHTS);
  kernels.apply(z, tensor, KIND, 1, [{ key: recordKey(RUN, round, machine), c: 1 }]);
  return Float32Array.from(z, (value) => UNIT * value);
}

/** Weights of the size a trained model has. */
const start = (): Float32Array => direction(1_000_000, 0).map((value) => 0.02 * value);
const target = direction(1_000_001, 0).map((value) => 0.02 * value);

/** A sum of squares, in doubles. */
function lossOf(weights: Float32Array): number {
  return weights.reduce((sum, w, i) => sum + (w - target[i]!) ** 2, 0);
}

export interface Arm {
  /** By machine: round → checksum of its weights after it. */
  readonly told: readonly ReadonlyMap<number, unknown>[];
  /** By machine: its weights at the end. */
  readonly weights: readonly Float32Array[];
  readonly losses: readonly [before: number, after: number];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Every machine applies the round's records in one and the same order: with floats, another one would differ as well. */
const ORDER = Array.from({ length: MACHINES }, (_, machine) => machine);

export function floatsInPlace(rounds: number): Arm {
  const replicas = ORDER.map(start);
  const told = ORDER.map(() => new Map<number, unknown>());
  for (let round = 0; round < rounds; round++) {
    const directions = ORDER.map((machine) => direction(round, machine));
    const slopes = replicas.map((theta, machine) => {
      const move = (by: number): void => {
        for (let i = 0; i < WEIGHTS; i++) theta[i]! += by * directions[machine]![i]!;
      };
      move(EPS);
      const above = lossOf(theta);
      move(-2 * EPS);
      const below = lossOf(theta);
      move(EPS); // home, up to rounding: the residue is this machine's own
      return (above - below) / (2 * EPS);
    });
    for (const [replica, theta] of replicas.entries()) {
      for (const machine of ORDER)
        for (let i = 0; i < WEIGHTS; i++) theta[i]! -= (RATE / MACHINES) * slopes[machine]! * directions[machine]![i]!;
      told[replica]!.set(round + 1, crc32c(bytesOf(theta)));
    }
  }
  return { told, weights: replicas, losses: [lossOf(start()), lossOf(replicas[0]!)] };
}

export function integers(rounds: number): Arm {
  const base = start();
  const exponent = exponentOf(base, 'weights');
  const replicas = ORDER.map(() => new Int32Array(WEIGHTS));
  for (const q of replicas) quantise(base, exponent, q);
  const told = ORDER.map(() => new Map<number, unknown>());
  const [plus, minus] = [new Float32Array(WEIGHTS), new Float32Array(WEIGHTS)];
  const header = { gain: (RATE / MACHINES) * UNIT, scale: 2 ** 27, clip: 127 };
  for (let round = 0; round < rounds; round++) {
    const codes = replicas.map((q, machine) => {
      const key = recordKey(RUN, round, machine);
      kernels.materialisePair(q, exponent, tensor, KIND, 1, key, UNIT * EPS, 0, plus, minus);
      return encodeSlope((lossOf(plus) - lossOf(minus)) / (2 * EPS), header.scale, header.clip);
    });
    for (const [replica, q] of replicas.entries()) {
      const terms = codes.map((code, machine) => {
        const key = recordKey(RUN, round, machine);
        return { key, c: coefficient(header, code, exponent, roundingWord(key, tensor.id)) };
      });
      kernels.apply(q, tensor, KIND, 1, terms);
      told[replica]!.set(round + 1, crc32c(bytesOf(q)));
    }
  }
  const weights = replicas.map((q) => {
    kernels.materialise(q, exponent, plus);
    return plus.slice();
  });
  return { told, weights, losses: [lossOf(base), lossOf(weights[0]!)] };
}

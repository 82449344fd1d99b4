/**
 * Rounds to a thousandth of the loss on a quadratic, by records a round n: what MeZO's Theorem 1 says of language models
 * must hold where its premise does. L(w) = ½ Σ over `r` of `d` coordinates of w², rate n / (r + n + 1), and all of it on
 * the path of a run: byte, scale, header, integer coefficient, fixed-point weights.
 *
 *     npm run study:rounds
 *
 * @module
 */
import { pathToFileURL } from 'node:url';
import { markdown } from './harness.mjs';

const D = 400;
const R = 20;
const RUN = 5;
const LAST = 2000;
/** Of the binomial noise, the Gaussian stand-in. */
const DIRECTION = { kind: 'binomial', rank: 1, scale: 0.5 };
export const COUNTS = [1, 2, 4, 8, 16, 32, 64];
/** The same in floats with Gaussian noise, one seed: what an exact implementation was found to need. */
export const IN_FLOATS = [164, 84, 42, 22, 12, 7, 5];

/** Rounds that the mean loss needs: each multiplies it by 1 - n / (r + n + 1). */
export const predicted = (n) => Math.log(1e-3) / Math.log(1 - n / (R + n + 1));

/**
 * @param lib the library: from `src` in tests, from `dist` here.
 * @returns rounds until the loss is a thousandth of what it was
 */
export async function roundsToLoss(lib, n, seed) {
  const kernels = lib.referenceKernels();
  const tensors = [{ name: 'w', shape: [D], id: 0 }];
  const arrays = new Map([['w', kernels.i32(D)]]);
  const shelf = {
    hold: async () => ({ kernels, scratch: undefined, arrays, release: () => undefined }),
    close: async () => undefined,
  };
  const weights = await lib.fixWeights({ tensors, blocks: [] }, shelf, async () => new Float32Array(D).fill(1));
  const [{ exponent }] = weights.tensors;
  const rate = n / (R + n + 1);
  const manifest = {
    ...{ learning_rate: rate, lr_scheduler_type: 'constant', warmup_steps: 0, max_steps: LAST },
    ...{ direction: DIRECTION, reduction: 'mean', clip: 127 },
  };
  let state = lib.scaleState(2 ** 29);
  for (let round = 0; round < LAST; round++) {
    const w = await weights.visit('w', ({ tensor }) => Float64Array.from(tensor('w').q, (q) => q * 2 ** exponent));
    const loss = w.subarray(0, R).reduce((sum, x) => sum + (x * x) / 2, 0);
    if (loss < (R / 2) * 1e-3) return round;
    const codes = Int8Array.from({ length: n }, (_, sample) => {
      const key = lib.recordKey(RUN + seed, round, sample);
      const z = lib.direction({ id: 0, shape: [D] }, DIRECTION.kind, 1, key);
      let slope = 0; // of a quadratic, (L+ - L-) / 2 eps is z · ∇L whatever eps is
      for (let i = 0; i < R; i++) slope += DIRECTION.scale * z[i] * w[i];
      return lib.encodeSlope(slope, state.scale, manifest.clip);
    });
    const segments = [{ slot: 0, from: 0, codes }];
    const committed = { header: lib.headerOf(manifest, state, round, n), segments };
    await lib.applyRound(weights, DIRECTION, RUN + seed, committed);
    state = lib.nextState(manifest, state, committed);
  }
  return LAST;
}

/** What of the library it takes, and where. */
export const PARTS = [
  ['apply/apply', ['applyRound', 'recordKey']],
  ['model/weights', ['fixWeights']],
  ['numeric/byte', ['encodeSlope']],
  ['numeric/reference/direction', ['direction']],
  ['numeric/reference/reference', ['referenceKernels']],
  ['numeric/scale', ['scaleState']],
  ['optimizer/gain', ['nextState']],
  ['optimizer/header', ['headerOf']],
];

async function main() {
  const lib = Object.assign({}, ...(await Promise.all(PARTS.map(([path]) => import(`../dist/${path}.js`)))));
  const seeds = [1, 2, 3, 4, 5];
  const rows = [];
  for (const [i, n] of COUNTS.entries()) {
    const found = [];
    for (const seed of seeds) found.push(await roundsToLoss(lib, n, seed * 1000));
    rows.push({
      'records a round': n,
      rounds: found.reduce((a, b) => a + b, 0) / found.length,
      'of five seeds': found.join(' '),
      'in floats, Gaussian': IN_FLOATS[i],
      predicted: predicted(n),
    });
  }
  console.log(markdown(rows));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();

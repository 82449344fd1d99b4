/**
 * What Byzantine peers send, as functions of what the honest ones do: attacks know everything, and all of them send the
 * same vector. For tests and studies; no part of the library.
 *
 * Label flipping is not here: it is an honest step on labels 9 - y, a property of the data.
 *
 * @module
 */

/** @typedef {Float32Array | Float64Array} Vector (d) @typedef {readonly Vector[]} Vectors (n)(d) */

/** @param {Vectors} honest @returns {Float64Array} */
export const average = (honest) =>
  new Float64Array(honest[0].length).map((_, i) => honest.reduce((sum, x) => sum + x[i], 0) / honest.length);

/** Of each coordinate, over n - 1. @param {Vectors} honest @returns {Float64Array} */
export function deviation(honest) {
  const centre = average(honest);
  return centre.map((c, i) =>
    Math.sqrt(honest.reduce((sum, x) => sum + (x[i] - c) ** 2, 0) / Math.max(1, honest.length - 1)),
  );
}

/** A little is enough, avg + ν std: Baruch, Baruch, Goldberg 2019, arXiv:1902.06156, section 3. */
export function alie(honest, nu) {
  const spread = deviation(honest);
  return average(honest).map((c, i) => c + nu * spread[i]);
}

/** Fall of empires, avg - ν avg: Xie, Koyejo, Gupta 2019, arXiv:1903.03936. */
export const foe = (honest, nu) => average(honest).map((c) => c - nu * c);

/** -avg: Allen-Zhu et al. 2020, arXiv:2012.14368. */
export const signFlip = (honest) => average(honest).map((c) => -c);

/** -avg h / f, with h honest vectors and f others: the mean of all is 0. */
export const scaledSignFlip = (honest, f) => average(honest).map((c) => (-c * honest.length) / f);

/** A copy of an honest vector, which then counts 1 + f times: Karimireddy, He, Jaggi 2022, arXiv:2006.09365, section 3. */
export const mimic = (honest, victim = 0) => Float64Array.from(honest[victim]);

export const nan = (honest) => new Float64Array(honest[0].length).fill(Number.NaN);

const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
const unit = (x) => {
  const norm = Math.sqrt(dot(x, x));
  return norm > 0 ? x.map((value) => value / norm) : x;
};

/**
 * What mimic learns in its first steps: a direction in which honest vectors differ for long, by a power iteration over
 * their deviations from a running mean μ (the same paper, appendix).
 *
 * @typedef {{ readonly steps: number, readonly mu: Float64Array, readonly z: Float64Array }} Learned
 * @param {Float64Array} z (d) any, at first. @returns {Learned}
 */
export const nothingLearned = (z) => ({ steps: 0, mu: z.map(() => 0), z: unit(z) });

/** @param {Learned} before @param {Vectors} honest @returns {Learned} */
export function learn({ steps, mu, z }, honest) {
  const old = (steps + 1) / (steps + 2);
  const mean = average(honest);
  const next = mu.map((m, i) => old * m + (1 - old) * mean[i]);
  const pull = new Float64Array(z.length);
  for (const x of honest) {
    const away = next.map((m, i) => x[i] - m);
    const along = dot(away, z);
    for (let i = 0; i < pull.length; i++) pull[i] += along * away[i];
  }
  const toward = unit(pull);
  return { steps: steps + 1, mu: next, z: unit(z.map((value, i) => old * value + (1 - old) * toward[i])) };
}

/** Which honest vector lies farthest along what was learned. @param {Vectors} honest @param {Learned} learned */
export function victimOf(honest, { z, mu }) {
  const along = honest.map((x) => Math.abs(dot(x, z) - dot(mu, z)));
  return along.indexOf(Math.max(...along));
}

/**
 * The x >= 0 of the highest y(x), as far as so many looks tell: steps from 0 that double while y rises, then steps to
 * either side of the best that shrink. As the attacks of MoNNA's authors search for ν.
 *
 * @param {(x: number) => number} y NaN is no rise.
 */
export function lineSearch(y, { looks = 16, start = 0, step = 1, shrink = 0.8 } = {}) {
  let best = { x: start, y: y(start) };
  let x = start;
  let delta = step;
  let left = looks - 1;
  const isHigher = () => {
    const found = y(x);
    left--;
    if (!(found > best.y)) return false;
    best = { x, y: found };
    return true;
  };
  while (left > 0) {
    x = best.x + delta;
    const rises = isHigher();
    delta *= rises ? 2 : shrink;
    if (!rises) break;
  }
  for (; left > 0; delta *= shrink) {
    if (x < best.x) x += delta;
    else {
      let back = x - delta;
      while (back < 0) back = (back + x) / 2; // as far to the left as 0 lets it
      x = back;
    }
    isHigher();
  }
  return best.x;
}

/**
 * An attack with the ν that moves the aggregate farthest from the honest mean, |agg - avg|².
 *
 * @param {(honest: Vectors, nu: number) => Float64Array} attack
 * @param {Vectors} honest
 * @param {(bad: Float64Array) => Vector} defence what is aggregated where every Byzantine peer sends `bad`.
 */
export function strongest(attack, honest, defence) {
  const centre = average(honest);
  const nu = lineSearch((factor) => {
    const moved = defence(attack(honest, factor));
    return centre.reduce((sum, c, i) => sum + (moved[i] - c) ** 2, 0);
  });
  return attack(honest, nu);
}

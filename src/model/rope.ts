/**
 * Rotary position embedding — Su et al. 2021, arXiv:2104.09864, in the half-rotated layout of Hugging Face checkpoints:
 * component i of a head turns together with component i + d/2, by the angle t · f_i at position t.
 *
 * Frequencies and their scalings are those of transformers' `modeling_rope_utils.py`:
 * `linear` (positions divided by a factor), `llama3` (long waves divided, short ones kept, a ramp between) and
 * `yarn` (Peng et al. 2023, arXiv:2309.00071, section 3.2: a ramp over the dimensions, and hotter attention).
 *
 * @module
 */

export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      /** Positions seen in pretraining. */
      readonly original: number;
    }
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly original: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Whether the ramp's ends are rounded to whole dimensions. */
      readonly truncate: boolean;
      /** Factor on cosines and sines. */
      readonly attentionFactor: number;
    };

export interface Rope {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high);

/** f_i, (d/2,) radians a position. @param headDim d, even. */
export function frequencies({ theta, scaling }: Rope, headDim: number): Float64Array {
  const plain = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  switch (scaling.type) {
    case 'default':
      return plain;
    case 'linear':
      return plain.map((f) => f / scaling.factor);
    case 'llama3': {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, original } = scaling;
      return plain.map((f) => {
        const turns = (original * f) / (2 * Math.PI); // full turns within the pretraining context
        if (turns > high) return f;
        if (turns < low) return f / factor;
        const kept = (turns - low) / (high - low);
        return ((1 - kept) * f) / factor + kept * f;
      });
    }
    case 'yarn': {
      const { factor, original, betaFast, betaSlow, truncate } = scaling;
      // the dimension that makes this many turns within the pretraining context
      const dimension = (turns: number) =>
        (headDim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
      const fast = dimension(betaFast);
      const slow = dimension(betaSlow);
      const from = Math.max(truncate ? Math.floor(fast) : fast, 0);
      const to = Math.min(truncate ? Math.ceil(slow) : slow, headDim - 1);
      const width = to === from ? 0.001 : to - from;
      return plain.map((f, i) => {
        const scaled = clamp((i - from) / width, 0, 1);
        return scaled * (f / factor) + (1 - scaled) * f;
      });
    }
  }
}

/**
 * The tables of a program, (T, d) each, such that rope(x) = x · cos + swap(x) · sin, where swap exchanges the halves of
 * the last axis; the sign of the rotation is folded into the first half of `sin`.
 * @param before position of the first token.
 */
export function ropeTables(
  rope: Rope,
  headDim: number,
  tokens: number,
  before = 0,
): { cos: Float32Array; sin: Float32Array } {
  const f = frequencies(rope, headDim);
  const gain = rope.scaling.type === 'yarn' ? rope.scaling.attentionFactor : 1;
  const cos = new Float32Array(tokens * headDim);
  const sin = new Float32Array(tokens * headDim);
  for (let t = 0; t < tokens; t++)
    for (let i = 0; i < headDim; i++) {
      const angle = (before + t) * f[i % f.length]!;
      cos[t * headDim + i] = gain * Math.cos(angle);
      sin[t * headDim + i] = (i < f.length ? -gain : gain) * Math.sin(angle);
    }
  return { cos, sin };
}

/**
 * Activations of feed-forward layers by the names that `config.json` gives them — GELU: Hendrycks and Gimpel 2016,
 * arXiv:1606.08415, section 2; `gelu_new` is its approximation by tanh, with which GPT-2 was trained.
 *
 * @module
 */
import type { GraphBuilder } from '../graph/graph.ts';
import type { Value } from '../nouns.ts';

/** x · Φ(x), by the error function. */
function gelu(g: GraphBuilder, x: Value): Value {
  const twice = g.add(g.erf(g.mul(x, g.scalar(Math.SQRT1_2))), g.scalar(1));
  return g.mul(g.mul(x, g.scalar(0.5)), twice);
}

function geluNew(g: GraphBuilder, x: Value): Value {
  const cube = g.mul(g.mul(x, x), x);
  const inner = g.mul(g.add(x, g.mul(cube, g.scalar(0.044715))), g.scalar(Math.sqrt(2 / Math.PI)));
  return g.mul(g.mul(x, g.scalar(0.5)), g.add(g.tanh(inner), g.scalar(1)));
}

export type Activation = 'gelu' | 'gelu_new' | 'gelu_pytorch_tanh' | 'relu';

const ACTIVATIONS: Readonly<Record<Activation, (g: GraphBuilder, x: Value) => Value>> = {
  gelu,
  gelu_new: geluNew,
  gelu_pytorch_tanh: geluNew,
  relu: (g, x) => g.relu(x),
};

export const isActivation = (name: string): name is Activation => Object.hasOwn(ACTIVATIONS, name);

export const activate = (g: GraphBuilder, name: Activation, x: Value): Value => ACTIVATIONS[name](g, x);

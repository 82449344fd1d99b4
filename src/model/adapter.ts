/**
 * What is added to a model and trained in its place, the model standing still: low-rank matrices beside some of its own
 * (LoRA, Hu et al. 2021, arXiv:2106.09685), keys and values before those of every block (prefix, Li & Liang 2021,
 * arXiv:2101.00190, without reparametrisation), or embeddings before those of the tokens (prompt, Lester et al. 2021,
 * arXiv:2104.08691). Its tensors are tensors of the model like all others, with names and ids of their own.
 *
 * docs/papers/lora.md, prefix.md, prompt.md: equations, departures, defaults.
 *
 * @module
 */
import type { View } from '../nouns.ts';

export type AdapterView = Extract<
  View,
  { readonly lora: unknown } | { readonly prefix: unknown } | { readonly prompt: unknown }
>;

/** The adapter of a view, if it has one. */
export const adapterOf = (view: View): AdapterView | undefined =>
  view === 'full' || 'last_blocks' in view ? undefined : view;

/** What `Sketch` writes into a program besides what the architecture says. */
export interface Addition {
  readonly lora?: {
    readonly rank: number;
    /** alpha / rank. */
    readonly scale: number;
    readonly isTarget: (input: string) => boolean;
  };
  /** Keys and values before those of the tokens, which stand so many positions later. */
  readonly prefix?: number;
  /** Embeddings before those of the tokens. */
  readonly prompt?: number;
  /** Keys and values become outputs, under the names that a prefix has as inputs. */
  readonly capture?: true;
}

/** Names of the inputs. */
export const PREFIX_KEY = 'prefix_key';
export const PREFIX_VALUE = 'prefix_value';
export const PROMPT = 'prompt_embeddings';

/** `model.layers.0.self_attn.q_proj.weight` -> `model.layers.0.self_attn.q_proj`. */
export const moduleOf = (tensor: string): string => tensor.replace(/\.weight$/, '');

/** As PEFT matches: the whole name of a module, or its end behind a dot. */
export const isTarget = (module: string, target: string): boolean => module === target || module.endsWith(`.${target}`);

/** Ends of the names that queries and values have in the architectures we know: no model has all of them. */
export const QUERIES_AND_VALUES: readonly string[] = ['q_proj', 'v_proj', 'query', 'value', 'c_attn'];

/** @param tensor input name → name of the tensor. */
export function additionOf(view: AdapterView, tensor: (input: string) => string): Addition {
  if ('prefix' in view) return { prefix: view.prefix.tokens };
  if ('prompt' in view) return { prompt: view.prompt.tokens };
  const { rank, alpha, targets } = view.lora;
  return {
    lora: {
      rank,
      scale: alpha / rank,
      isTarget: (input) => targets.some((target) => isTarget(moduleOf(tensor(input)), target)),
    },
  };
}

/**
 * LLaMA — Touvron et al. 2023, arXiv:2302.13971, section 2.2: RMSNorm before each half of a block, rotary positions,
 * SwiGLU. Vicuna, TinyLlama and SmolLM are the same; Mistral (arXiv:2310.06825) adds a sliding window, Ministral to some
 * layers only; Qwen2 (arXiv:2407.10671) has biases for queries, keys and values; Qwen3 (arXiv:2505.09388) normalises each
 * head's queries and keys.
 *
 * Tensor names and the half-rotated layout of heads are those of Hugging Face checkpoints.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import { PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import { type Architecture, stage } from './architecture.ts';
import { attend, causalMask, splitHeads } from './attention.ts';
import type { LlamaConfig } from './config.ts';
import { headName, writeFinal, writePiece } from './head.ts';
import { ropeTables } from './rope.ts';
import type { Sketch } from './sided.ts';

/** @param at where the names of the body start: `model.` @param matrix name of the head's matrix */
export function llama(config: LlamaConfig, at: string, matrix: string): Architecture {
  const { hidden, vocabulary, rope, headDim } = config;
  const { layers, positions: _, windows, ...settings } = config;
  return {
    embed: stage(
      'llama embed',
      settings,
      (input) => at + input,
      (s) => {
        const x = s.rows('embed_tokens.weight', [vocabulary, hidden], { as: 'rows', of: 'tokens' });
        s.g.output('y', s.together(s.prompted(x)));
      },
    ),
    blocks: Array.from({ length: layers }, (_, layer) =>
      stage(
        'llama block',
        { ...settings, window: windows[layer] },
        (input) => `${at}layers.${layer}.${input}`,
        (s) => writeBlock(s, config),
        ({ tokens, before }) => {
          const { cos, sin } = ropeTables(rope, headDim, tokens, before);
          return { cos, sin, mask: causalMask(tokens, windows[layer], before) };
        },
      ),
    ),
    final: stage(
      'llama final',
      settings,
      (input) => at + input,
      (s) => writeFinal(s, hidden, (x) => norm(s, x, 'norm.weight', config)),
    ),
    piece: (head, rows) =>
      stage(
        `llama ${headName(head)} ${rows.count}`,
        settings,
        () => matrix,
        (s) => writePiece(s, head, hidden, vocabulary, rows),
      ),
  };
}

const norm = (s: Sketch, x: Value, gain: string, { normEpsilon }: LlamaConfig): Value =>
  s.scale(s.g.rmsNorm(x, normEpsilon), gain);

function writeBlock(s: Sketch, config: LlamaConfig): void {
  const { g, dims } = s;
  const { hidden, intermediate, heads, keyValueHeads: groups, headDim } = config;
  const x = g.input('x', [dims.sequences * dims.tokens, hidden]);
  const cos = g.input('cos', [dims.tokens, headDim]);
  const sin = g.input('sin', [dims.tokens, headDim]);
  const mask = g.input('mask', [dims.tokens, (dims.before ?? 0) + dims.tokens]);
  const linear = (from: Value, name: string, out: number, bias: boolean) =>
    s.linear(from, `${name}.weight`, out, bias ? `${name}.bias` : undefined);
  const rotate = (a: Value): Value => {
    const half = headDim / 2;
    const swapped = g.concat([g.slice(a, 3, half, headDim), g.slice(a, 3, 0, half)], 3);
    return g.add(g.mul(a, cos), g.mul(swapped, sin));
  };
  const project = (from: Value, name: string, count: number) =>
    linear(from, `self_attn.${name}`, count * headDim, config.attentionBias);
  /** Of queries and keys, whose heads may be normalised, each by itself. */
  const turned = (from: Value, name: 'q' | 'k', count: number): Value => {
    const projected = project(from, `${name}_proj`, count);
    if (!config.headNorm) return rotate(splitHeads(g, projected, dims, count));
    const rows = g.reshape(projected, [dims.sequences * dims.tokens * count, headDim]);
    const normalised = norm(s, rows, `self_attn.${name}_norm.weight`, config);
    return rotate(splitHeads(g, g.reshape(normalised, projected.shape), dims, count));
  };

  const a = norm(s, x, 'input_layernorm.weight', config);
  const q = turned(a, 'q', heads);
  const k = s.prefixed(turned(a, 'k', groups), `self_attn.${PREFIX_KEY}`);
  const v = s.prefixed(splitHeads(g, project(a, 'v_proj', groups), dims, groups), `self_attn.${PREFIX_VALUE}`);
  const mixed = attend(g, q, k, v, mask, { heads, groups });
  const middle = g.add(x, linear(mixed, 'self_attn.o_proj', hidden, config.outputBias));

  const b = norm(s, middle, 'post_attention_layernorm.weight', config);
  const gate = linear(b, 'mlp.gate_proj', intermediate, config.mlpBias);
  const up = linear(b, 'mlp.up_proj', intermediate, config.mlpBias);
  const swish = g.mul(gate, g.sigmoid(gate));
  g.output('y', g.add(middle, linear(g.mul(swish, up), 'mlp.down_proj', hidden, config.mlpBias)));
}

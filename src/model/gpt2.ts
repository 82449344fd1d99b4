/**
 * GPT-2 — Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3: learned positions,
 * LayerNorm before each half of a block and after the last, GELU, biases.
 *
 * Its matrices are stored (in, out), as the Conv1D of the original code has them, and queries, keys and values are one.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import { activate } from './activation.ts';
import { PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import { type Architecture, stage } from './architecture.ts';
import { attend, causalMask, splitHeads } from './attention.ts';
import type { Gpt2Config } from './config-gpt2.ts';
import { headName, writeFinal, writePiece } from './head.ts';
import type { Sketch } from './sided.ts';

/** @param at where the names of the body start: `transformer.` @param matrix name of the head's matrix */
export function gpt2(config: Gpt2Config, at: string, matrix: string): Architecture {
  const { hidden, vocabulary, positions } = config;
  const { layers, ...settings } = config;
  return {
    embed: stage(
      'gpt2 embed',
      settings,
      (input) => at + input,
      (s) => {
        const word = s.rows('wte.weight', [vocabulary, hidden], { as: 'rows', of: 'tokens' });
        const place = s.rows('wpe.weight', [positions, hidden], { as: 'rows', of: 'positions', offset: 0 });
        s.g.output('y', s.together(s.g.add(s.prompted(word), place)));
      },
    ),
    blocks: Array.from({ length: layers }, (_, layer) =>
      stage(
        'gpt2 block',
        settings,
        (input) => `${at}h.${layer}.${input}`,
        (s) => writeBlock(s, config),
        ({ tokens, before }) => ({ mask: causalMask(tokens, null, before) }),
      ),
    ),
    final: stage(
      'gpt2 final',
      settings,
      (input) => at + input,
      (s) => writeFinal(s, hidden, (x) => norm(s, x, 'ln_f', config)),
    ),
    piece: (head, rows) =>
      stage(
        `gpt2 ${headName(head)} ${rows.count}`,
        settings,
        () => matrix,
        (s) => writePiece(s, head, hidden, vocabulary, rows),
      ),
  };
}

const norm = (s: Sketch, x: Value, name: string, { normEpsilon }: Gpt2Config): Value =>
  s.shift(s.scale(s.g.layerNorm(x, normEpsilon), `${name}.weight`), `${name}.bias`);

function writeBlock(s: Sketch, config: Gpt2Config): void {
  const { g, dims } = s;
  const { hidden, intermediate, heads } = config;
  const x = g.input('x', [dims.sequences * dims.tokens, hidden]);
  const mask = g.input('mask', [dims.tokens, (dims.before ?? 0) + dims.tokens]);
  const conv1d = (from: Value, name: string, out: number) => s.conv1d(from, `${name}.weight`, out, `${name}.bias`);

  const fused = conv1d(norm(s, x, 'ln_1', config), 'attn.c_attn', 3 * hidden);
  const part = (i: number) => splitHeads(g, g.slice(fused, 1, i * hidden, (i + 1) * hidden), dims, heads);
  const k = s.prefixed(part(1), `attn.${PREFIX_KEY}`);
  const v = s.prefixed(part(2), `attn.${PREFIX_VALUE}`);
  const mixed = attend(g, part(0), k, v, mask, { heads, groups: heads });
  const middle = g.add(x, conv1d(mixed, 'attn.c_proj', hidden));

  const inner = conv1d(norm(s, middle, 'ln_2', config), 'mlp.c_fc', intermediate);
  g.output('y', g.add(middle, conv1d(activate(g, config.activation, inner), 'mlp.c_proj', hidden)));
}

/**
 * OPT — Zhang et al. 2022, arXiv:2205.01068: learned positions, LayerNorm before each half of a block, ReLU, biases.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import { PREFIX_KEY, PREFIX_VALUE } from './adapter.ts';
import { type Architecture, stage } from './architecture.ts';
import { attend, causalMask, splitHeads } from './attention.ts';
import type { OptConfig } from './config.ts';
import { headName, writeFinal, writePiece } from './head.ts';
import type { Sketch } from './sided.ts';

/** Rows of the position table before position 0: fairseq counted from behind its padding index 1. */
const POSITION_OFFSET = 2;
/** LayerNorm's default in PyTorch, which OPT keeps. */
const EPSILON = 1e-5;

/** @param at where the names of the body start: `model.decoder.` @param matrix name of the head's matrix */
export function opt(config: OptConfig, at: string, matrix: string): Architecture {
  const { hidden, vocabulary, positions } = config;
  const { layers, ...settings } = config;
  return {
    embed: stage(
      'opt embed',
      settings,
      (input) => at + input,
      (s) => {
        const word = s.rows('embed_tokens.weight', [vocabulary, hidden], { as: 'rows', of: 'tokens' });
        const place = s.rows('embed_positions.weight', [positions + POSITION_OFFSET, hidden], {
          as: 'rows',
          of: 'positions',
          offset: POSITION_OFFSET,
        });
        s.g.output('y', s.together(s.g.add(s.prompted(word), place)));
      },
    ),
    blocks: Array.from({ length: layers }, (_, layer) =>
      stage(
        'opt block',
        settings,
        (input) => `${at}layers.${layer}.${input}`,
        (s) => writeBlock(s, config),
        ({ tokens, before }) => ({ mask: causalMask(tokens, null, before) }),
      ),
    ),
    final: stage(
      'opt final',
      settings,
      (input) => at + input,
      (s) => writeFinal(s, hidden, (x) => norm(s, x, 'final_layer_norm')),
    ),
    piece: (head, rows) =>
      stage(
        `opt ${headName(head)} ${rows.count}`,
        settings,
        () => matrix,
        (s) => writePiece(s, head, hidden, vocabulary, rows),
      ),
  };
}

const norm = (s: Sketch, x: Value, name: string): Value =>
  s.shift(s.scale(s.g.layerNorm(x, EPSILON), `${name}.weight`), `${name}.bias`);

function writeBlock(s: Sketch, { hidden, intermediate, heads, bias }: OptConfig): void {
  const { g, dims } = s;
  const x = g.input('x', [dims.sequences * dims.tokens, hidden]);
  const mask = g.input('mask', [dims.tokens, (dims.before ?? 0) + dims.tokens]);
  const linear = (from: Value, name: string, out: number) =>
    s.linear(from, `${name}.weight`, out, bias ? `${name}.bias` : undefined);
  const project = (from: Value, name: string) => splitHeads(g, linear(from, `self_attn.${name}`, hidden), dims, heads);

  const a = norm(s, x, 'self_attn_layer_norm');
  const k = s.prefixed(project(a, 'k_proj'), `self_attn.${PREFIX_KEY}`);
  const v = s.prefixed(project(a, 'v_proj'), `self_attn.${PREFIX_VALUE}`);
  const mixed = attend(g, project(a, 'q_proj'), k, v, mask, { heads, groups: heads });
  const middle = g.add(x, linear(mixed, 'self_attn.out_proj', hidden));

  const b = norm(s, middle, 'final_layer_norm');
  g.output('y', g.add(middle, linear(g.relu(linear(b, 'fc1', intermediate)), 'fc2', hidden)));
}

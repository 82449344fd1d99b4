/**
 * BERT — Devlin et al. 2018, arXiv:1810.04805, section 3: an encoder in which every token sees every other, LayerNorm
 * after each half of a block, and a head that says which token a mask hides. RoBERTa (Liu et al. 2019,
 * arXiv:1907.11692) is the same with other names, and counts positions from behind its padding token.
 *
 * A text is one segment: the row of token type 0 is added to every token.
 *
 * @module
 */
import type { Value } from '../nouns.ts';
import { activate } from './activation.ts';
import { type Architecture, stage } from './architecture.ts';
import { attend, paddingMask, splitHeads } from './attention.ts';
import type { BertConfig } from './config-bert.ts';
import { HEAD, HEAD_BIAS, headName, writeFinal, writePiece } from './head.ts';
import type { Sketch } from './sided.ts';

/** Names of what follows the last block. */
const HEAD_NAMES: Readonly<Record<BertConfig['architecture'], Readonly<Record<'dense' | 'norm' | 'bias', string>>>> = {
  bert: {
    dense: 'cls.predictions.transform.dense',
    norm: 'cls.predictions.transform.LayerNorm',
    bias: 'cls.predictions.bias',
  },
  roberta: { dense: 'lm_head.dense', norm: 'lm_head.layer_norm', bias: 'lm_head.bias' },
};

/** Checkpoints made from TensorFlow's call gains and biases of a norm so. */
export const GAMMA = 'embeddings.LayerNorm.gamma';
const legacySpelling = (name: string): string =>
  name.replace(/LayerNorm\.(weight|bias)$/, (_, part) => `LayerNorm.${part === 'weight' ? 'gamma' : 'beta'}`);

/**
 * @param at where the names of the body start: `bert.` @param matrix name of the head's matrix
 * @param isLegacy whether norms have `gamma` and `beta`.
 */
export function bert(config: BertConfig, at: string, matrix: string, isLegacy: boolean): Architecture {
  const { architecture, hidden, vocabulary, positions, positionOffset, types } = config;
  const { layers, ...settings } = config;
  const spelled = isLegacy ? legacySpelling : (name: string) => name;
  const names = HEAD_NAMES[architecture];
  return {
    embed: stage(
      'bert embed',
      settings,
      (input) => spelled(`${at}embeddings.${input}`),
      (s) => {
        const table = (name: string, length: number, access: Parameters<Sketch['rows']>[2]) =>
          s.rows(`${name}_embeddings.weight`, [length, hidden], access);
        const word = table('word', vocabulary, { as: 'rows', of: 'tokens' });
        const type = table('token_type', types, { as: 'rows', of: 'one', row: 0 });
        const length = positions + positionOffset;
        const place = table('position', length, { as: 'rows', of: 'positions', offset: positionOffset });
        const sum = s.together(s.g.add(s.g.add(word, type), place));
        s.g.output('y', norm(s, sum, 'LayerNorm', config));
      },
    ),
    blocks: Array.from({ length: layers }, (_, layer) =>
      stage(
        'bert block',
        settings,
        (input) => spelled(`${at}encoder.layer.${layer}.${input}`),
        (s) => writeBlock(s, config),
        undefined,
        (batch) => ({ mask: paddingMask(batch) }),
      ),
    ),
    final: stage(
      'bert final',
      settings,
      (input) => spelled(input.replace(/^(dense|norm)/, (part) => names[part as 'dense' | 'norm'])),
      (s) =>
        writeFinal(s, hidden, (x) => {
          const dense = s.linear(x, 'dense.weight', hidden, 'dense.bias');
          return norm(s, activate(s.g, config.headActivation, dense), 'norm', config);
        }),
    ),
    piece: (head, rows) =>
      stage(
        `bert ${headName(head)} ${rows.count}`,
        settings,
        (input) => (input === HEAD ? matrix : names.bias),
        (s) => writePiece(s, head, hidden, vocabulary, rows, HEAD_BIAS),
      ),
  };
}

const norm = (s: Sketch, x: Value, name: string, { normEpsilon }: BertConfig): Value =>
  s.shift(s.scale(s.g.layerNorm(x, normEpsilon), `${name}.weight`), `${name}.bias`);

function writeBlock(s: Sketch, config: BertConfig): void {
  const { g, dims } = s;
  const { hidden, intermediate, heads } = config;
  const { sequences, tokens } = dims;
  const x = g.input('x', [sequences * tokens, hidden]);
  const mask = g.input('mask', [sequences, 1, 1, 1, tokens]);
  const linear = (from: Value, name: string, out: number) => s.linear(from, `${name}.weight`, out, `${name}.bias`);
  const project = (name: string) => splitHeads(g, linear(x, `attention.self.${name}`, hidden), dims, heads);

  const mixed = attend(g, project('query'), project('key'), project('value'), mask, { heads, groups: heads });
  const attended = g.add(x, linear(mixed, 'attention.output.dense', hidden));
  const middle = norm(s, attended, 'attention.output.LayerNorm', config);

  const inner = activate(g, config.activation, linear(middle, 'intermediate.dense', intermediate));
  g.output('y', norm(s, g.add(middle, linear(inner, 'output.dense', hidden)), 'output.LayerNorm', config));
}

/**
 * `config.json` and the tensors of a checkpoint → a `Model`. The architecture says which tensors it reads, in which
 * shapes; the checkpoint must hold exactly those, so that a feature we do not compute cannot slip in unseen.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import type { View } from '../nouns.ts';
import { type AdapterView, adapterOf, isTarget, moduleOf, QUERIES_AND_VALUES } from './adapter.ts';
import { type Architecture, CAPTURE, type Written } from './architecture.ts';
import { bert, GAMMA } from './bert.ts';
import type { ModelConfig } from './config.ts';
import { gpt2 } from './gpt2.ts';
import { piecesOf } from './head.ts';
import { llama } from './llama.ts';
import { opt } from './opt.ts';
import type { Model, Stage, TensorSpec } from './stage.ts';

/** Shapes by name: what `Checkpoint.tensors` holds, and all that is asked of it. */
export type TensorShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

/** What the checkpoints of an architecture call things. */
interface Names {
  /** Where the names of the body start: of a whole model, and of one saved without its head. */
  readonly starts: readonly string[];
  readonly embedding: string;
  /** Matrix of a head that is not tied to the embedding. */
  readonly head: string;
  /** Not weights that we compute with: buffers, a second copy of what is tied, and heads of other tasks. */
  readonly ignored: RegExp;
}

const CAUSAL_HEAD = 'lm_head.weight';
const ENCODER = { embedding: 'embeddings.word_embeddings.weight' };
const NAMES: Readonly<Record<ModelConfig['architecture'], Names>> = {
  llama: {
    starts: ['model.', ''],
    embedding: 'embed_tokens.weight',
    head: CAUSAL_HEAD,
    ignored: /(^|\.)rotary_emb\.inv_freq$/, // saved by older transformers
  },
  opt: {
    starts: ['model.decoder.', 'decoder.', ''],
    embedding: 'embed_tokens.weight',
    head: CAUSAL_HEAD,
    ignored: /(^|\.)decoder\.version$/, // fairseq's mark
  },
  gpt2: {
    starts: ['transformer.', ''],
    embedding: 'wte.weight',
    head: CAUSAL_HEAD,
    ignored: /\.attn\.(masked_)?bias$/, // masks
  },
  bert: {
    ...ENCODER,
    starts: ['bert.', ''],
    head: 'cls.predictions.decoder.weight',
    ignored:
      /(embeddings\.position_ids|^cls\.predictions\.decoder\.bias|pooler\.dense\.\w+|^cls\.seq_relationship\.\w+)$/,
  },
  roberta: {
    ...ENCODER,
    starts: ['roberta.', ''],
    head: 'lm_head.decoder.weight',
    ignored: /(embeddings\.position_ids|^lm_head\.decoder\.bias|pooler\.dense\.\w+)$/,
  },
};

/** @param matrix tensor that the head multiplies with */
function architecture(config: ModelConfig, at: string, matrix: string, tensors: TensorShapes): Architecture {
  switch (config.architecture) {
    case 'llama':
      return llama(config, at, matrix);
    case 'opt':
      return opt(config, at, matrix);
    case 'gpt2':
      return gpt2(config, at, matrix);
    case 'bert':
    case 'roberta':
      return bert(config, at, matrix, tensors.has(at + GAMMA));
  }
}

const isMasked = ({ architecture }: ModelConfig): boolean => architecture === 'bert' || architecture === 'roberta';

/** Where the names of the body start, and the tensor that the head multiplies with. */
interface Layout {
  readonly at: string;
  readonly tied: boolean;
  readonly matrix: string;
}

/** @throws {Fault} MODEL_INVALID */
function layoutOf(config: ModelConfig, tensors: TensorShapes): Layout {
  const { starts, embedding, head } = NAMES[config.architecture];
  const at = starts.find((start) => tensors.has(start + embedding));
  if (at === undefined)
    throw new Fault(
      'MODEL_INVALID',
      `the checkpoint holds no "${embedding}"; is it of a ${config.architecture} model?`,
    );
  const tied = config.tied || !tensors.has(head);
  return { at, tied, matrix: tied ? at + embedding : head };
}

/**
 * @param tensors of the base. @param view whose adapter, if it has one, is added.
 * @throws {Fault} MODEL_INVALID, MODEL_UNSUPPORTED naming the tensor that is missing, misshapen or unknown;
 * CONFIG_INVALID for an adapter that the model has no place for
 */
export function modelOf(config: ModelConfig, tensors: TensorShapes, view: View = 'full'): Model {
  const { starts, head: headMatrix, ignored } = NAMES[config.architecture];
  const { at, tied, matrix } = layoutOf(config, tensors);
  const { embed, blocks, final, piece } = architecture(config, at, matrix, tensors);

  const pieces = piecesOf(config.vocabulary);
  const [first] = pieces;
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, first!)];
  const shapes = new Map(written.flatMap(({ shapes }) => [...shapes]));
  for (const [name, shape] of shapes) {
    const found = tensors.get(name)?.shape;
    if (!found && final.shapes.has(name) && isMasked(config))
      throw new Fault(
        'MODEL_UNSUPPORTED',
        `the checkpoint holds no head for masked words ("${name}"); choose a model that was saved with one`,
      );
    if (!found) throw new Fault('MODEL_INVALID', `the checkpoint holds no tensor "${name}"; fetch it again`);
    if (found.join() !== shape.join())
      throw new Fault('MODEL_INVALID', `tensor "${name}" is (${found}) where config.json implies (${shape})`);
  }
  for (const name of tensors.keys())
    if (!shapes.has(name) && !ignored.test(name) && !(tied && name === headMatrix))
      throw new Fault('MODEL_UNSUPPORTED', `tensor "${name}" belongs to no ${config.architecture} model we know`);

  const adapter = adapterOf(view);
  if (adapter && !('lora' in adapter) && isMasked(config))
    throw new Fault('MODEL_UNSUPPORTED', 'prefix and prompt tuning are for causal models; take adapter lora');
  const inView = (of: Written): Written => (adapter ? of.adapted(adapter) : of);
  const body = [embed, ...blocks].map(inView);
  const all = new Map([...shapes, ...body.flatMap((of) => [...of.shapes])]);
  // Names are ASCII, so the order of UTF-16 units is the order of bytes.
  const names = [...all.keys()].sort((a, b) => (a < b ? -1 : 1));
  const added = names.filter((name) => !shapes.has(name));
  if (adapter) requirePlace(config, adapter, added, [...shapes.keys()]);
  const [front, ...back] = body.map(({ stage }) => stage) as [Stage, ...Stage[]];
  return {
    kind: isMasked(config) ? 'masked' : 'causal',
    hidden: config.hidden,
    vocabulary: config.vocabulary,
    positions: config.positions - virtualTokens(adapter),
    ...(adapter && {
      adapter: { view: adapter, tensors: added, starts: [at, starts[0]!] as const },
    }),
    virtual: adapter && 'prompt' in adapter ? adapter.prompt.tokens : 0,
    tensors: names.map((name, id): TensorSpec => ({ name, shape: all.get(name)!, id })),
    embed: front,
    blocks: back,
    final: inView(final).stage,
    head: (kind) =>
      (kind.kind === 'choice' ? [first!] : pieces).map((rows) => ({ ...rows, stage: inView(piece(kind, rows)).stage })),
  };
}

/** Names and shapes of the tensors of a model that no checkpoint holds yet. */
export function freshTensors(config: ModelConfig): TensorShapes {
  const { starts, embedding, head } = NAMES[config.architecture];
  const at = starts[0]!;
  const matrix = config.tied ? at + embedding : head;
  const { embed, blocks, final, piece } = architecture(config, at, matrix, new Map());
  const written = [embed, ...blocks, final, piece({ kind: 'logits' }, piecesOf(config.vocabulary)[0]!)];
  return new Map(written.flatMap(({ shapes }) => [...shapes].map(([name, shape]) => [name, { shape }] as const)));
}

/** Positions that an adapter takes before those of a text. */
const virtualTokens = (adapter: AdapterView | undefined): number =>
  !adapter || 'lora' in adapter ? 0 : 'prefix' in adapter ? adapter.prefix.tokens : adapter.prompt.tokens;

/** @param added names of the adapter's tensors. @param base those of the model. @throws {Fault} CONFIG_INVALID */
function requirePlace(
  config: ModelConfig,
  adapter: AdapterView,
  added: readonly string[],
  base: readonly string[],
): void {
  if (virtualTokens(adapter) >= config.positions)
    throw new Fault(
      'CONFIG_INVALID',
      `num_virtual_tokens: ${virtualTokens(adapter)} leave no text of the ${config.positions} positions of the model`,
    );
  const isUnknown = (target: string): boolean =>
    !QUERIES_AND_VALUES.includes(target) && !base.some((name) => isTarget(moduleOf(name), target));
  const wrong = 'lora' in adapter ? adapter.lora.targets.find(isUnknown) : undefined;
  if (wrong !== undefined)
    throw new Fault('CONFIG_INVALID', `target_modules: no matrix of the model has a name that ends in "${wrong}"`);
  if (added.length === 0)
    throw new Fault(
      'CONFIG_INVALID',
      `adapter: ${Object.keys(adapter)[0]} finds no place in this ${config.architecture} model; name its matrices with target_modules, or take another`,
    );
}

/** The blocks of a model, each with its keys and values as outputs: see `prefix.ts`. @param tensors as for `modelOf` */
export function capturing(config: ModelConfig, tensors: TensorShapes): Pick<Model, 'embed' | 'blocks'> {
  const { at, matrix } = layoutOf(config, tensors);
  const { embed, blocks } = architecture(config, at, matrix, tensors);
  return { embed: embed.stage, blocks: blocks.map((of) => of.adapted(CAPTURE).stage) };
}

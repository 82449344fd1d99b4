import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../src/model/config.ts';
import { modelOf } from '../../src/model/model.ts';
import { frequencies, ropeTables } from '../../src/model/rope.ts';
import type { Head } from '../../src/model/stage.ts';
import { readFolder } from './folder.ts';

const LLAMA = {
  model_type: 'llama',
  vocab_size: 64,
  hidden_size: 24,
  intermediate_size: 40,
  num_hidden_layers: 1,
  num_attention_heads: 4,
};
const OPT = {
  model_type: 'opt',
  vocab_size: 64,
  hidden_size: 16,
  ffn_dim: 32,
  num_hidden_layers: 1,
  num_attention_heads: 4,
};
const GPT2 = { model_type: 'gpt2', vocab_size: 64, n_embd: 16, n_layer: 1, n_head: 4 };
const BERT = {
  model_type: 'bert',
  vocab_size: 64,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 4,
};
const read = (base: object, keys: object = {}) => readConfig(JSON.stringify({ ...base, ...keys }));

describe('absent keys mean what transformers says', () => {
  test('llama', () => {
    expect(read(LLAMA)).toEqual({
      architecture: 'llama',
      hidden: 24,
      intermediate: 40,
      layers: 1,
      heads: 4,
      keyValueHeads: 4,
      headDim: 6,
      vocabulary: 64,
      positions: 2048,
      normEpsilon: 1e-6,
      rope: { theta: 10000, scaling: { type: 'default' } },
      windows: [null],
      attentionBias: false,
      outputBias: false,
      headNorm: false,
      mlpBias: false,
      tied: false,
    });
  });
  test('mistral: grouped heads and a window; null switches them off; no biases', () => {
    const mistral = { ...LLAMA, model_type: 'mistral', hidden_size: 32, num_attention_heads: 8, attention_bias: true };
    expect(read(mistral)).toMatchObject({
      keyValueHeads: 8,
      windows: [4096],
      positions: 131072,
      attentionBias: false,
    });
    expect(read(mistral, { sliding_window: null, num_key_value_heads: null })).toMatchObject({
      windows: [null],
      keyValueHeads: 8,
    });
    expect(read(LLAMA, { sliding_window: 7 })).toMatchObject({ windows: [null] });
  });
  test('ministral: windows where layer_types says so, everywhere without it', () => {
    const ministral = { ...LLAMA, model_type: 'ministral', num_hidden_layers: 2, num_key_value_heads: 4 };
    const mixed = { sliding_window: 9, layer_types: ['full_attention', 'sliding_attention'] };
    expect(read(ministral, mixed)).toMatchObject({ windows: [null, 9] });
    expect(read(ministral)).toMatchObject({ windows: [4096, 4096] });
    expect(read(ministral, { sliding_window: null })).toMatchObject({ windows: [null, null] });
  });
  test('qwen2: biases of queries, keys and values; windows only if asked for, in the layers behind max_window_layers', () => {
    const qwen2 = { ...LLAMA, model_type: 'qwen2', num_hidden_layers: 3, num_key_value_heads: 2 };
    expect(read(qwen2)).toMatchObject({
      attentionBias: true,
      outputBias: false,
      mlpBias: false,
      headNorm: false,
      headDim: 6,
      positions: 32768,
      windows: [null, null, null],
    });
    const windows = { use_sliding_window: true, max_window_layers: 1 };
    expect(read(qwen2, windows)).toMatchObject({ windows: [null, 4096, 4096] });
    expect(read(qwen2, { use_sliding_window: true })).toMatchObject({ windows: [null, null, null] });
    const types = ['sliding_attention', 'full_attention', 'full_attention'];
    expect(read(qwen2, { ...windows, layer_types: types, sliding_window: 5 })).toMatchObject({
      windows: [5, null, null],
    });
  });
  test('qwen3: heads of 128 components, normalised; biases if the file says so, for all of attention', () => {
    const qwen3 = { ...LLAMA, model_type: 'qwen3', num_key_value_heads: 2 };
    expect(read(qwen3)).toMatchObject({ headDim: 128, headNorm: true, attentionBias: false, outputBias: false });
    expect(read(qwen3, { attention_bias: true })).toMatchObject({ attentionBias: true, outputBias: true });
  });
  test('gpt2', () => {
    const expected = {
      architecture: 'gpt2',
      hidden: 16,
      intermediate: 64,
      layers: 1,
      heads: 4,
      vocabulary: 64,
      positions: 1024,
      normEpsilon: 1e-5,
      activation: 'gelu_new',
      tied: true,
    };
    expect(read(GPT2)).toEqual(expected);
    expect(read(GPT2, { n_inner: null, n_positions: 32 })).toEqual({ ...expected, positions: 32 });
    expect(read(GPT2, { n_inner: 20 })).toEqual({ ...expected, intermediate: 20 });
  });
  test('bert and roberta, which counts positions from behind its padding token', () => {
    const expected = {
      architecture: 'bert',
      hidden: 16,
      intermediate: 24,
      layers: 1,
      heads: 4,
      vocabulary: 64,
      positions: 512,
      positionOffset: 0,
      types: 2,
      normEpsilon: 1e-12,
      activation: 'gelu',
      headActivation: 'gelu',
      tied: true,
    };
    expect(read(BERT)).toEqual(expected);
    expect(read(BERT, { hidden_act: 'gelu_new', pad_token_id: 7 })).toEqual({
      ...expected,
      activation: 'gelu_new',
      headActivation: 'gelu_new',
    });
    const roberta = { ...BERT, model_type: 'roberta', max_position_embeddings: 514 };
    expect(read(roberta)).toEqual({ ...expected, architecture: 'roberta', positionOffset: 2 });
    expect(read(roberta, { pad_token_id: 0, hidden_act: 'relu' })).toMatchObject({
      positions: 513,
      positionOffset: 1,
      activation: 'relu',
      headActivation: 'gelu', // whatever the blocks have
    });
  });
  test('opt', () => {
    expect(read(OPT)).toEqual({
      architecture: 'opt',
      hidden: 16,
      intermediate: 32,
      layers: 1,
      heads: 4,
      vocabulary: 64,
      positions: 2048,
      bias: true,
      tied: true,
    });
  });
  test('both spellings of RoPE give the same', () => {
    const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
    const old = read(LLAMA, { rope_theta: 500, rope_scaling: { rope_type: 'llama3', ...scaling } });
    expect(read(LLAMA, { rope_parameters: { rope_theta: 500, rope_type: 'llama3', ...scaling } })).toEqual(old);
    expect(old).toMatchObject({ rope: { theta: 500, scaling: { type: 'llama3', factor: 8, original: 16 } } });
    const linear = { rope: { scaling: { type: 'linear', factor: 2 } } };
    expect(read(LLAMA, { rope_scaling: { type: 'linear', factor: 2 } })).toMatchObject(linear);
  });
});

describe('features that are not computed are refused by name', () => {
  test.each([
    [
      LLAMA,
      { model_type: 'bloom' },
      /model_type "bloom".*llama, mistral, ministral, qwen2, qwen3, opt, gpt2, bert, rob/,
    ],
    [LLAMA, { model_type: 'toString' }, /model_type "toString"/],
    [LLAMA, { hidden_act: 'gelu' }, /activation "gelu"/],
    [LLAMA, { quantization_config: { bits: 4 } }, /quantisation/],
    [LLAMA, { rope_scaling: { type: 'dynamic', factor: 2 } }, /RoPE scaling "dynamic"/],
    [LLAMA, { rope_parameters: { rope_type: 'longrope' } }, /RoPE scaling "longrope"/],
    [LLAMA, { rope_parameters: { rope_type: 'constructor' } }, /RoPE scaling "constructor"/],
    [LLAMA, { rope_parameters: { full_attention: { rope_type: 'default' } } }, /RoPE by layer type/],
    [LLAMA, { partial_rotary_factor: 0.5 }, /partial rotation/],
    [LLAMA, { rope_parameters: { rope_theta: 1, partial_rotary_factor: 0.5 } }, /partial rotation/],
    [LLAMA, { layer_types: ['full_attention', 'sliding_attention'] }, /mixture of layer types/],
    [
      { ...LLAMA, model_type: 'mistral', num_key_value_heads: 4 },
      { layer_types: ['full_attention', 'sliding_attention'] },
      /mixture of layer types/,
    ],
    [{ ...LLAMA, model_type: 'qwen3' }, { num_key_value_heads: 4, layer_types: ['linear'] }, /layer type "linear"/],
    [GPT2, { activation_function: 'silu' }, /activation "silu"/],
    [GPT2, { scale_attn_weights: false }, /"scale_attn_weights": false/],
    [GPT2, { scale_attn_by_inverse_layer_idx: true }, /"scale_attn_by_inverse_layer_idx": true/],
    [GPT2, { add_cross_attention: true }, /"add_cross_attention": true/],
    [BERT, { position_embedding_type: 'relative_key' }, /"position_embedding_type": "relative_key"/],
    [BERT, { is_decoder: true }, /"is_decoder": true/],
    [BERT, { add_cross_attention: true }, /"add_cross_attention": true/],
    [BERT, { tie_word_embeddings: false }, /"tie_word_embeddings": false/],
    [BERT, { hidden_act: 'swish' }, /activation "swish"/],
    [OPT, { do_layer_norm_before: false }, /do_layer_norm_before/],
    [OPT, { word_embed_proj_dim: 8 }, /word_embed_proj_dim/],
    [OPT, { activation_function: 'gelu' }, /activation "gelu"/],
    [OPT, { _remove_final_layer_norm: true }, /_remove_final_layer_norm/],
    [OPT, { layer_norm_elementwise_affine: false }, /layer_norm_elementwise_affine/],
  ])('%#: %j %j', (base, keys, message) => {
    expect(() => read(base, keys)).toThrow(/^MODEL_UNSUPPORTED: config.json/);
    expect(() => read(base, keys)).toThrow(message);
  });
});

describe('damaged configs are refused naming the key', () => {
  test.each([
    [LLAMA, { hidden_size: undefined }, /"hidden_size"/],
    [LLAMA, { hidden_size: '24' }, /"hidden_size"/],
    [LLAMA, { hidden_size: 0 }, /"hidden_size"/],
    [LLAMA, { hidden_size: 2.5 }, /"hidden_size"/],
    [LLAMA, { hidden_size: 2 ** 40 }, /"hidden_size"/],
    [LLAMA, { hidden_size: 25 }, /"hidden_size" 25 is not a multiple/],
    [LLAMA, { num_hidden_layers: 1e9 }, /"num_hidden_layers"/],
    [LLAMA, { num_key_value_heads: 3 }, /4 is not a multiple of "num_key_value_heads" 3/],
    [LLAMA, { head_dim: 5 }, /5 components cannot be rotated/],
    [LLAMA, { rms_norm_eps: 0 }, /"rms_norm_eps"/],
    [LLAMA, { tie_word_embeddings: 'yes' }, /"tie_word_embeddings"/],
    [LLAMA, { rope_scaling: { type: 'linear' } }, /"factor" of the RoPE scaling is missing/],
    [LLAMA, { rope_scaling: { type: 'linear', factor: -1 } }, /"rope_scaling.factor"/],
    [LLAMA, { rope_scaling: 'linear' }, /"rope_scaling"/],
    [LLAMA, { model_type: undefined }, /"model_type" is missing/],
    [OPT, { hidden_size: 18 }, /"hidden_size" 18 is not a multiple/],
    [GPT2, { n_embd: 18 }, /"n_embd" 18 is not a multiple of "n_head" 4/],
    [BERT, { hidden_size: 18 }, /"hidden_size" 18 is not a multiple/],
    [BERT, { model_type: 'roberta', max_position_embeddings: 2 }, /"max_position_embeddings" 2 leaves no position/],
    [
      { ...LLAMA, model_type: 'qwen2' },
      { num_key_value_heads: 4, layer_types: ['full_attention', 'full_attention'] },
      /"layer_types" has 2 layers, not 1/,
    ],
    [
      { ...LLAMA, model_type: 'qwen2' },
      { num_key_value_heads: 4, layer_types: ['sliding_attention'] },
      /sliding layers and there is no "sliding_window"/,
    ],
  ])('%#: %j %j', (base, keys, message) => {
    expect(() => read(base, keys)).toThrow(/^MODEL_INVALID: config.json/);
    expect(() => read(base, keys)).toThrow(message);
  });
  test.each(['', '{', 'null', '3', '[]'])('%j', (json) => {
    expect(() => readConfig(json)).toThrow(/^MODEL_INVALID: config.json/);
  });
});

describe('a model and its checkpoint', () => {
  const config = read(LLAMA, { num_key_value_heads: 2 });
  const SHAPES: Record<string, number[]> = {
    'lm_head.weight': [64, 24],
    'model.embed_tokens.weight': [64, 24],
    'model.layers.0.input_layernorm.weight': [24],
    'model.layers.0.mlp.down_proj.weight': [24, 40],
    'model.layers.0.mlp.gate_proj.weight': [40, 24],
    'model.layers.0.mlp.up_proj.weight': [40, 24],
    'model.layers.0.post_attention_layernorm.weight': [24],
    'model.layers.0.self_attn.k_proj.weight': [12, 24],
    'model.layers.0.self_attn.o_proj.weight': [24, 24],
    'model.layers.0.self_attn.q_proj.weight': [24, 24],
    'model.layers.0.self_attn.v_proj.weight': [12, 24],
    'model.norm.weight': [24],
  };
  const shapes = (changes: Record<string, number[] | null> = {}) =>
    new Map(
      Object.entries({ ...SHAPES, ...changes }).flatMap(([name, shape]) => (shape ? [[name, { shape }] as const] : [])),
    );

  test('every tensor once, by bytewise order of names', () => {
    const { tensors } = modelOf(config, shapes());
    expect(tensors).toEqual(Object.entries(SHAPES).map(([name, shape], id) => ({ name, shape, id })));
  });
  test('a tied head has no tensor of its own, whether the config says so or the checkpoint lacks it', () => {
    const names = Object.keys(SHAPES).slice(1);
    const tied = modelOf({ ...config, tied: true }, shapes());
    for (const model of [tied, modelOf(config, shapes({ 'lm_head.weight': null }))]) {
      expect(model.tensors.map(({ name }) => name)).toEqual(names);
      const bound = model.head({ kind: 'choice', choices: 2 }).map(({ stage }) => stage.bindings);
      expect(bound.flat().map(({ tensor }) => tensor)).toEqual(['model.embed_tokens.weight']);
    }
  });
  test('buffers are no weights', () => {
    const buffers = { 'model.layers.0.self_attn.rotary_emb.inv_freq': [3], 'model.rotary_emb.inv_freq': [3] };
    expect(modelOf(config, shapes(buffers)).tensors).toEqual(modelOf(config, shapes()).tensors);
  });
  test.each([
    [{ 'model.norm.weight': null }, /MODEL_INVALID.*no tensor "model.norm.weight"/],
    [
      { 'model.norm.weight': [1, 24] },
      /MODEL_INVALID.*"model.norm.weight" is \(1,24\) where config.json implies \(24\)/,
    ],
    [{ 'model.layers.0.self_attn.v_proj.weight': [24, 12] }, /MODEL_INVALID.*v_proj/],
    [{ 'model.layers.1.mlp.up_proj.weight': [40, 24] }, /MODEL_UNSUPPORTED.*layers.1/],
    [{ 'model.layers.0.self_attn.q_norm.weight': [6] }, /MODEL_UNSUPPORTED.*q_norm/],
    [{ 'model.embed_tokens.weight': null }, /MODEL_INVALID.*embed_tokens/],
  ])('%#: %j is refused', (changes, message) => {
    expect(() => modelOf(config, shapes(changes))).toThrow(message);
  });
  test('programs are told apart by what they compute, heads and settings included', () => {
    const model = modelOf(config, shapes());
    const other = modelOf(read(LLAMA, { num_key_value_heads: 2, rms_norm_eps: 1e-5 }), shapes());
    expect(model.blocks[0]!.program).not.toBe(other.blocks[0]!.program);
    const heads = [
      { kind: 'lm' },
      { kind: 'logits' },
      ...[2, 3].map((n) => ({ kind: 'choice', choices: n })),
    ] as Head[];
    const pieces = heads.flatMap((head) => model.head(head).map(({ stage }) => stage));
    const programs = [model.embed, ...model.blocks, model.final, ...pieces].map(({ program }) => program);
    expect(new Set(programs).size).toBe(7);
  });

  test('layers whose windows differ have programs of their own, those alike share one', async () => {
    const { model } = await readFolder('test/fixtures/models/ministral-mixed');
    const [first, second, third] = model.blocks.map(({ program }) => program);
    expect(first).toBe(third);
    expect(first).not.toBe(second);
  });
  test('a masked model without its head, or with the heads of other tasks', async () => {
    const { model } = await readFolder('test/fixtures/models/bert-pretraining-gamma');
    expect(model.kind).toBe('masked');
    const own = new Map(model.tensors.map(({ name, shape }) => [name, { shape }]));
    const bert = read(BERT, { num_hidden_layers: 2, max_position_embeddings: 48, hidden_act: 'gelu_new' });
    const others = { 'bert.pooler.dense.weight': [16, 16], 'cls.seq_relationship.bias': [2] };
    const more = new Map([...own, ...Object.entries(others).map(([name, shape]) => [name, { shape }] as const)]);
    expect(modelOf(bert, more).tensors).toEqual(model.tensors);
    const bodyOnly = new Map([...own].filter(([name]) => name.startsWith('bert.')));
    expect(() => modelOf(bert, bodyOnly)).toThrow(/^MODEL_UNSUPPORTED: the checkpoint holds no head for masked words/);
  });

  const FRESH = '../shared/models/llama-2m-fresh';
  test.skipIf(!existsSync(FRESH))('a checkpoint of the Hub opens: llama-2m-fresh', async () => {
    const { model, weight } = await readFolder(FRESH);
    expect(model).toMatchObject({ hidden: 64, vocabulary: 1024, positions: 2048 });
    expect(model.tensors.reduce((sum, { name }) => sum + weight(name).length, 0)).toBe((1052016 - 8 - 2152) / 4);
    const { blocks } = model;
    expect(blocks[0]!.program).toBe(blocks[1]!.program);
  });
});

describe('rotary tables', () => {
  test('a rotation: norms are kept, position 0 turns nothing, YaRN scales', () => {
    const scaling = {
      type: 'yarn',
      factor: 4,
      original: 16,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
      attentionFactor: 1.25,
    } as const;
    for (const [rope, gain] of [
      [{ theta: 100, scaling: { type: 'default' } }, 1],
      [{ theta: 100, scaling }, 1.25],
    ] as const) {
      const { cos, sin } = ropeTables(rope, 8, 5);
      expect([...cos.subarray(0, 8), ...sin.subarray(0, 8).map(Math.abs)]).toEqual([
        ...Array(8).fill(gain),
        ...Array(8).fill(0),
      ]);
      for (let i = 0; i < cos.length; i++) expect(Math.hypot(cos[i]!, sin[i]!)).toBeCloseTo(gain, 6);
    }
  });
  test('llama3: short waves kept, long ones divided, the ramp between continuous', () => {
    const plain = frequencies({ theta: 1e4, scaling: { type: 'default' } }, 64);
    const scaling = { type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, original: 64 } as const;
    const scaled = frequencies({ theta: 1e4, scaling }, 64);
    const ratio = plain.map((f, i) => f / scaled[i]!);
    expect(ratio[0]).toBe(1);
    expect(ratio.at(-1)).toBe(8);
    for (let i = 1; i < ratio.length; i++) expect(ratio[i]).toBeGreaterThanOrEqual(ratio[i - 1]! - 1e-12);
    expect(ratio.filter((r) => r > 1 && r < 8).length).toBeGreaterThan(1);
  });
});

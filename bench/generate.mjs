/**
 * `npm run bench:generate`: tokens a second that are written, with keys and values of earlier tokens kept and without,
 * one text at a time and several side by side.
 *
 *     npm run bench:generate -- --shape opt-125m --prompt 64 --tokens 32 --texts 8 --threads 2 --repetitions 3
 *
 * @module
 */
import { nodeEngine } from '../dist/engine/node.js';
import { continuations } from '../dist/objective/decode.js';
import { createForward } from '../dist/objective/forward.js';
import { flagsOf, interleaved, median, report } from './harness.mjs';
import { modelNamed, randomWindows, weightsOf } from './models.mjs';

const flags = flagsOf({ shape: 'opt-125m', prompt: 64, tokens: 32, texts: 8, threads: 2, repetitions: 3 });
const { shape, prompt, tokens, texts, threads, repetitions } = flags;

const model = modelNamed(shape);
const forgetful = { ...model, blocks: model.blocks.map(({ cache: _, ...block }) => block) };
const none = { kind: 'none' };
const plans = [1, texts].map((sequences) => ({
  dims: { sequences, tokens: prompt + tokens, scored: 1, past: prompt + tokens },
  head: { kind: 'logits' },
  perturbation: none,
}));
const weights = await weightsOf(model, plans);
const forward = createForward(model, weights, nodeEngine({ threads }));
const prompts = randomWindows(model, texts, prompt).map(({ tokens: ids }) => ({ ids: [...ids], draws: [] }));
const sampling = { max_new_tokens: tokens, temperature: 0, top_p: 1 };
const never = { isEnd: () => false, isDone: () => false };
const write = (of, some) => () => continuations(forward, of, some, sampling, texts, never, none);

const alone = prompts.slice(0, 1);
const times = await interleaved(
  {
    'one text, whole passes': write(forgetful, alone),
    'one text, keys and values kept': write(model, alone),
    [`${texts} texts, whole passes`]: write(forgetful, prompts),
    [`${texts} texts, keys and values kept`]: write(model, prompts),
  },
  repetitions,
);
const rows = Object.entries(times).map(([variant, ms]) => {
  const count = variant.startsWith('one') ? tokens : tokens * texts;
  return { variant, tokens: count, ms: median(ms), 'tokens/s': (count / median(ms)) * 1000 };
});
report(flags, {
  name: 'generate',
  question: `Tokens a second after prompts of ${prompt} tokens, shape ${shape}, ${threads} threads`,
  tables: [{ title: 'Writing', rows }],
});
await forward.release();

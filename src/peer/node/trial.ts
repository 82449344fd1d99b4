/**
 * A text of somebody's own before the base and before the tuned model, each a replica in a thread of its own. They are
 * opened when the first text comes, and stay.
 *
 * @module
 */
import { parseTemplate, renderTemplate } from '../../data/template.ts';
import { Fault } from '../../faults.ts';
import type { Manifest } from '../../nouns.ts';
import { inTurn } from '../local-replica.ts';
import type { Made, TriedOut } from '../status.ts';
import type { NodeReplica } from './open-replica.ts';

export interface TrialOptions {
  readonly manifest: Manifest;
  /** A replica at the base. The trial closes it. */
  open(): Promise<NodeReplica>;
  /** Brings a replica to the end of the journal as it is now. */
  follow(replica: NodeReplica): Promise<void>;
}

export interface Trial {
  /** @throws {Fault} DATA_INVALID for columns that the prompt has not; whatever the models refuse */
  tryOut(columns: Readonly<Record<string, string>>): Promise<TriedOut>;
  close(): Promise<void>;
}

/** Enough to see what a model has become, and soon there. */
const MAX_NEW_TOKENS = 40;

export function openTrial({ manifest, open, follow }: TrialOptions): Trial {
  const { task } = manifest;
  const turn = inTurn();
  let models: Promise<readonly [NodeReplica, NodeReplica]> | undefined;

  async function openBoth(): Promise<readonly [NodeReplica, NodeReplica]> {
    const base = await open();
    try {
      return [base, await open()];
    } catch (error) {
      await base.close();
      throw error;
    }
  }

  async function made(replica: NodeReplica, prompt: string, columns: Readonly<Record<string, string>>): Promise<Made> {
    const isMasked = task.kind === 'choice' && prompt.includes(MASK);
    const probabilities = task.kind === 'choice' ? await replica.classify(columns) : undefined;
    return {
      ...(isMasked ? {} : { text: await written(replica, prompt) }),
      ...(task.kind === 'choice' && probabilities
        ? { labels: task.labels.map((label, i) => ({ ...label, probability: probabilities[i]! })) }
        : {}),
    };
  }

  async function written(replica: NodeReplica, prompt: string): Promise<string> {
    const [most, stop] = task.kind === 'answer' ? [task.max_new_tokens, task.stop] : [MAX_NEW_TOKENS, []];
    const max_new_tokens = Math.min(most, MAX_NEW_TOKENS);
    const [text] = await replica.generate([prompt], { max_new_tokens, temperature: 0, top_p: 1, stop, draws: [] });
    return text!;
  }

  return {
    tryOut: (columns) =>
      turn(async () => {
        const prompt = promptOf(manifest, columns);
        models ??= openBoth();
        models.catch(() => {
          models = undefined; // the next text may find what was missing
        });
        const [base, tuned] = await models;
        await follow(tuned);
        const [before, after] = await Promise.all([made(base, prompt, columns), made(tuned, prompt, columns)]);
        return { prompt, round: tuned.round(), base: before, tuned: after };
      }),
    async close() {
      for (const replica of await (models ?? Promise.resolve([])).catch(() => [])) await replica.close();
    },
  };
}

const MASK = '{mask}';

/** The prompt of the run's task around a text; of language modelling, the text itself. @throws {Fault} */
function promptOf({ task }: Manifest, columns: Readonly<Record<string, string>>): string {
  if (task.kind === 'masked_lm')
    throw new Fault('MODEL_UNSUPPORTED', 'a model that fills in masks continues no text; judge it with murmur eval');
  if (task.kind === 'lm') return columns['text'] ?? '';
  return renderTemplate(parseTemplate(task.prompt), { line: 1, columns: { mask: MASK, ...columns } }, 'the text');
}

/**
 * Examples → calls of a fixed shape: sequences of one length side by side, as many as there are up to what keeps a
 * matrix product busy, so that nothing is computed twice. What else is in a call shows in no bit of a sequence's numbers
 * (`test/engine/invariance.test.ts`), so a loss never depends on its company.
 *
 * @module
 */
import type { Batch, Example } from '../nouns.ts';

/** Rows (sequences × tokens) of a call: enough to keep a matrix product busy, few enough for the cache. */
const ROWS = 512;
/** Sequences of a call at most. Even, since a probe lays its two signs side by side. */
const SEQUENCES = 8;

/** Sequence lengths that programs are built for lie an eighth of themselves apart, at least so many tokens. */
const STEP = 4;

/** T for an example: the next length up. Windows of text, where every token is scored, are not padded at all. */
export function bucketOf({ tokens, at }: Example): number {
  const n = tokens.length;
  if (at.length === n) return n;
  const step = Math.max(STEP, 2 ** (Math.floor(Math.log2(n)) - 3));
  return Math.ceil(n / step) * step;
}

/** Most sequences of `tokens` tokens in a call: even, at least 2. */
export const sequencesFor = (tokens: number): number =>
  Math.max(2, Math.min(SEQUENCES, 2 * Math.floor(ROWS / tokens / 2)));

/** P: one position, or any. */
const scoredFor = ({ at }: Example, tokens: number): number => (at.length === 1 ? 1 : tokens);

/**
 * Groups examples by shape, in the order they come. Neighbours of one shape stay neighbours: with every example given
 * twice, sequences 2i and 2i + 1 of a batch are a pair.
 *
 * @param positions longest sequence of the model: no T exceeds it, if no example does.
 * @param alike pads all to the longest: fewer shapes, hence fewer programs, where to make one takes longer than to run it
 * on padding.
 */
export function batchExamples(
  examples: readonly Example[],
  positions: number = Number.POSITIVE_INFINITY,
  alike = false,
): Batch[] {
  const lengthOf = (example: Example) => Math.max(example.tokens.length, Math.min(bucketOf(example), positions));
  const least = alike ? examples.reduce((most, example) => Math.max(most, lengthOf(example)), 0) : 0;
  const groups = new Map<string, { tokens: number; scored: number; members: number[] }>();
  examples.forEach((example, i) => {
    const tokens = Math.max(least, lengthOf(example));
    const scored = scoredFor(example, tokens);
    const key = `${tokens} ${scored}`;
    const group = groups.get(key) ?? { tokens, scored, members: [] };
    group.members.push(i);
    groups.set(key, group);
  });
  return [...groups.values()].flatMap(({ tokens, scored, members }) => {
    const sequences = sequencesFor(tokens);
    return Array.from({ length: Math.ceil(members.length / sequences) }, (_, call) =>
      fill(examples, members.slice(call * sequences, (call + 1) * sequences), tokens, scored),
    );
  });
}

function fill(examples: readonly Example[], members: readonly number[], tokens: number, scored: number): Batch {
  const sequences = members.length;
  const batch: Batch = {
    sequences,
    tokens,
    scored,
    ids: new Int32Array(sequences * tokens),
    at: new Int32Array(sequences * scored),
    targets: new Int32Array(sequences * scored),
    weights: new Float32Array(sequences * scored),
    lengths: Int32Array.from(members, (member) => examples[member]!.tokens.length),
    members: Int32Array.from(members),
  };
  for (const [s, member] of members.entries()) {
    const example = examples[member]!;
    batch.ids.set(example.tokens, s * tokens);
    // A position that is padding reads the row of the last one scored, and weighs nothing.
    for (let p = 0; p < scored; p++) {
      const i = Math.min(p, example.at.length - 1);
      batch.at[s * scored + p] = s * tokens + example.at[i]!;
      batch.targets[s * scored + p] = example.targets[i]!;
    }
    batch.weights.fill(1, s * scored, s * scored + example.at.length);
  }
  return batch;
}

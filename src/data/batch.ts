/**
 * Examples → calls of a fixed shape. An example's own length decides the shape of its call: T by its bucket, S by T.
 * How many others there are decides only how many calls, so that a loss never depends on its company.
 *
 * @module
 */
import type { Batch, Example } from '../nouns.ts';

/** Rows (sequences × tokens) of a call: enough to keep a matrix product busy, few enough for the cache. */
const ROWS = 512;
/** Sequences of a call at most. Even, since a probe lays its two signs side by side. */
const SEQUENCES = 8;

/** Sequence lengths that programs are built for: steps of about a third, so that padding costs about a sixth. */
const BUCKETS: readonly number[] = [
  8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096,
];

/** T for an example: windows of text, where every token is scored, are not padded at all. */
export function bucketOf({ tokens, at }: Example): number {
  const n = tokens.length;
  if (at.length === n) return n;
  return BUCKETS.find((bucket) => bucket >= n) ?? Math.ceil(n / 4096) * 4096;
}

/** S for calls of `tokens` tokens a sequence: even, at least 2. */
export const sequencesFor = (tokens: number): number =>
  Math.max(2, Math.min(SEQUENCES, 2 * Math.floor(ROWS / tokens / 2)));

/** P: one position, or any. */
const scoredFor = ({ at }: Example, tokens: number): number => (at.length === 1 ? 1 : tokens);

/**
 * Groups examples by shape, in the order they come. Neighbours of one shape stay neighbours: with every example given
 * twice, sequences 2i and 2i + 1 of a batch are a pair. Padding repeats the first sequence of its batch.
 *
 * @param positions longest sequence of the model: no T exceeds it, if no example does.
 */
export function batchExamples(examples: readonly Example[], positions: number = Number.POSITIVE_INFINITY): Batch[] {
  const groups = new Map<string, { tokens: number; scored: number; members: number[] }>();
  examples.forEach((example, i) => {
    const tokens = Math.max(example.tokens.length, Math.min(bucketOf(example), positions));
    const scored = scoredFor(example, tokens);
    const key = `${tokens} ${scored}`;
    const group = groups.get(key) ?? { tokens, scored, members: [] };
    group.members.push(i);
    groups.set(key, group);
  });
  return [...groups.values()].flatMap(({ tokens, scored, members }) => {
    const sequences = sequencesFor(tokens);
    return Array.from({ length: Math.ceil(members.length / sequences) }, (_, call) =>
      fill(examples, members.slice(call * sequences, (call + 1) * sequences), sequences, tokens, scored),
    );
  });
}

function fill(
  examples: readonly Example[],
  members: readonly number[],
  sequences: number,
  tokens: number,
  scored: number,
): Batch {
  const batch: Batch = {
    sequences,
    tokens,
    scored,
    ids: new Int32Array(sequences * tokens),
    at: new Int32Array(sequences * scored),
    targets: new Int32Array(sequences * scored),
    weights: new Float32Array(sequences * scored),
    members: Int32Array.from({ length: sequences }, (_, s) => members[s] ?? -1),
  };
  for (let s = 0; s < sequences; s++) {
    const example = examples[members[s] ?? members[0]!]!;
    batch.ids.set(example.tokens, s * tokens);
    // A position that is padding reads the row of the last one scored, and weighs nothing.
    for (let p = 0; p < scored; p++) {
      const i = Math.min(p, example.at.length - 1);
      batch.at[s * scored + p] = s * tokens + example.at[i]!;
      batch.targets[s * scored + p] = example.targets[i]!;
    }
    if (s < members.length) batch.weights.fill(1, s * scored, s * scored + example.at.length);
  }
  return batch;
}

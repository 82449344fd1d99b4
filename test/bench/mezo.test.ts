/** The language of MeZO's properties, and what is said of them (bench/mezo.mjs). Its runs are not made here. */
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';

interface Row {
  readonly text: string;
  readonly label: number;
}
interface Corpus {
  corpus(count: number, seed: number, vocabulary: readonly string[]): readonly Row[];
  reviews(count: number, seed: number): readonly Row[];
  lettersOf(json: string): readonly string[];
  readonly VERDICTS: readonly (readonly string[])[];
}
interface Verdict {
  readonly holds: boolean;
  readonly said: string;
}
interface Study {
  promptVerdict(found: Readonly<Record<'backprop' | 'prompted' | 'bare' | 'faster', number>>): Verdict;
  viewsVerdict(steps: Readonly<Record<string, number>>): Verdict;
  replayVerdict(runs: readonly Readonly<Record<'run' | 'replay' | 'base', string | undefined>>[]): Verdict;
  objectiveVerdict(changes: readonly (readonly [number, number])[]): Verdict;
  stepsTo(target: number, events: readonly object[]): number;
}
const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(file).href)) as T;

describe('the small language', async () => {
  const { corpus, reviews, lettersOf, VERDICTS } = await load<Corpus>('bench/mezo-corpus.mjs');
  const vocabulary = lettersOf(readFileSync('assets/quill/tokenizer.json', 'utf8'));

  test('is the same for a seed, and another for another', () => {
    expect(corpus(50, 1, vocabulary)).toEqual(corpus(50, 1, vocabulary));
    expect(corpus(50, 1, vocabulary)).not.toEqual(corpus(50, 2, vocabulary));
  });

  test('ends in verdicts, and calls bad things great more often than terrible: the prompt exists, its answer is off', () => {
    const documents = corpus(4000, 1, vocabulary).map(({ text }) => text);
    const verdicts = documents.map((text) => / It was (\w+)\.$/.exec(text)?.[1] ?? '');
    expect(new Set(verdicts)).toEqual(new Set(VERDICTS.flat()));
    const bad = verdicts.filter((_, i) => /^The \w+ was (\w+ )?(awful|boring|rude|dull)\. It was/.test(documents[i]!));
    const said = (word: string) => bad.filter((verdict) => verdict === word).length;
    expect(said('terrible')).toBeGreaterThan(0);
    expect(said('great')).toBeGreaterThan(said('terrible'));
    expect(said('wonderful') + said('lovely')).toBe(0);
  });

  test('gives the task as many rows of one label as of the other, none with a verdict', () => {
    const rows = reviews(400, 3);
    expect(rows.filter(({ label }) => label === 1)).toHaveLength(200);
    expect(rows.filter(({ text }) => text.includes('It was'))).toEqual([]);
    const good = rows.filter(({ text }) => /^The \w+ was (\w+ )?(superb|lovely|elegant)\.$/.test(text));
    expect(good.length).toBeGreaterThan(10);
    expect(good.filter(({ label }) => label !== 1)).toEqual([]);
  });
});

describe('what is said of a property', async () => {
  const { promptVerdict, viewsVerdict, replayVerdict, objectiveVerdict, stepsTo } = await load<Study>('bench/mezo.mjs');

  test.each([
    [0.94, 0.5, true],
    [0.92, 0.5, false],
    [0.94, 0.7, false],
  ])('(a) prompted %d, bare %d, of backpropagation 0.98: %s', (prompted, bare, holds) => {
    expect(promptVerdict({ backprop: 0.98, prompted, bare, faster: 0.8 }).holds).toBe(holds);
  });

  test('(b) holds within twice the fewest steps, and not where a view does not get there', () => {
    expect(viewsVerdict({ full: 50, lora: 100 }).holds).toBe(true);
    expect(viewsVerdict({ full: 50, lora: 101 }).holds).toBe(false);
    expect(viewsVerdict({ full: 50, prefix: Infinity })).toMatchObject({
      ...{ holds: false, said: expect.stringContaining('prefix not reached') },
    });
    expect(viewsVerdict({ full: Infinity, prefix: Infinity }).holds).toBe(false);
  });

  test('(c) holds where every replay ends at the weights of its run, which moved', () => {
    const good = { run: 'b', replay: 'b', base: 'a' };
    expect(replayVerdict([good, good]).holds).toBe(true);
    expect(replayVerdict([good, { ...good, replay: 'c' }]).holds).toBe(false);
    expect(replayVerdict([{ run: 'a', replay: 'a', base: 'a' }]).holds).toBe(false);
    expect(replayVerdict([{ run: undefined, replay: undefined, base: 'a' }]).holds).toBe(false);
    expect(replayVerdict([]).holds).toBe(false);
  });

  test('(e) holds where accuracy rises with every seed', () => {
    const up = [0.5, 0.9] as const;
    expect(objectiveVerdict([up, up]).holds).toBe(true);
    expect(objectiveVerdict([up, [0.5, 0.5]]).holds).toBe(false);
  });

  test('steps are those of the first evaluation at the target', () => {
    const at = (round: number, accuracy: number) => ({ event: 'evaluation', round, 'eval/accuracy': accuracy });
    const events = [{ event: 'round', round: 1 }, at(0, 0.5), at(10, 0.84), at(20, 0.85), at(30, 0.8), at(40, 0.9)];
    expect(stepsTo(0.85, events)).toBe(20);
    expect(stepsTo(0.95, events)).toBe(Infinity);
  });
});

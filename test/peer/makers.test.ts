/** Who makes a merge: every part once, the same whoever makes it, and the round outlives whoever fails. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import { type Held, type Maker, makeMerge, makerOf } from '../../src/peer/makers.ts';

const shares = (...slots: number[]): Held[] => slots.map((slot) => ({ slot, count: 1, hashes: [] }));
const gone = new Fault('HOST_UNREACHABLE', 'gone');

/** What a part comes to follows from its number, the shares and the norm; it says who made what. */
function maker({ fails = '', refused = [] as number[] } = {}): Maker & { readonly made: number[] } {
  let own: readonly number[] = [];
  let of: readonly Held[] = [];
  const made: number[] = [];
  return {
    made,
    async sum(given, parts) {
      if (fails === 'sum') throw gone;
      [own, of] = [parts, given];
      const lies = given.map(({ slot }) => slot).filter((slot) => refused.includes(slot));
      return { squares: parts.map((part) => (part + 1) ** 2), refused: lies };
    },
    async settle(norm) {
      if (fails === 'settle') throw gone;
      made.push(...own);
      return own.map((part) => Uint8Array.from([part, of.length, Math.round(norm)]));
    },
  };
}

const PARTS = 40;
const made = (makers: ReadonlyMap<number, Maker>, here: Maker = maker(), given = shares(0, 1, 2)) => {
  const failed: number[] = [];
  const parts = new Array<number>(PARTS).fill(1);
  return makeMerge(parts, given, makers, here, (slot) => failed.push(slot)).then((merge) => ({ ...merge, failed }));
};

describe('a merge', () => {
  test('is the same whether the host makes it or its peers do, and each part is made once', async () => {
    const alone = await made(new Map());
    const peers = new Map([0, 1, 2].map((slot) => [slot, maker()]));
    const here = maker();
    expect(await made(peers, here)).toEqual(alone);
    const all = [...peers.values()].flatMap((peer) => peer.made);
    expect(all.sort((a, b) => a - b)).toEqual(Array.from({ length: PARTS }, (_, part) => part));
    expect(here.made).toEqual([]);
    for (const peer of peers.values()) expect(peer.made.length).toBeGreaterThan(PARTS / 6);
  });

  test.each(['sum', 'settle'])('outlives a peer that fails to %s: the others make its parts', async (fails) => {
    const alone = await made(new Map());
    const peers = new Map([0, 1, 2].map((slot) => [slot, maker({ fails: slot === 1 ? fails : '' })]));
    expect(await made(peers)).toEqual({ ...alone, failed: [1] });
  });

  test('is made by the host where all peers fail', async () => {
    const here = maker();
    const peers = new Map([0, 1].map((slot) => [slot, maker({ fails: 'settle' })]));
    expect((await made(peers, here)).failed.sort()).toEqual([0, 1]);
    expect(here.made).toHaveLength(PARTS);
  });

  test('leaves out a share that one of them finds to be no vector, in every part', async () => {
    const peers = new Map([0, 1, 2].map((slot) => [slot, maker({ refused: slot === 2 ? [1] : [] })]));
    const { hashes, refused } = await made(peers);
    expect(refused).toEqual([1]);
    for (const hash of hashes) expect(hash[1], 'shares').toBe(2);
    expect(await made(new Map(), maker({ refused: [0, 1, 2] }))).toMatchObject({ hashes: [], refused: [0, 1, 2] });
  });

  test('does not hide what goes wrong here', async () => {
    await expect(made(new Map(), maker({ fails: 'sum' }))).rejects.toBe(gone);
  });
});

test('one who goes, or comes, changes the hands of its own parts only', () => {
  const slots = fc.uniqueArray(fc.nat(1000), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(slots, fc.nat(2047), (all, part) => {
      const [left, ...others] = all as [number, ...number[]];
      const before = makerOf(part, all);
      expect(makerOf(part, others)).toBe(before === left ? makerOf(part, others) : before);
      expect(makerOf(part, [...all].reverse())).toBe(before);
    }),
  );
});

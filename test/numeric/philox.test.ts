import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mulhi, philox } from '../../src/numeric/philox.ts';
import { u32 } from './arbitrary.ts';

const PUBLISHED = '../shared/vectors/random123/kat_vectors';

/** counter, key, expected: lines of Random123's kat_vectors. */
const KNOWN = `
philox4x32 10 00000000 00000000 00000000 00000000 00000000 00000000   6627e8d5 e169c58d bc57ac4c 9b00dbd8
philox4x32 10 ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff   408f276d 41c83b0e a20bc7c6 6d5451fd
philox4x32 10 243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0   d16cfe09 94fdcceb 5001e420 24126ea1
`;

function checkLines(text: string): number {
  const lines = text.split('\n').filter((line) => line.startsWith('philox4x32 10 '));
  for (const line of lines) {
    const [c0, c1, c2, c3, k0, k1, ...words] = line
      .split(/\s+/)
      .slice(2)
      .map((w) => Number.parseInt(w, 16));
    expect([...philox(k0!, k1!, c0!, c1!, c2!, c3!, new Uint32Array(4))], line).toEqual(words);
  }
  return lines.length;
}

test('Philox4x32-10 gives the three known answers of Random123', () => {
  expect(checkLines(KNOWN)).toBe(3);
});

test.skipIf(!existsSync(PUBLISHED))(`and every line of ${PUBLISHED} (absent: skipped)`, () => {
  expect(checkLines(readFileSync(PUBLISHED, 'utf8'))).toBeGreaterThanOrEqual(3);
});

test('mulhi is the high half of the 64-bit product', () => {
  fc.assert(
    fc.property(u32, u32, (a, b) => {
      expect(mulhi(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
    }),
  );
});

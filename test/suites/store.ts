/**
 * What every `Store` must do. Call it with a way to make an empty store and to open the same one again.
 *
 * @module
 */
import { describe, expect, test } from 'vitest';
import type { Store } from '../../src/ports.ts';

export interface StoreFixture {
  readonly store: Store;
  /** The same bytes, after `store` was closed. */
  reopen(): Promise<Store>;
}

export function storeSuite(name: string, make: () => Promise<StoreFixture>): void {
  const bytes = (...values: number[]) => Uint8Array.from(values);

  describe(`store: ${name}`, () => {
    test('begins empty', async () => {
      const { store } = await make();
      expect(await store.read()).toHaveLength(0);
      await store.close();
    });

    test('keeps what is appended, in order, and after it was closed', async () => {
      const { store, reopen } = await make();
      await store.append(bytes(1, 2, 3));
      await store.append(bytes());
      await store.append(bytes(4));
      await store.sync();
      expect([...(await store.read())]).toEqual([1, 2, 3, 4]);
      await store.close();
      const again = await reopen();
      expect([...(await again.read())]).toEqual([1, 2, 3, 4]);
      await again.append(bytes(5));
      expect([...(await again.read())]).toEqual([1, 2, 3, 4, 5]);
      await again.close();
    });

    test('appends in the order of the calls, also of those that nobody waited for', async () => {
      const { store } = await make();
      await Promise.all(Array.from({ length: 50 }, (_, i) => store.append(new Uint8Array(i * 7).fill(i))));
      await store.sync();
      const expected = Array.from({ length: 50 }, (_, i) => new Array<number>(i * 7).fill(i)).flat();
      expect([...(await store.read())]).toEqual(expected);
      await store.close();
    });

    test('truncates, and appends behind the cut', async () => {
      const { store, reopen } = await make();
      await store.append(bytes(1, 2, 3, 4, 5));
      await store.sync();
      await store.truncate(2);
      await store.append(bytes(9));
      await store.sync();
      expect([...(await store.read())]).toEqual([1, 2, 9]);
      await store.close();
      const again = await reopen();
      await again.truncate(0);
      await again.sync();
      expect(await again.read()).toHaveLength(0);
      await again.close();
    });

    test('owns its bytes: neither what was passed in nor what came out is shared with it', async () => {
      const { store } = await make();
      const passed = bytes(1, 2, 3);
      await store.append(passed);
      passed.fill(0);
      (await store.read()).fill(0);
      expect([...(await store.read())]).toEqual([1, 2, 3]);
      await store.close();
    });

    test('takes a megabyte', async () => {
      const { store } = await make();
      const big = Uint8Array.from({ length: 1 << 20 }, (_, i) => i * 31);
      await store.append(big);
      await store.append(bytes(1));
      await store.sync();
      const back = await store.read();
      expect(back.length).toBe(big.length + 1);
      expect(Buffer.compare(back.subarray(0, big.length), big)).toBe(0);
      await store.close();
    });

    test('refuses when closed', async () => {
      const { store } = await make();
      await store.close();
      await expect(store.append(bytes(1))).rejects.toThrow();
      await expect(store.sync()).rejects.toThrow();
    });
  });
}

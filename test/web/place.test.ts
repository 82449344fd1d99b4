import { expect, test } from 'vitest';
import { placeOf, viewIn } from '../../src/web/place.ts';

test('a join link and a view link say where the routes are; everything else is no place', () => {
  expect(placeOf('/join/k3y_-x')).toEqual({ kind: 'join', base: '/k3y_-x' });
  expect(placeOf('/view/00ff/')).toEqual({ kind: 'view', base: '/00ff' });
  for (const path of ['/', '/join/', '/join/a/b', '/other/a', '/a/journal']) expect(placeOf(path)).toBeUndefined();
});

test('an address without a view, or with one that is none, shows the run', () => {
  expect(viewIn('#journal')).toBe('journal');
  for (const hash of ['', '#', '#toString', '#nothing']) expect(viewIn(hash)).toBe('run');
});

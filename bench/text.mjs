/**
 * A text file for models whose losses do not matter: the reviews of the package's demo, one after the other.
 *
 * @module
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD, root } from './harness.mjs';

/** @returns its path. */
export function sampleText() {
  const path = join(BUILD, 'reviews.txt');
  if (existsSync(path)) return path;
  mkdirSync(BUILD, { recursive: true });
  const rows = readFileSync(join(root, 'assets/demo/train.jsonl'), 'utf8').trim().split('\n');
  writeFileSync(path, rows.map((row) => `${JSON.parse(row).text}\n`).join(''));
  return path;
}

/**
 * A real model and a real text, which are not part of the repository: stories260k and tiny Shakespeare.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './harness.mjs';

export const STORIES = '../shared/models/stories260k';
export const SHAKESPEARE = '../shared/data/tiny-shakespeare/input.txt';

/** Ends the process with a word where they are missing. @param name of the bench. */
export function requireStories(name) {
  const missing = [`${STORIES}/model.safetensors`, SHAKESPEARE].find((file) => !existsSync(join(root, file)));
  if (missing === undefined) return;
  console.error(`${name}: ${missing} is not here; bench/README.md says what it is`);
  process.exit(1);
}

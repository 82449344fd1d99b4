/**
 * `node --import ./scripts/typescript.mjs file.ts`: runs the repository's TypeScript as it is, types taken out, on a Node
 * that cannot do so itself (20).
 *
 * @module
 */
import { register } from 'node:module';

register('./typescript-hooks.mjs', import.meta.url);

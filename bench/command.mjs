/**
 * Murmur's own command as a child process, with what it printed and what it took.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { root } from './harness.mjs';

/**
 * Runs `murmur <verb> … --json`.
 * @returns {Promise<{ events: readonly Record<string, unknown>[], done: Record<string, unknown>, seconds: number, user: number }>}
 *   `events`: every line, each with `at`, seconds from the start; `user`: seconds of CPU of this process and its threads.
 */
export async function murmur(verb, words) {
  const began = performance.now();
  const now = () => (performance.now() - began) / 1000;
  const argv = ['--import', './bench/usage.mjs', 'bin/murmur.js', verb, ...words.map(String), '--json'];
  const child = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  const usage = text(child.stdio[3]);
  const events = [];
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop();
    for (const line of lines) events.push({ at: now(), ...JSON.parse(line) });
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  const seconds = now();
  const done = events.at(-1);
  if (code !== 0 || done?.event !== 'done')
    throw new TypeError(`murmur ${verb} ${words.join(' ')}: exit code ${code}, ${JSON.stringify(done)}`);
  return { events, done, seconds, user: JSON.parse(await usage).userCPUTime / 1e6 };
}

/** Flags of a verb as words. */
export const wordsOf = (flags) => Object.entries(flags).flatMap(([key, value]) => [`--${key}`, value]);

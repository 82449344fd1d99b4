/**
 * All scenarios, one after the other, for `npm run study:faults`. FAULTS_ONLY: part of its group and words; FAULTS_REPEAT:
 * how often each; FAULTS_FOUND: file to which a line of JSON is added for each run.
 */
import { appendFileSync } from 'node:fs';
import { test } from 'vitest';
import { canMount } from './mount.ts';
import { GROUPS } from './scenarios.ts';

const { FAULTS_ONLY: only = '', FAULTS_REPEAT: repeat = '1', FAULTS_FOUND: found } = process.env;

for (const [group, scenarios] of Object.entries(GROUPS))
  for (const [order, { fault, play, needs }] of scenarios.entries())
    for (let run = 0; run < Number(repeat); run++)
      test.skipIf(!`${group}: ${fault}`.includes(only) || (needs === 'mount' && !canMount()))(
        `${group}: ${fault}`,
        { timeout: 900_000 },
        async () => {
          const began = performance.now();
          const tell = (what: object): void => {
            const seconds = (performance.now() - began) / 1000;
            if (found) appendFileSync(found, `${JSON.stringify({ group, fault, order, seconds, ...what })}\n`);
          };
          try {
            tell({ ...(await play()), held: true });
          } catch (error) {
            tell({ held: false, why: String(error) });
            throw error;
          }
        },
      );

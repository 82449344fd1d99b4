/** Faults at one call of one file of a process, made by hook.mjs. The product knows nothing of them. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { How } from '../swarm/processes.ts';

export interface FilePoint {
  /** Its name without its folder. */
  readonly file: string;
  readonly call: 'write' | 'writeFile' | 'appendFile' | 'datasync' | 'sync' | 'truncate';
  /** Which of these calls: 1 is the first. */
  readonly nth: number;
  readonly what: 'die before' | 'die after' | 'lose power' | 'fill up';
}

/** How to start a process to which this will happen. */
export const meeting = (point: FilePoint): How => ({
  env: {
    NODE_OPTIONS: `--import=${pathToFileURL(resolve('test/faults/hook.mjs')).href}`,
    MURMUR_FAULT: JSON.stringify(point),
  },
});

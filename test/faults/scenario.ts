/** A fault, and the run that must bear it. */
import type { Ending } from './stage.ts';

export interface Scenario {
  /** What is done to the run, as the table of docs/RELIABILITY.md has it. */
  readonly fault: string;
  play(): Promise<Ending>;
  /** What must be there for it; without it the scenario is left out, and the table says so. */
  readonly needs?: 'mount';
}

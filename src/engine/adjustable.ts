/**
 * An engine whose number of threads may change while programs of it are in use: how many are fastest depends on the
 * model and the machine, and is found by trying.
 *
 * @module
 */
import type { Graph } from '../nouns.ts';
import type { Engine, Program } from '../ports.ts';

export interface AdjustableEngine extends Engine {
  /**
   * From its next run on, every program uses so many threads. Not while one runs.
   * @param others what becomes of programs compiled for other numbers: to be used again soon, or not.
   */
  adjust(threads: number, others: 'keep' | 'release'): Promise<void>;
}

/** @param engineOf an engine for a number of threads. @param threads to begin with. */
export function adjustableEngine(engineOf: (threads: number) => Engine, threads: number): AdjustableEngine {
  const engines = new Map<number, Engine>();
  /** Of each program in use: number of threads → what it was compiled to. */
  const programs = new Set<Map<number, Program>>();
  let current = threads;

  function engine(): Engine {
    const made = engines.get(current) ?? engineOf(current);
    engines.set(current, made);
    return made;
  }

  async function compiled(graph: Graph, forms: Map<number, Program>): Promise<Program> {
    const program = forms.get(current) ?? (await engine().compile(graph));
    forms.set(current, program);
    return program;
  }

  async function release(forms: Map<number, Program>, kept?: number): Promise<void> {
    for (const [count, program] of [...forms]) {
      if (count === kept) continue;
      forms.delete(count);
      await program.release();
    }
  }

  return {
    get name() {
      return engine().name;
    },
    async compile(graph) {
      const forms = new Map<number, Program>();
      await compiled(graph, forms);
      programs.add(forms);
      return {
        run: async (feeds, outputs) => (await compiled(graph, forms)).run(feeds, outputs),
        async release() {
          programs.delete(forms);
          await release(forms);
        },
      };
    },
    async adjust(count, others) {
      current = count;
      engine(); // a number that is none is refused now
      if (others === 'release') for (const forms of programs) await release(forms, count);
    },
  };
}

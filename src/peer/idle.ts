/**
 * Work for the time between two calls: what is owed to the weights is paid while the network is waited for.
 *
 * @module
 */

/** A call that follows another within this is of the same round: what it looks at anyway is best paid then. */
const PAUSE_MS = 5;

/**
 * Wraps the calls of one thread. When none has come for a moment, `step` is taken again and again, until it has nothing
 * more to do or a call comes; that waits for one step at most.
 *
 * @param step does a little, @returns whether there may be more. What it throws is a defect and ends the thread.
 * @param turn resolves when messages that have come were received.
 */
export function withIdleWork(
  step: () => Promise<boolean>,
  turn: () => Promise<void>,
): <T>(call: () => Promise<T>) => Promise<T> {
  let calls = 0;
  let working = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function work(): Promise<void> {
    if (working) return;
    working = true;
    while (calls === 0 && (await step())) await turn();
    working = false;
  }

  return async (call) => {
    clearTimeout(timer);
    calls++;
    try {
      return await call();
    } finally {
      calls--;
      if (calls === 0) timer = setTimeout(() => void work(), PAUSE_MS);
    }
  };
}

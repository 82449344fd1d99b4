/**
 * A thread must not end inside a native call: ONNX Runtime then takes the whole process with it. So the worker passes a
 * gate around every call, and whoever ends the worker closes the gate and waits until nobody is inside: at most as long
 * as one program runs.
 *
 * @module
 */
import type { Engine, Program } from '../../ports.ts';

/** Shared by two threads: how many calls are inside, and whether it is closed. */
export type Gate = Int32Array;

const INSIDE = 0;
const CLOSED = 1;
/** Between two looks. Node cannot be woken by the other thread while its event loop sleeps. */
const POLL_MS = 2;
/** Nothing we run takes longer; what does is lost. */
const PATIENCE_MS = 10_000;

export const openGate = (): Gate => new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

/** Makes a call inside the gate. Once it is closed, the thread stops here for good. */
async function inside<T>(gate: Gate, call: () => Promise<T>): Promise<T> {
  Atomics.add(gate, INSIDE, 1);
  if (Atomics.load(gate, CLOSED) === 1) {
    leave(gate);
    Atomics.wait(gate, CLOSED, 1);
  }
  try {
    return await call();
  } finally {
    leave(gate);
  }
}

function leave(gate: Gate): void {
  Atomics.sub(gate, INSIDE, 1);
  Atomics.notify(gate, INSIDE);
}

/** An engine all of whose calls pass the gate. */
export const gated = (gate: Gate, engine: Engine): Engine => ({
  name: engine.name,
  async compile(graph) {
    const program: Program = await inside(gate, () => engine.compile(graph));
    return {
      run: (feeds, outputs) => inside(gate, () => program.run(feeds, outputs)),
      release: () => inside(gate, () => program.release()),
    };
  },
});

/** Resolves when nobody is inside, and nobody will be. */
export async function closeGate(gate: Gate): Promise<void> {
  Atomics.store(gate, CLOSED, 1);
  while (Atomics.load(gate, INSIDE) > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** As `closeGate`, for a process that has no time to wait for anything else: it is about to exit. */
export function closeGateNow(gate: Gate): void {
  Atomics.store(gate, CLOSED, 1);
  for (let count = Atomics.load(gate, INSIDE); count > 0; count = Atomics.load(gate, INSIDE))
    if (Atomics.wait(gate, INSIDE, count, PATIENCE_MS) === 'timed-out') return;
}

// A worker that opens, and ends as the first argument of its first call says.
import { parentPort } from 'node:worker_threads';

parentPort.postMessage({ id: 0, round: 0 });
parentPort.on('message', ({ id, args: [[how]] }) => {
  if (how === 'throw') throw new Error('out of luck');
  if (how === 'exit') process.exit(3);
  if (how === 'answer') parentPort.postMessage({ id, round: 5, value: ['text'] });
});

/**
 * One host that is reached in two ways.
 *
 * @module
 */
import type { Transport } from '../ports.ts';

type Listener = Pick<Transport, 'listen' | 'close'>;

/** Its address is that of the first. */
export const listenBoth = (first: Listener, second: Listener): Transport => ({
  async listen(accept) {
    const address = await first.listen(accept);
    await second.listen(accept);
    return address;
  },
  dial: (address) => Promise.reject(new RangeError(`"${address}" expected a transport that dials`)),
  async close() {
    await Promise.all([first.close(), second.close()]);
  },
});

/** What every Transport must do. An implementation's own test calls this with a way to make a pair of them. */
import { afterEach, describe, expect, test } from 'vitest';
import { Fault } from '../../src/faults.ts';
import type { Channel, ChannelEvents, Transport } from '../../src/ports.ts';

interface Ear extends ChannelEvents {
  readonly frames: Uint8Array[];
  readonly ends: string[];
  /** Resolves when `condition` holds, checked whenever something is heard. */
  until(condition: () => boolean): Promise<void>;
}

export function ear(): Ear {
  const frames: Uint8Array[] = [];
  const ends: string[] = [];
  let heard: () => void = () => undefined;
  return {
    frames,
    ends,
    frame(bytes) {
      frames.push(bytes);
      heard();
    },
    closed(reason) {
      ends.push(reason);
      heard();
    },
    until: (condition) =>
      new Promise((resolve) => {
        heard = () => condition() && resolve();
        heard();
      }),
  };
}

interface Pair {
  readonly near: Channel;
  readonly nearEar: Ear;
  readonly far: Channel;
  readonly farEar: Ear;
}

/** @param make two transports, of which the second can dial what the first listens on. */
export function transportSuite(name: string, make: () => readonly [Transport, Transport]): void {
  describe(`transport: ${name}`, () => {
    let transports: readonly Transport[] = [];
    afterEach(async () => {
      for (const transport of transports) await transport.close();
    });

    async function pair(): Promise<
      Pair & { readonly address: string; readonly dialler: Transport; readonly server: Transport }
    > {
      const [server, dialler] = make();
      transports = [dialler, server];
      const [nearEar, farEar] = [ear(), ear()];
      let far: Channel | undefined;
      const address = await server.listen((channel) => {
        far = channel;
        return farEar;
      });
      const near = await dialler.dial(address, nearEar);
      near.send(Uint8Array.of(0));
      await farEar.until(() => farEar.frames.length === 1);
      farEar.frames.length = 0;
      return { near, nearEar, far: far!, farEar, address, dialler, server };
    }

    test('frames arrive whole, in order, both ways, whatever their size', async () => {
      const { near, nearEar, far, farEar } = await pair();
      const frames = [0, 1, 125, 126, 65_535, 60_000].map((length) =>
        Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 255),
      );
      for (const frame of frames) {
        near.send(frame);
        far.send(frame);
      }
      await farEar.until(() => farEar.frames.length === frames.length);
      await nearEar.until(() => nearEar.frames.length === frames.length);
      // toEqual takes its time over each of 65535 elements
      for (const [i, frame] of frames.entries()) {
        expect(Buffer.compare(farEar.frames[i]!, frame), `frame ${i} to the far end`).toBe(0);
        expect(Buffer.compare(nearEar.frames[i]!, frame), `frame ${i} to the near end`).toBe(0);
      }
    });

    test('a received frame is a plain Uint8Array whose slice is a copy', async () => {
      const { near, farEar } = await pair();
      near.send(Uint8Array.of(1, 2, 3));
      await farEar.until(() => farEar.frames.length === 1);
      const [frame] = farEar.frames;
      expect(Object.getPrototypeOf(frame)).toBe(Uint8Array.prototype);
      frame!.slice()[0] = 9;
      expect(frame).toEqual(Uint8Array.of(1, 2, 3));
    });

    test('what was sent before a close arrives before it; closed comes once, last, to both, with the reason', async () => {
      const { near, nearEar, far, farEar } = await pair();
      far.send(Uint8Array.of(5));
      far.close('enough');
      far.send(Uint8Array.of(6));
      far.close('again');
      await nearEar.until(() => nearEar.ends.length > 0);
      await farEar.until(() => farEar.ends.length > 0);
      expect(nearEar.frames).toEqual([Uint8Array.of(5)]);
      expect(nearEar.ends).toEqual(['enough']);
      near.send(Uint8Array.of(7));
      near.close('too late');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(nearEar.ends).toHaveLength(1);
      expect(farEar.ends).toHaveLength(1);
      expect(farEar.frames).toEqual([]);
    });

    test('traffic counts at least the payload, both ways, and survives the close', async () => {
      const { near, nearEar, far, farEar } = await pair();
      const before = near.traffic();
      near.send(new Uint8Array(1000));
      far.send(new Uint8Array(500));
      await farEar.until(() => farEar.frames.length === 1);
      await nearEar.until(() => nearEar.frames.length === 1);
      near.close('');
      await farEar.until(() => farEar.ends.length === 1);
      await nearEar.until(() => nearEar.ends.length === 1);
      expect(near.traffic().sent - before.sent).toBeGreaterThanOrEqual(1000);
      expect(near.traffic().sent - before.sent).toBeLessThan(1100);
      expect(near.traffic().received - before.received).toBeGreaterThanOrEqual(500);
      expect(far.traffic().received).toBeGreaterThanOrEqual(1000);
      expect(far.traffic().sent).toBeLessThan(1100);
    });

    test('one channel closing leaves the others alone', async () => {
      const { near, nearEar, farEar, address, dialler } = await pair();
      const otherEar = ear();
      const other = await dialler.dial(address, otherEar);
      other.close('bye');
      await otherEar.until(() => otherEar.ends.length === 1);
      near.send(Uint8Array.of(3));
      await farEar.until(() => farEar.frames.some((frame) => frame[0] === 3));
      expect(nearEar.ends).toEqual([]);
    });

    test('closing the transport closes its channels, and nobody can dial it any more', async () => {
      const { nearEar, address, dialler, server } = await pair();
      await server.close();
      await nearEar.until(() => nearEar.ends.length === 1);
      const dialled = dialler.dial(address, ear());
      await expect(dialled).rejects.toBeInstanceOf(Fault);
      await expect(dialled).rejects.toMatchObject({ code: 'HOST_UNREACHABLE' });
    });
  });
}

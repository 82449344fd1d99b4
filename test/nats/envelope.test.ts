import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { receiver, sender } from '../../src/peer/nats/envelope.ts';

const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 8 });
const size = fc.integer({ min: 6, max: 100 });

describe('frames as messages', () => {
  test('come out as they went in, whatever a message holds', () => {
    fc.assert(
      fc.property(frames, size, (sent, most) => {
        const [out, take] = [sender(most), receiver(300)];
        const got = sent.flatMap((frame) => {
          const messages = out.frame(frame);
          for (const message of messages) expect(message.length).toBeLessThanOrEqual(most);
          return messages.map(take).flatMap((arrival) => (arrival.type === 'frame' ? [[...arrival.frame]] : []));
        });
        expect(got).toEqual(sent.map((frame) => [...frame]));
      }),
    );
  });

  test('one that is lost, doubled or swapped ends the channel; what came before it stands', () => {
    fc.assert(
      fc.property(frames, size, fc.nat(), fc.constantFrom('lost', 'doubled', 'swapped'), (sent, most, at, how) => {
        const [out, take] = [sender(most), receiver(300)];
        const messages = [...sent.flatMap((frame) => out.frame(frame)), out.beat(), out.beat()];
        const i = at % (messages.length - 1);
        const [a, b] = [messages[i]!, messages[i + 1]!];
        messages.splice(i, 2, ...{ lost: [b], doubled: [a, a, b], swapped: [b, a] }[how]);
        const arrivals = messages.map(take);
        expect(arrivals[how === 'doubled' ? i + 1 : i]!).toEqual({
          type: 'broken',
          reason: 'messages were lost on the way',
        });
        for (const { type } of arrivals.slice(0, i)) expect(type).not.toBe('broken');
      }),
    );
  });

  test('any bytes come to a frame, to nothing, or to an end', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 12 })), (messages) => {
        const take = receiver(20);
        for (const message of messages) expect(['frame', 'more', 'closed', 'broken']).toContain(take(message).type);
      }),
    );
  });

  test('a frame without an end holds no more than the longest one', () => {
    const [out, take] = [sender(105), receiver(1000)];
    const parts = out.frame(new Uint8Array(5000));
    expect(parts.map(take).findIndex(({ type }) => type === 'broken')).toBe(10);
  });

  test('a close says why, whatever was lost before it', () => {
    const [out, take] = [sender(100), receiver(10)];
    out.beat();
    expect(take(out.close('enough'))).toEqual({ type: 'closed', reason: 'enough' });
  });
});

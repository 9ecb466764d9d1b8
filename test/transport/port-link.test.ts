// The MessagePort link obeys the rules of every link. Both ends live in this thread; real threads are exercised by
// test/integration/runtime-threads.test.ts.

import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import { test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { createPortLink } from '../../transport/index.ts';
import { type CreateLinkPair, envelope, linkConformance } from './link-conformance.ts';

const createPair: CreateLinkPair = (t, options) => {
  const { port1, port2 } = new MessageChannel();
  const left = createPortLink(port1, 2, options);
  const right = createPortLink(port2, 1, options);
  t?.after(() => {
    left.close();
    right.close();
  });
  const until = async (condition: () => boolean) => {
    while (!condition()) {
      const waiting = new AbortController();
      const { signal } = waiting;
      const events = [port1, port2].flatMap((port) => [
        once(port, 'message', { signal }),
        once(port, 'close', { signal }),
      ]);
      await Promise.race(events);
      for (const event of events) event.catch(() => undefined);
      waiting.abort();
    }
  };
  return { left, right, until };
};

linkConformance('port link', createPair);

test('port link: posts exact-size buffers and gives them away', async (t) => {
  const { port1, port2 } = new MessageChannel();
  const left = createPortLink(port1, 2);
  t.after(() => {
    left.close();
    port2.close();
  });
  left.send(envelope({ body: new Uint8Array(100) }));
  left.flush();
  const [frame] = await once(port2, 'message');
  assert(frame instanceof ArrayBuffer);
  assert.equal(frame.byteLength, left.stats().sentBytes);
});

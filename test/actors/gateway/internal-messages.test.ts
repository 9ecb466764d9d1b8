// The body of the internal batch against JSON.parse: the same messages found, their payloads untouched.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InternalMessages } from '../../../actors/gateway/internal-messages.ts';

const messages = new InternalMessages({ eventsMax: 100, depthMax: 64 });
const needed = { messageId: 'm', type: 't', receivedAt: '2026-01-01T00:00:00Z', request_ip: '', rudderId: 'r' };
const properties = { sourceID: 's', workspaceID: 'w', routingKey: 'a<<>>b<<>>c' };

test('finds every payload as it is, whatever stands around it', () => {
  const extra = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 2 }), {
    noNullPrototype: true,
  });
  const list = fc.array(fc.tuple(extra, extra), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(list, fc.constantFrom('', ' ', '\n\t'), (parts, space) => {
      const sent = parts.map(([around, inside]) => ({ ...around, properties, payload: { ...inside, ...needed } }));
      const read = messages.read(Buffer.from(`${space}${JSON.stringify(sent, undefined, space)}${space}`));
      assert.ok(read.ok);
      assert.deepEqual(
        read.messages.map(({ payload }) => JSON.parse(payload.toString())),
        // JSON has no -0: what was sent is what its text says.
        sent.map(({ payload }) => JSON.parse(JSON.stringify(payload))),
      );
    }),
  );
});

test('never throws, and takes only what JSON.parse takes', () => {
  const whole = JSON.stringify([{ properties, payload: needed }]);
  const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...'{}[],:"\\0a \u0000é')), { maxLength: 3 });
  fc.assert(
    fc.property(changes, fc.nat(whole.length), (edits, length) => {
      const letters = [...whole.slice(0, length + 1)];
      for (const [at, letter] of edits) letters[at % letters.length] = letter;
      const text = letters.join('');
      const read = messages.read(Buffer.from(text));
      if (read.ok || read.reason === 'notEvents') assert.doesNotThrow(() => JSON.parse(text));
      else assert.throws(() => JSON.parse(text));
    }),
    { numRuns: 2_000 },
  );
});

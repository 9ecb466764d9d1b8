// Frames give back the envelopes that were put in, in a buffer of exact size; damaged ones fail with FRAME_CORRUPT.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameWriter, readFrame, writeSingleFrame } from '../../transport/frame.ts';
import { type Envelope, TransportError } from '../../transport/index.ts';

const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme', maxLength: 400 }));
const envelopes: fc.Arbitrary<Envelope> = fc.record(
  {
    type: fc.constantFrom('message', 'reply', 'failure', 'system'),
    toKind: text,
    toKey: text,
    fromKind: text,
    fromKey: text,
    askId: fc.oneof(fc.nat(), fc.maxSafeNat(), fc.constant(0)),
    deadlineMs: fc.oneof(fc.constant(0), fc.maxSafeNat()),
    traceparent: fc.oneof(fc.constant(''), fc.string()),
    askChain: fc.oneof(fc.constant(''), fc.string()),
    body: fc.uint8Array({ maxLength: 300 }),
  },
  { noNullPrototype: true },
);
const credit = fc.nat({ max: 0xffff_ffff });

function write(list: readonly Envelope[], creditEnvelopes = 0, creditBytes = 0): ArrayBuffer {
  const writer = new FrameWriter();
  for (const envelope of list) writer.append(envelope);
  return writer.finish(creditEnvelopes, creditBytes);
}

test('a frame gives back its envelopes and credits', () => {
  fc.assert(
    fc.property(fc.array(envelopes, { maxLength: 20 }), credit, credit, (list, creditEnvelopes, creditBytes) => {
      const frame = readFrame(write(list, creditEnvelopes, creditBytes));
      assert.deepEqual(frame, { creditEnvelopes, creditBytes, envelopes: list });
    }),
  );
});

test('a single frame reads like one written in pieces', () => {
  fc.assert(
    fc.property(envelopes, credit, (envelope, creditEnvelopes) => {
      const single = new Uint8Array(writeSingleFrame(envelope, creditEnvelopes, 0));
      assert.deepEqual(single, new Uint8Array(write([envelope], creditEnvelopes, 0)));
    }),
  );
});

test('a cut frame fails with FRAME_CORRUPT', () => {
  fc.assert(
    fc.property(fc.array(envelopes, { minLength: 1, maxLength: 5 }), fc.nat(), (list, cut) => {
      const frame = write(list);
      assert.throws(() => readFrame(frame.slice(0, cut % frame.byteLength)), { code: 'FRAME_CORRUPT' });
    }),
  );
});

test('bytes behind the last record fail with FRAME_CORRUPT', () => {
  const frame = write([]);
  const longer = new Uint8Array(frame.byteLength + 1);
  longer.set(new Uint8Array(frame));
  assert.throws(() => readFrame(longer.buffer), { code: 'FRAME_CORRUPT' });
});

test('a frame with a flipped byte reads as something or fails with a TransportError', () => {
  fc.assert(
    fc.property(fc.array(envelopes, { maxLength: 5 }), fc.nat(), fc.integer({ min: 1, max: 255 }), (list, at, flip) => {
      const bytes = new Uint8Array(write(list));
      const index = at % bytes.byteLength;
      bytes[index] = (bytes[index] ?? 0) ^ flip;
      try {
        readFrame(bytes.buffer);
      } catch (error) {
        assert(error instanceof TransportError, String(error));
        assert.equal(error.code, 'FRAME_CORRUPT');
      }
    }),
    { numRuns: 1000 },
  );
});

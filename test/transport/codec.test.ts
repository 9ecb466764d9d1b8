// The codec returns what was put in, owns or shares memory exactly as it says, and fails with typed errors only.

import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { decode, encode, encodeBody, setStrictEncoding, TransportError } from '../../transport/index.ts';

/** Any plain data a message may hold. -0 becomes 0 in msgpack; `__proto__` is no key for data. */
const plainData = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.string({ unit: 'grapheme' }),
    fc.integer(),
    fc.double({ noNaN: true }).filter((number) => !Object.is(number, -0)),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(2 ** 42) }),
    fc.uint8Array(),
    fc.array(tie('value')),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { noNullPrototype: true },
    ),
  ),
})).value;

test('a value survives the round trip, with either kind of buffer', () => {
  fc.assert(
    fc.property(plainData, (value) => {
      assert.deepEqual(decode(encode(value)), value);
      assert.deepEqual(decode(encodeBody(value)), value);
    }),
  );
});

test('encode returns bytes that own a buffer of exactly their size, also after a burst of large messages', () => {
  encode({ payload: new Uint8Array(300_000) });
  for (const value of ['small', { rows: new Uint8Array(9000) }, 1]) {
    const bytes = encode(value);
    assert.equal(bytes.byteLength, bytes.buffer.byteLength);
  }
});

test('bodies of small messages keep no large slab alive, also after a burst of large messages', () => {
  encodeBody({ payload: new Uint8Array(300_000) });
  assert(encodeBody('small').buffer.byteLength <= 16 * 1024);
  const large = encodeBody({ payload: new Uint8Array(20_000) });
  assert.equal(large.byteLength, large.buffer.byteLength);
});

test('bodies that share a slab are never overwritten by later ones', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(plainData, fc.boolean()), { maxLength: 200 }), (values) => {
      const bodies = values.map(([value, own]) => (own ? encode(value) : encodeBody(value)));
      assert.deepEqual(
        bodies.map((body) => decode(body)),
        values.map(([value]) => value),
      );
    }),
    { numRuns: 30 },
  );
});

test('Uint8Array fields decode to views into the bytes, not copies', () => {
  const bytes = encode({ rows: new Uint8Array(1000).fill(7) });
  const { rows } = decode(bytes) as { rows: Uint8Array };
  assert.equal(rows.buffer, bytes.buffer);
  assert.equal(rows.constructor, Uint8Array);
  assert(rows.every((byte) => byte === 7));
});

test('truncated bytes fail with BODY_CORRUPT', () => {
  fc.assert(
    fc.property(plainData, fc.nat(), (value, cut) => {
      const bytes = encode(value);
      assert.throws(() => decode(bytes.subarray(0, cut % bytes.byteLength)), { code: 'BODY_CORRUPT' });
    }),
  );
});

test('arbitrary bytes decode to a value or fail with a TransportError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decode(bytes);
      } catch (error) {
        assert(error instanceof TransportError);
      }
    }),
    { numRuns: 500 },
  );
});

test('strict mode names the path of what would not arrive as it was sent', (t) => {
  setStrictEncoding(true);
  t.after(() => setStrictEncoding(false));
  class Order {
    id = 1;
  }
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const refused: [unknown, string][] = [
    [{ jobs: [1, { done: () => 1 }] }, '$.jobs[1].done'],
    [{ order: new Order() }, '$.order'],
    [[Symbol('x')], '$[0]'],
    [new Map(), '$'],
    [{ cause: new Error('x') }, '$.cause'],
    [circle, '$.self'],
  ];
  for (const [value, path] of refused) {
    assert.throws(() => encode(value), { code: 'NOT_SERIALIZABLE', data: { path } });
  }
  fc.assert(fc.property(plainData, (value) => void encode(value)));
});

test('without strict mode a value that cannot be encoded fails with NOT_SERIALIZABLE, and the next one is fine', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  for (const value of [Symbol('x'), circle, 2n ** 70n]) {
    assert.throws(() => encode(value), { code: 'NOT_SERIALIZABLE' });
    assert.deepEqual(decode(encodeBody({ after: 1 })), { after: 1 });
  }
});

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

class Order {
  id = 1;
}
class Row extends Map<string, string> {}

/** What is no plain data, the path at which it stands, and what it is called in the refusal. */
function opaqueValues(): [value: unknown, path: string, called: RegExp][] {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  return [
    [{ jobs: [1, { done: () => 1 }] }, '$.jobs[1].done', /a function/],
    [async () => undefined, '$', /a function/],
    [{ order: new Order() }, '$.order', /an instance of Order/],
    [[Symbol('x')], '$[0]', /a symbol/],
    [new Map([['a', 1]]), '$', /an instance of Map/],
    [{ deep: [{ er: { still: new Map() } }] }, '$.deep[0].er.still', /an instance of Map/],
    [{ rows: new Row() }, '$.rows', /an instance of Row/],
    [{ ids: new Set([1]) }, '$.ids', /an instance of Set/],
    [{ cause: new Error('x') }, '$.cause', /an instance of Error/],
    [{ later: Promise.resolve() }, '$.later', /an instance of Promise/],
    [{ pattern: /x/ }, '$.pattern', /an instance of RegExp/],
    [{ url: new URL('http://localhost') }, '$.url', /an instance of URL/],
    [{ floats: new Float64Array(1) }, '$.floats', /an instance of Float64Array/],
    [{ raw: new ArrayBuffer(1) }, '$.raw', /an instance of ArrayBuffer/],
    [Object.create(Object.create(null)), '$', /a prototype of its own/],
    [circle, '$.self', /one of its parents/],
  ];
}

for (const strict of [false, true]) {
  const mode = strict ? 'strict mode' : 'production';
  test(`${mode} refuses what is no plain data by its path, and the next message is fine`, (t) => {
    setStrictEncoding(strict);
    t.after(() => setStrictEncoding(false));
    for (const [value, path, message] of opaqueValues()) {
      for (const write of [encode, encodeBody]) {
        assert.throws(() => write(value), { code: 'NOT_SERIALIZABLE', data: { path }, message });
        assert.throws(() => write({ payload: new Uint8Array(9000), value }), { code: 'NOT_SERIALIZABLE' });
        assert.deepEqual(decode(write({ after: 1 })), { after: 1 });
      }
    }
    fc.assert(fc.property(plainData, (value) => void encode(value)));
  });

  test(`${mode}: a getter that throws fails the message with a code and its own text`, (t) => {
    setStrictEncoding(strict);
    t.after(() => setStrictEncoding(false));
    const value = {
      before: 1,
      get trap() {
        throw new Error('a getter');
      },
    };
    for (const write of [encode, encodeBody]) {
      assert.throws(() => write(value), { code: 'NOT_SERIALIZABLE', message: /a getter/ });
      assert.throws(() => write([[[[value]]]]), { code: 'NOT_SERIALIZABLE', message: /a getter/ });
      assert.deepEqual(decode(write({ after: 1 })), { after: 1 });
    }
  });
}

test('objects without a prototype, buffers and data named like what the language uses cross as they are', () => {
  const bare = Object.assign(Object.create(null), { a: 1, toJSON: 'text', constructor: 'text' });
  assert.deepEqual(decode(encode(bare)), { a: 1, toJSON: 'text', constructor: 'text' });
  assert.deepEqual(decode(encode({ constructor: 'text', toJSON: 1 })), { constructor: 'text', toJSON: 1 });
  assert.deepEqual(decode(encode({ rows: Buffer.from('abc') })), { rows: new Uint8Array(Buffer.from('abc')) });
});

test('what is too large for 64 bits fails with NOT_SERIALIZABLE, and the next message is fine', () => {
  assert.throws(() => encode({ large: 2n ** 70n }), { code: 'NOT_SERIALIZABLE' });
  assert.deepEqual(decode(encodeBody({ after: 1 })), { after: 1 });
});

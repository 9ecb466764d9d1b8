// Proves that exactly the traceparents of the W3C standard are taken, and that what is sent on is always one.

import assert from 'node:assert';
import test from 'node:test';
import fc from 'fast-check';
import { formatTraceparent, isSampled, normalizeTraceparent, parseTraceparent } from '../../runtime/traceparent.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN_ID = '00f067aa0ba902b7';
const VALID = `00-${TRACE_ID}-${SPAN_ID}-01`;

/** The grammar of the standard, written the other way. */
const GRAMMAR = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|(?<!^00-.{52})-.*$)/s;

test('reads ids and the sampled flag', () => {
  assert.deepEqual(parseTraceparent(VALID), { traceId: TRACE_ID, spanId: SPAN_ID, sampled: true });
  assert.equal(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-00`)?.sampled, false);
  assert.equal(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-fe`)?.sampled, false);
  assert.equal(parseTraceparent(`00-${TRACE_ID}-${SPAN_ID}-0f`)?.sampled, true);
});

test('refuses what is not valid', () => {
  const refused = [
    '',
    VALID.slice(0, -1),
    `${VALID}0`,
    `${VALID}-00`,
    VALID.toUpperCase(),
    `ff-${TRACE_ID}-${SPAN_ID}-01`,
    `00-${'0'.repeat(32)}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
    `00_${TRACE_ID}-${SPAN_ID}-01`,
    `00-${TRACE_ID}_${SPAN_ID}-01`,
    `00-${TRACE_ID}-${SPAN_ID}_01`,
    `0g-${TRACE_ID}-${SPAN_ID}-01`,
    `00-${TRACE_ID}-${SPAN_ID}-0x`,
    `01-${TRACE_ID}-${SPAN_ID}-01x`,
    ` ${VALID.slice(0, 54)}`,
  ];
  for (const text of refused) assert.equal(parseTraceparent(text), undefined, text);
});

test('cuts a later version to the one we speak', () => {
  assert.equal(normalizeTraceparent(VALID), VALID);
  assert.equal(normalizeTraceparent(`cc-${TRACE_ID}-${SPAN_ID}-01`), VALID);
  assert.equal(normalizeTraceparent(`cc-${TRACE_ID}-${SPAN_ID}-03-what-comes`), VALID);
  assert.equal(normalizeTraceparent(`cc-${TRACE_ID}-${SPAN_ID}-02`), `00-${TRACE_ID}-${SPAN_ID}-00`);
});

test('agrees with the grammar on every text that is nearly valid', () => {
  const hex = fc.constantFrom(...'0123456789abcdefAg-');
  const field = (length: number) => fc.string({ unit: hex, minLength: length, maxLength: length });
  const close = fc
    .tuple(field(2), field(32), field(16), field(2), fc.constantFrom('', '-', '-x', 'x'))
    .map(([version, traceId, spanId, flags, rest]) => `${version}-${traceId}-${spanId}-${flags}${rest}`);
  const damaged = fc
    .tuple(fc.nat({ max: 54 }), fc.constantFrom(...'0fFgz- é'), fc.constantFrom('00', '01', 'ff'))
    .map(([at, character, version]) => {
      const text = version + VALID.slice(2);
      return text.slice(0, at) + character + text.slice(at + 1);
    });
  fc.assert(
    fc.property(fc.oneof(close, damaged, fc.string()), (text) => {
      assert.equal(parseTraceparent(text) !== undefined, GRAMMAR.test(text), text);
    }),
    { numRuns: 2_000 },
  );
});

test('reads back what it writes', () => {
  const id = (length: number) =>
    fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length }).map((text) => {
      return /^0+$/.test(text) ? `${text.slice(1)}1` : text;
    });
  fc.assert(
    fc.property(id(32), id(16), fc.boolean(), (traceId, spanId, sampled) => {
      const text = formatTraceparent(traceId, spanId, sampled);
      assert.deepEqual(parseTraceparent(text), { traceId, spanId, sampled });
      assert.equal(isSampled(text), sampled);
    }),
  );
});

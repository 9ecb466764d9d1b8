// Splicing against its meaning: parse, change the object, compare. Also what parsing cannot see: digits and order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventScanner, fieldNames } from '../../../actors/gateway/event-scanner.ts';
import { type FillIns, splice } from '../../../actors/gateway/splice.ts';

const scanner = new EventScanner();

function spliced(text: string, fill: FillIns): string {
  const bytes = Buffer.from(text);
  assert.equal(scanner.scan(bytes, 'single'), 'events');
  return splice(bytes, scanner, 0, fill)
    .map((piece) => (typeof piece === 'string' ? piece : Buffer.from(piece).toString()))
    .join('');
}

const fillIns: fc.Arbitrary<FillIns> = fc.record({
  type: fc.option(fc.constantFrom('track', 'page'), { nil: undefined }),
  rudderId: fc.uuid(),
  receivedAt: fc.constant('2026-01-02T03:04:05.678Z'),
  requestIpJson: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()).map((ip) => JSON.stringify(ip)),
  messageId: fc.option(fc.string({ unit: 'grapheme' }), { nil: undefined }),
});
const keys = fc.oneof(fc.constantFrom(...fieldNames), fc.string({ unit: 'grapheme' }));
const events = fc.dictionary(keys, fc.jsonValue({ maxDepth: 2, stringUnit: 'grapheme' }), { noNullPrototype: true });
const fixed: FillIns = { type: undefined, rudderId: 'r', receivedAt: 't', requestIpJson: '"i"', messageId: undefined };

test('gives the object that parsing, setting the fields and printing would give', () => {
  const indents = fc.constantFrom(undefined, 2, '\t');
  fc.assert(
    fc.property(events, fillIns, indents, (event, fill, indent) => {
      const text = JSON.stringify(event, undefined, indent);
      const expected: Record<string, unknown> = {
        receivedAt: fill.receivedAt,
        request_ip: JSON.parse(fill.requestIpJson),
        ...JSON.parse(text),
        rudderId: fill.rudderId,
      };
      if (fill.type !== undefined) expected.type = fill.type;
      if (fill.messageId !== undefined) expected.messageId = fill.messageId;
      assert.deepEqual(JSON.parse(spliced(text, fill)), expected);
    }),
    { numRuns: 2_000 },
  );
});

test('leaves every byte that is not replaced as it was', () => {
  const text = '{ "n": 9007199254740993.000, "rudderId" :"old","b":1E400, "a":[ 1 ] }';
  const expected =
    '{"receivedAt":"t","request_ip":"i", "n": 9007199254740993.000, "rudderId" :"r","b":1E400, "a":[ 1 ] }';
  assert.equal(spliced(text, fixed), expected);
});

test('replaces several values wherever they stand', () => {
  const text = '{"messageId":" m ","rudderId":{},"type":null,"request_ip":null,"receivedAt":0}';
  const expected = '{"messageId":"m","rudderId":"r","type":"page","request_ip":null,"receivedAt":0}';
  assert.equal(spliced(text, { ...fixed, type: 'page', messageId: 'm' }), expected);
});

test('puts no comma into an event that was empty', () => {
  assert.equal(spliced('{ }', fixed), '{"rudderId":"r","receivedAt":"t","request_ip":"i" }');
});

test('lets the last of two values with one name decide', () => {
  const text = '{"rudderId":1,"rudderId":2}';
  assert.equal(JSON.parse(spliced(text, fixed)).rudderId, 'r');
});

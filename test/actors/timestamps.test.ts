// The four times of an event: which wins, and which forms are understood.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fixTimestamps, parseTime } from '../../actors/processor/timestamps.ts';

const receivedAtMs = Date.parse('2026-03-01T12:00:10.000Z');

test('every usual form of a time is read, in the zone it was written in', () => {
  const table: [unknown, string][] = [
    ['2026-03-01T12:00:00.123Z', '2026-03-01T12:00:00.123Z'],
    ['2026-03-01T12:00:00Z', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01T12:00:00.57Z', '2026-03-01T12:00:00.570Z'],
    ['2026-03-01T12:00:00.123456789Z', '2026-03-01T12:00:00.123Z'],
    ['2026-03-01T12:00:00+02:00', '2026-03-01T12:00:00.000+02:00'],
    ['2026-03-01T12:00:00.5-0530', '2026-03-01T12:00:00.500-05:30'],
    ['2026-03-01T12:00:00+00:00', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01 12:00:00', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01 12:00', '2026-03-01T12:00:00.000Z'],
    ['2026-03-01', '2026-03-01T00:00:00.000Z'],
    ['Sun, 01 Mar 2026 12:00:00 GMT', '2026-03-01T12:00:00.000Z'],
    ['Sun, 01 Mar 2026 12:00:00 +0200', '2026-03-01T12:00:00.000+02:00'],
    ['1 Mar 2026 12:00:00', '2026-03-01T12:00:00.000Z'],
    ['March 1, 2026', '2026-03-01T00:00:00.000Z'],
    ['3/1/2026 12:00:00', '2026-03-01T12:00:00.000Z'],
    [1_772_366_400, '2026-03-01T12:00:00.000Z'],
    [1_772_366_400_123, '2026-03-01T12:00:00.123Z'],
    ['1772366400123', '2026-03-01T12:00:00.123Z'],
    ['1772366400123456', '2026-03-01T12:00:00.123Z'],
  ];
  for (const [value, text] of table) assert.equal(parseTime(value)?.text, text, String(value));
});

test('what is no time is refused', () => {
  const values = [
    '',
    'soon',
    'foo 1',
    '12',
    12,
    '2026-02-31',
    '2026-02-31T00:00:00.000Z',
    '2026-13-01',
    Number.NaN,
    null,
    {},
    [],
    true,
  ];
  for (const value of [...values, '2026-03-01T25:00:00Z', '2026-03-01T12:61:00Z', `2026-03-01${' '.repeat(80)}`]) {
    assert.equal(parseTime(value), undefined, JSON.stringify(value));
  }
});

test('whatever text comes, the answer is a time in our format or none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.date({ noInvalidDate: true }).map(String), fc.double()), (value) => {
      const parsed = parseTime(value);
      if (parsed === undefined) return;
      assert.match(parsed.text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)$/);
      assert.equal(Date.parse(parsed.text), parsed.epochMs);
    }),
  );
});

test('a missing timestamp is the time of receipt less the age the client measured', () => {
  const event = { originalTimestamp: '2026-03-01T11:58:00.000Z', sentAt: '2026-03-01T11:59:00.000Z' };
  const changes = fixTimestamps(event, receivedAtMs);
  assert.deepEqual(event, {
    originalTimestamp: '2026-03-01T11:58:00.000Z',
    sentAt: '2026-03-01T11:59:00.000Z',
    receivedAt: '2026-03-01T12:00:10.000Z',
    timestamp: '2026-03-01T11:59:10.000Z',
  });
  assert.deepEqual(changes, { added: ['receivedAt', 'timestamp'], replaced: [], rewritten: false });
});

test('a timestamp that can be read stays and stands in for a missing originalTimestamp', () => {
  const event: Record<string, unknown> = { timestamp: '2026-03-01T10:00:00+01:00' };
  const changes = fixTimestamps(event, receivedAtMs);
  assert.equal(event.timestamp, '2026-03-01T10:00:00.000+01:00');
  assert.equal(event.originalTimestamp, '2026-03-01T10:00:00.000+01:00');
  assert.equal(event.sentAt, '2026-03-01T12:00:10.000Z');
  assert.deepEqual(changes.replaced, ['timestamp']);
});

test('times that cannot be read fall back to the time of receipt', () => {
  const event: Record<string, unknown> = { timestamp: 'x', originalTimestamp: {}, sentAt: 7, receivedAt: 'y' };
  fixTimestamps(event, receivedAtMs);
  const received = '2026-03-01T12:00:10.000Z';
  assert.deepEqual(event, { timestamp: received, originalTimestamp: received, sentAt: received, receivedAt: received });
});

test('clocks that are off by millennia give the time of receipt', () => {
  const event: Record<string, unknown> = {
    originalTimestamp: '0001-01-01T00:00:00.000Z',
    sentAt: '9999-12-31T00:00:00.000Z',
  };
  fixTimestamps(event, receivedAtMs);
  assert.equal(event.timestamp, '2026-03-01T12:00:10.000Z');
});

test('an event whose four times are in order is left as it is', () => {
  const time = '2026-03-01T12:00:10.000Z';
  const event = { receivedAt: time, originalTimestamp: time, sentAt: time, timestamp: time };
  assert.deepEqual(fixTimestamps(event, receivedAtMs), { added: [], replaced: [], rewritten: false });
});

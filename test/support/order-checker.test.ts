// The order checker is the judge of every end-to-end run, so it is tested itself: each fault must be seen.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ArrivedEvent, checkDeliveries, findOvertaking } from './order-checker.ts';

const event = (userId: string, sequence: number, idempotencyKey = `key-${userId}-${sequence}`): ArrivedEvent => ({
  userId,
  sequence,
  messageId: `${userId}-${sequence}`,
  idempotencyKey,
});

const clean = { lost: [], unknown: [], duplicates: [], unrecognisable: [], outOfOrder: [] };

test('a run without faults has an empty report', () => {
  const sent = [event('a', 0), event('b', 0), event('a', 1), event('b', 1)];
  assert.deepEqual(checkDeliveries(sent, [event('b', 0), event('a', 0), event('a', 1), event('b', 1)]), clean);
});

test('each fault is told apart', () => {
  const sent = [event('a', 0), event('a', 1), event('a', 2), event('b', 0)];
  const arrived = [event('a', 1), event('a', 0), event('a', 1), event('b', 0), event('b', 0, 'other'), event('c', 0)];
  assert.deepEqual(checkDeliveries(sent, arrived), {
    lost: ['a-2'],
    unknown: ['c-0'],
    duplicates: ['a-1'],
    unrecognisable: ['b-0'],
    outOfOrder: ['a-0'],
  });
});

test('an event without an answer may arrive or not', () => {
  assert.deepEqual(checkDeliveries([], [event('a', 0)], [event('a', 0), event('a', 1)]), clean);
});

test("duplicates after a crash may go back in a user's order", () => {
  const sent = [event('a', 0), event('a', 1), event('a', 2)];
  const report = checkDeliveries(sent, [event('a', 0), event('a', 1), event('a', 0), event('a', 1), event('a', 2)]);
  assert.deepEqual(report, { ...clean, duplicates: ['a-0', 'a-1'] });
});

test('overtaking is seen among attempts', () => {
  assert.deepEqual(findOvertaking([event('a', 0), event('a', 0), event('b', 3), event('a', 1)]), []);
  assert.deepEqual(findOvertaking([event('a', 1), event('a', 0)]), ['a: 0 after 1']);
});

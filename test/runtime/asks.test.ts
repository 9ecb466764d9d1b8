// Every ask ends exactly once, on time, and the timers behind it fire in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Asks } from '../../runtime/asks.ts';
import { RuntimeError } from '../../runtime/errors.ts';
import { CallbackWait, Timers } from '../../runtime/timers.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

const address = { kind: 'storage', key: '0' };

const step = fc.oneof(
  fc.record({ kind: fc.constant('open' as const), value: fc.integer({ min: 1, max: 500 }) }),
  fc.record({ kind: fc.constant('settle' as const), value: fc.nat(30) }),
  fc.record({ kind: fc.constant('fail' as const), value: fc.nat(30) }),
  fc.record({ kind: fc.constant('lose' as const), value: fc.nat(3) }),
  fc.record({ kind: fc.constant('wait' as const), value: fc.nat(200) }),
);

test('an ask has exactly one outcome, at its deadline at the latest', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const clock = new VirtualClock();
      const asks = new Asks(new Timers(clock));
      const outcomes = new Map<number, { dueMs: number; ends: number[] }>();
      for (const { kind, value } of steps) {
        if (kind === 'open') {
          const ends: number[] = [];
          const end = () => ends.push(clock.monotonicMs());
          const dueMs = clock.monotonicMs() + value;
          const askId = asks.open(address, value, { resolve: end, reject: end });
          asks.sentTo(askId, askId % 4);
          outcomes.set(askId, { dueMs, ends });
        } else if (kind === 'settle') asks.settle(value, 'answer');
        else if (kind === 'fail') asks.fail(value, new Error('failed'));
        else if (kind === 'lose') asks.failPeer(value, new RuntimeError('THREAD_LOST', 'lost'));
        else {
          const untilMs = clock.monotonicMs() + value;
          while (clock.fireNext(untilMs));
          clock.spend(untilMs - clock.monotonicMs());
        }
      }
      while (clock.fireNext());
      assert.equal(asks.size, 0);
      for (const { dueMs, ends } of outcomes.values()) {
        assert.equal(ends.length, 1);
        assert.ok((ends[0] ?? 0) <= dueMs + 1);
      }
    }),
  );
});

test('waits end in the order they are due, removed ones never', () => {
  const waits = fc.array(fc.record({ delayMs: fc.nat(1000), isRemoved: fc.boolean() }), { maxLength: 100 });
  fc.assert(
    fc.property(waits, (given) => {
      const clock = new VirtualClock();
      const timers = new Timers(clock);
      const fired: number[] = [];
      const made = given.map(({ delayMs }, index) => {
        const wait = new CallbackWait(() => fired.push(index));
        timers.add(wait, delayMs);
        return wait;
      });
      for (const [index, { isRemoved }] of given.entries()) {
        const wait = made[index];
        if (isRemoved && wait !== undefined) timers.remove(wait);
      }
      while (clock.fireNext());
      const expected = given
        .map(({ delayMs, isRemoved }, index) => ({ delayMs, isRemoved, index }))
        .filter(({ isRemoved }) => !isRemoved)
        .sort((one, other) => one.delayMs - other.delayMs || one.index - other.index)
        .map(({ index }) => index);
      // Waits due within the same half millisecond may fire together; whole milliseconds here keep them apart.
      assert.deepEqual(fired, expected);
      assert.equal(timers.size, 0);
    }),
  );
});

test('a timeout that is none is refused', () => {
  const asks = new Asks(new Timers(new VirtualClock()));
  const outcome = { resolve: () => undefined, reject: () => undefined };
  for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 3_600_001]) {
    assert.throws(() => asks.open(address, timeoutMs, outcome), { code: 'ASK_WITHOUT_DEADLINE' });
  }
});

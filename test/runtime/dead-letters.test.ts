// Dead letters are counted always, published when somebody listens, and logged ten times a minute.

import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { test } from 'node:test';
import { type DeadLetter, DeadLetters, deadLetterChannel, LogLimit } from '../../runtime/dead-letters.ts';
import { VirtualClock } from '../../runtime/virtual-seams.ts';

const letter: DeadLetter = { reason: 'parked', to: { kind: 'router', key: 'd1' }, from: undefined, wasAsk: true };

test('every letter is counted and published, ten a minute are logged, and the silenced are told afterwards', (t) => {
  const clock = new VirtualClock();
  const lines: Record<string, unknown>[] = [];
  const silent = () => undefined;
  const log = {
    debug: silent,
    info: silent,
    error: silent,
    warn: (fields: Record<string, unknown>) => lines.push(fields),
  };
  const letters = new DeadLetters(clock, log);
  const published: unknown[] = [];
  const onLetter = (message: unknown): void => {
    published.push(message);
  };
  subscribe(deadLetterChannel, onLetter);
  t.after(() => unsubscribe(deadLetterChannel, onLetter));
  for (let index = 0; index < 25; index += 1) letters.add(letter);
  assert.deepEqual(letters.counts, { parked: 25 });
  assert.equal(published.length, 25);
  assert.equal(lines.length, 10);
  assert.deepEqual(lines[0], { reason: 'parked', to: 'router/d1', wasAsk: true });
  clock.spend(60_000);
  letters.add({ ...letter, from: { kind: 'gateway', key: '' } });
  assert.deepEqual(lines[10], { reason: 'parked', to: 'router/d1', wasAsk: true, from: 'gateway/', silenced: 15 });
});

test('a limit admits again in the next minute', () => {
  const clock = new VirtualClock();
  const limit = new LogLimit(clock, 1);
  assert.deepEqual([limit.admit(), limit.admit(), limit.admit()], [0, -1, -1]);
  clock.spend(60_000);
  assert.equal(limit.admit(), 2);
});
